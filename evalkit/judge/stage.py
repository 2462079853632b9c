"""Judging a run: canaries first, then the answers that rules cannot decide; and what came of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from evalkit.judge.canaries import Canary, canaries
from evalkit.judge.case import Case, Judgement
from evalkit.judge.fit import Fitness, Outcome, fitness
from evalkit.judge.judge import Judge
from evalkit.judge.ledger import Entry, totals, verdict_fields, write_ledger
from evalkit.judge.open import open_judge
from evalkit.judge.progress import Progress
from evalkit.judge.reasoning import Check, check_reasoning, reasoning_checks, reasoning_summary
from evalkit.judge.settings import JudgeSettings
from evalkit.judge.subject import case_of
from evalkit.judge.verdicts import needs_judge
from evalkit.runner.folder import RunFolder
from evalkit.runner.run import Finished
from evalkit.runner.scoring import Score, output_of, score_records
from evalkit.scorers import DEFAULT

LOG = "judge.log"


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one benchmark asks of the judge. ``by_rule`` counts answers that need none."""

    benchmark: str
    scores: list[Score]
    cases: list[Case]
    canaries: list[Canary]
    by_rule: int


def judge_run(finished: Finished, settings: JudgeSettings, console: Console) -> None:
    """Judge what the rules of a run leave open, and write judgements.jsonl and judge.json.

    Ended at any moment, the same call goes on: every verdict is in the cache before it counts.

    Args:
        console: for what is going to be asked, how far that is, and what the canaries say.

    Raises:
        UserError: the judge cannot be had, or another process writes the folder.
    """
    plans = _plans(finished, settings)
    checks = reasoning_checks(finished, settings)
    progress = Progress(console)
    with (
        RunFolder(finished.path, finished.config) as folder,
        open_judge(settings, folder.path / LOG, progress.verdict) as judge,
    ):
        _say(console, _outlook(judge, plans, checks))
        outcomes, found = _try_canaries(judge, settings, plans)
        for benchmark, fit in found.items():
            _say(console, f"judge on {finished.config['benchmark'][benchmark]['title']}: {fit.sentence()}")
        # Verdicts that will not be shown are not paid for. After a stop each is an error, and counted.
        asked = [
            plan
            for plan in plans
            if plan.cases
            and (settings.force or judge.stopped is not None or found[plan.benchmark].reason is None)
        ]
        entries = _judge_answers(judge, settings, asked)
        worth = [c for c in checks if settings.force or not _unfit(found.get(c.score.record.benchmark))]
        entries += check_reasoning(judge, settings, worth)
        summary = {
            "judge": {"name": judge.name, "identity": judge.identity},
            "settings": settings.as_json(),
            "benchmarks": {
                plan.benchmark: _of_benchmark(plan, found.get(plan.benchmark), settings, entries)
                for plan in plans
            },
            "spent": {**totals([*outcomes, *entries]), "currency": judge.currency},
            "stopped": judge.stopped,
        }
        write_ledger(folder.path, [*outcomes, *entries], summary)
        if judge.stopped:
            _say(
                console, f"judge stopped: {judge.stopped}; verdicts so far are kept, the same command goes on"
            )


def _unfit(found: Fitness | None) -> bool:
    return found is not None and found.reason is not None


def _plans(finished: Finished, settings: JudgeSettings) -> list[_Plan]:
    scores: dict[str, list[Score]] = {name: [] for name in finished.data}
    for score in score_records(finished.records, finished.data, [DEFAULT]):
        if not score.failed:
            scores[score.record.benchmark].append(score)
    return [_plan(name, each, finished, settings) for name, each in scores.items()]


def _plan(benchmark: str, scores: Sequence[Score], finished: Finished, settings: JudgeSettings) -> _Plan:
    open_ = [
        score
        for score in scores
        if needs_judge(output_of(score.record), score.example.gold, score.verdict, settings.when)
    ]
    language = None if settings.language == "auto" else settings.language
    cases = [case_of(score.example, score.record.text or "") for score in open_]
    if language:
        cases = [replace(case, language=language) for case in cases]
    examples = finished.data[benchmark].examples if open_ or settings.reasoning else ()
    made = canaries(examples, settings.canaries, finished.config["seed"], language)
    return _Plan(benchmark, open_, cases, made, len(scores) - len(open_))


def _outlook(judge: Judge, plans: Sequence[_Plan], checks: Sequence[Check]) -> str:
    """What is going to be asked, and what that may take."""
    answers = sum(len(plan.cases) for plan in plans)
    tests = [canary.case for plan in plans for canary in plan.canaries]
    cases = [case for plan in plans for case in plan.cases] + [check.case for check in checks]
    wanted = judge.estimate([*tests, *cases])
    reasonings = f", {len(checks)} reasonings" if checks else ""
    cost = f", at most {wanted.cost:.4f} {judge.currency}" if wanted.cost is not None else ""
    return (
        f"judge {judge.name}: {answers} answers{reasonings} and {len(tests)} canaries; of these questions "
        f"{wanted.cases} are new: about {wanted.prompt_tokens:,} prompt tokens, at most "
        f"{wanted.completion_tokens:,} of replies{cost}"
    )


def _try_canaries(
    judge: Judge, settings: JudgeSettings, plans: Sequence[_Plan]
) -> tuple[list[Entry], dict[str, Fitness]]:
    """The canaries' entries, and what they say of the judge by benchmark."""
    every = [canary for plan in plans for canary in plan.canaries]
    judgements = judge([canary.case for canary in every])
    entries = [_canary_entry(*pair, settings.threshold) for pair in zip(every, judgements, strict=True)]
    found = {}
    for plan in plans:
        if plan.canaries:
            outcomes = [
                Outcome(entry.canary or "", bool(entry.expected), entry.correct, entry.error)
                for entry in entries
                if entry.benchmark == plan.benchmark
            ]
            found[plan.benchmark] = fitness(
                outcomes, settings.max_false_positive, settings.max_false_negative
            )
    return entries, found


def _judge_answers(judge: Judge, settings: JudgeSettings, plans: Sequence[_Plan]) -> list[Entry]:
    scores = [score for plan in plans for score in plan.scores]
    cases = [case for plan in plans for case in plan.cases]
    judgements = judge(cases)
    return [
        Entry(
            benchmark=score.record.benchmark,
            id=score.record.id,
            turn=score.record.turn,
            sample=score.record.sample,
            generation=score.record.key,
            task=case.task,
            canary=None,
            expected=None,
            **verdict_fields(judgement, settings.threshold),
        )
        for score, case, judgement in zip(scores, cases, judgements, strict=True)
    ]


def _canary_entry(canary: Canary, judgement: Judgement, threshold: float) -> Entry:
    return Entry(
        benchmark=canary.example.benchmark,
        id=canary.example.id,
        turn=canary.example.turn,
        sample=0,
        generation=None,
        task=canary.case.task,
        canary=canary.kind,
        expected=canary.right,
        **verdict_fields(judgement, threshold),
    )


def _of_benchmark(
    plan: _Plan, fit: Fitness | None, settings: JudgeSettings, entries: Sequence[Entry]
) -> dict[str, Any]:
    """One benchmark's part of judge.json."""
    mine = [entry for entry in entries if entry.benchmark == plan.benchmark]
    answers = [entry for entry in mine if entry.is_answer]
    errors = Counter(entry.error for entry in answers if entry.error)
    if not plan.cases or fit is None:
        shown = "not needed"
    elif fit.reason is None:
        shown = "fit"
    else:
        shown = "forced" if settings.force else "withheld"
    return {
        "shown": shown,
        "paths": {"rule": plan.by_rule, "judge": len(plan.cases)},
        "errors": dict(sorted(errors.items())),
        "canaries": fit.as_json() if fit else None,
        "reasoning": reasoning_summary(mine, settings.reasoning),
    }


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
