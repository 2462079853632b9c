"""The reasoning check: not whether an answer is right, but whether the way to it holds.

Seven criteria (arXiv 2503.16252, data filtering): internal consistency, term overlap with the answer, at
least three steps, logical consistency with the answer, content diversity, relevance to the domain,
consistency with the instruction. The paper wants all seven; its early prompt asks for one verdict over them
(`holistic`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.judge.case import Case, Task
from evalkit.judge.judge import Judge
from evalkit.judge.ledger import Entry, verdict_fields
from evalkit.judge.settings import JudgeSettings, Reasoning
from evalkit.judge.subject import language_of, question_of, reference_of
from evalkit.runner.run import Finished
from evalkit.runner.scoring import Score, score_records
from evalkit.scorers import DEFAULT
from evalkit.stats.error import wilson

_TASKS: dict[Reasoning, Task] = {"criteria": "reasoning", "holistic": "reasoning_holistic"}


@dataclass(frozen=True, slots=True)
class Check:
    """An output whose reasoning is put before the judge."""

    score: Score
    case: Case


def reasoning_checks(finished: Finished, settings: JudgeSettings) -> list[Check]:
    """What there is to check: every output that is not empty, if the settings ask for it."""
    if settings.reasoning is None:
        return []
    task = _TASKS[settings.reasoning]
    return [
        Check(score, _case(score, task, settings))
        for score in score_records(finished.records, finished.data, [DEFAULT])
        if not score.failed and (score.record.text or "").strip()
    ]


def _case(score: Score, task: Task, settings: JudgeSettings) -> Case:
    question = question_of(score.example)
    language = language_of(question) if settings.language == "auto" else settings.language
    return Case(task, question, reference_of(score.example.gold), score.record.text or "", language=language)


def check_reasoning(judge: Judge, settings: JudgeSettings, checks: Sequence[Check]) -> list[Entry]:
    """The judge's verdicts on them."""
    judgements = judge([check.case for check in checks])
    return [
        Entry(
            benchmark=check.score.record.benchmark,
            id=check.score.record.id,
            turn=check.score.record.turn,
            sample=check.score.record.sample,
            generation=check.score.record.key,
            task=check.case.task,
            canary=None,
            expected=None,
            **verdict_fields(judgement, settings.threshold),
        )
        for check, judgement in zip(checks, judgements, strict=True)
    ]


def reasoning_summary(entries: Sequence[Entry], mode: Reasoning | None) -> dict[str, Any] | None:
    """One benchmark's part of judge.json: how many outputs passed, and each criterion; None if unchecked."""
    checked = [entry for entry in entries if entry.task.startswith("reasoning") and entry.canary is None]
    if mode is None or not checked:
        return None
    decided = [entry for entry in checked if entry.score is not None]
    passed = sum(bool(entry.correct) for entry in decided)
    held = Counter(name for entry in decided for name, holds in (entry.criteria or {}).items() if holds)
    return {
        "mode": mode,
        "passed": passed,
        "n": len(decided),
        "interval": list(wilson(passed, len(decided))),
        "criteria": {
            name: held[name] for name in dict.fromkeys(n for e in decided for n in e.criteria or {})
        },
        "errors": dict(sorted(Counter(entry.error for entry in checked if entry.error).items())),
    }
