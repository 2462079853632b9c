"""Judging and calibrating: canaries first, then the answers that rules cannot decide."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from evalkit.config.judge import JudgeSettings
from evalkit.judge.calibrate import (
    Calibration,
    CalibrationReport,
    Design,
    JudgeCall,
    SwapFlips,
    calibrate,
    designs,
)
from evalkit.judge.canaries import (
    Canary,
    CanaryResult,
    Check,
    Fitness,
    canaries,
    fitness,
    judge_checks,
    reasoning_checks,
    reasoning_summary,
)
from evalkit.judge.judge import Judge, Population, Subject, VerdictCache, case_of, default_path, population
from evalkit.judge.labels import Label, LabelMatches, match
from evalkit.run.folder import Finished, RunFolder
from evalkit.run.judgements import Entry, needs_judge, totals, verdict_fields, write_ledger
from evalkit.run.scoring import ScoredAnswer, output_of, scored_answers
from evalkit.schema import Judgement, Language, UserError, When, rank
from evalkit.stats.intervals import wilson

LOG = "judge.log"


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one benchmark asks of the judge. ``by_rule`` counts answers that need none.

    ``audited`` are answers that the default rule accepts, ``accepted`` counts all of these.
    """

    benchmark: str
    undecided: list[Check]
    canaries: list[Canary]
    by_rule: int
    audited: list[Check]
    accepted: int


def judge_run(
    finished: Finished,
    settings: JudgeSettings,
    console: Console,
    *,
    right: Callable[[ScoredAnswer], bool] | None = None,
) -> None:
    """Judge what the rules of a run leave open, and write judgements.jsonl and judge.json.

    Ended at any moment, the same call goes on: every verdict is in the cache before it counts.

    Args:
        console: for what is going to be asked, how far that is, and what the canaries say.
        right: whether a rule calls an answer right. If it is given, the reasoning is checked of such answers
            and of those that the judge calls right, and of no others.

    Raises:
        UserError: the judge cannot be had, or another process writes the folder.
    """
    plans = _plans(finished, settings)
    checks = reasoning_checks(finished, settings)
    if right is not None:
        open_ = {check.scored.answer.name for plan in plans for check in plan.undecided}
        checks = [each for each in checks if each.scored.answer.name in open_ or right(each.scored)]
    progress = Progress(console)
    with (
        RunFolder(finished.path, finished.settings) as folder,
        open_judge(settings, folder.path / LOG, progress.verdict) as judge,
    ):
        _say(console, _outlook(judge, plans, checks, settings.when))
        outcomes, found = _try_canaries(judge, settings, plans)
        for benchmark, fit in found.items():
            _say(console, f"judge on {finished.settings.benchmark[benchmark].title}: {fit.sentence()}")
        # Verdicts that will not be shown are not paid for. After a stop each is an error, and counted.
        asked = [
            plan
            for plan in plans
            if (plan.undecided or plan.audited)
            and (settings.force or judge.stopped is not None or found[plan.benchmark].reason is None)
        ]
        entries = judge_checks(judge, settings, [check for plan in asked for check in plan.undecided])
        audited = [check for plan in asked for check in plan.audited]
        entries += judge_checks(judge, settings, audited, audit=True)
        worth = [c for c in checks if settings.force or not _unfit(found.get(c.scored.answer.benchmark))]
        if right is not None:
            refused = {entry.name for entry in entries if entry.is_answer and not entry.correct}
            worth = [check for check in worth if check.scored.answer.name not in refused]
        entries += judge_checks(judge, settings, worth)
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
    answers: dict[str, list[ScoredAnswer]] = {name: [] for name in finished.data}
    for scored in scored_answers(finished.records, finished.data):
        answers[scored.answer.benchmark].append(scored)
    return [_plan(name, each, finished, settings) for name, each in answers.items()]


def _plan(
    benchmark: str, answers: Sequence[ScoredAnswer], finished: Finished, settings: JudgeSettings
) -> _Plan:
    open_ = [
        each
        for each in answers
        if needs_judge(output_of(each.answer), each.example.gold, each.score, settings.when)
    ]
    seed, language = finished.settings.seed, None if settings.language == "auto" else settings.language
    asked = {each.answer.name for each in open_}
    accepted = [each for each in answers if each.score.correct and each.answer.name not in asked]
    audited = sorted(accepted, key=lambda each: rank(seed, f"audit\0{each.answer.name!r}"))[: settings.audit]
    if settings.when != "audit":
        audited = []
    examples = finished.data[benchmark].examples if open_ or audited or settings.reasoning else ()
    return _Plan(
        benchmark=benchmark,
        undecided=_checks(open_, settings),
        canaries=canaries(examples, settings.canaries, seed, language),
        by_rule=len(answers) - len(open_),
        audited=_checks(audited, settings),
        accepted=len(accepted),
    )


def _checks(answers: Sequence[ScoredAnswer], settings: JudgeSettings) -> list[Check]:
    cases = [case_of(each.example, each.answer.text or "") for each in answers]
    if settings.language != "auto":
        cases = [replace(case, language=settings.language) for case in cases]
    return [Check(*pair) for pair in zip(answers, cases, strict=True)]


def _nothing_to_ask(by_rule: int, when: When) -> str:
    if when == "never":
        return "judge.when=never: the judge is asked nothing"
    return f"the rules decided all {by_rule:,} answers: judge.when=always asks the judge as well"


def _outlook(judge: Judge, plans: Sequence[_Plan], checks: Sequence[Check], when: When) -> str:
    """What is going to be asked, and what that may take."""
    answers = [check.case for plan in plans for check in plan.undecided]
    audits = [check.case for plan in plans for check in plan.audited]
    tests = [canary.case for plan in plans for canary in plan.canaries]
    if not (answers or audits or tests or checks):
        return _nothing_to_ask(sum(plan.by_rule for plan in plans), when)
    wanted = judge.estimate([*tests, *answers, *(check.case for check in checks), *audits])
    reasonings = f", {len(checks)} reasonings" if checks else ""
    reasonings += f", {len(audits)} accepted answers" if audits else ""
    cost = f", at most {wanted.cost:.4f} {judge.currency}" if wanted.cost is not None else ""
    return (
        f"judge {judge.name}: {len(answers)} answers{reasonings} and {len(tests)} canaries; of these "
        f"questions {wanted.cases} are new: about {wanted.prompt_tokens:,} prompt tokens, at most "
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
                CanaryResult(entry.canary or "", bool(entry.expected), entry.correct, entry.error)
                for entry in entries
                if entry.benchmark == plan.benchmark
            ]
            found[plan.benchmark] = fitness(
                outcomes, settings.max_false_positive, settings.max_false_negative
            )
    return entries, found


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
    if not plan.undecided or fit is None:
        shown = "not needed"
    elif fit.reason is None:
        shown = "fit"
    else:
        shown = "forced" if settings.force else "withheld"
    return {
        "shown": shown,
        "paths": {"rule": plan.by_rule, "judge": len(plan.undecided)},
        "errors": dict(sorted(errors.items())),
        "canaries": fit.as_json() if fit else None,
        "reasoning": reasoning_summary(mine, settings.reasoning),
        **_audit_summary(mine, plan.accepted),
    }


def _audit_summary(entries: Sequence[Entry], accepted: int) -> dict[str, Any]:
    """How many accepted answers the judge refuses; nothing where none was audited."""
    audited = [entry for entry in entries if entry.audit]
    if not audited:
        return {}
    decided = [entry for entry in audited if entry.correct is not None]
    refused = sum(not entry.correct for entry in decided)
    return {
        "audit": {
            "accepted": accepted,
            "refused": refused,
            "n": len(decided),
            "interval": list(wilson(refused, len(decided))),
            "errors": dict(sorted(Counter(entry.error for entry in audited if entry.error).items())),
        }
    }


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be judged of a run, by benchmark. ``matched``: people's labels, None if none were given."""

    answers: Population
    designs: Mapping[str, list[Design]]
    matched: LabelMatches | None

    def carry_out(self, judge: JudgeCall, threshold: float) -> tuple[list[Calibration], list[SwapFlips]]:
        """Judge all of it. A free-text answer counts as right from the grade `threshold` on."""
        calibrations: list[Calibration] = []
        flips: list[SwapFlips] = []
        for benchmark, of_one in self.designs.items():
            found, flipped = calibrate(benchmark, of_one, judge, threshold)
            calibrations += found
            flips += flipped
        return calibrations, flips

    def report(
        self,
        calibrations: Sequence[Calibration],
        flips: Sequence[SwapFlips],
        judge: Mapping[str, Any],
        settings: Mapping[str, Any],
    ) -> CalibrationReport:
        """What came of it, by the judge of this name and identity under these settings."""
        return CalibrationReport(
            model=self.answers.model,
            judge=judge,
            settings=settings,
            calibrations=calibrations,
            flips=flips,
            unmatched=self.matched.unmatched if self.matched else 0,
            unanswered={name: self.answers.unanswered[name] for name in sorted(self.answers.unanswered)},
        )


def plan(
    finished: Finished,
    labels: Sequence[Label],
    *,
    any_output: bool,
    benchmark: str | None,
    n: int | None,
    seed: int,
    language: Language | Literal["auto"],
) -> Plan:
    """The plan for one run.

    Args:
        labels: people's; empty if none were given.
        any_output: whether labels without a generation's key may be of this run's answers.
        n: answers judged per benchmark and kind of label; None for all.
        language: of the judge's instructions; auto: each question's own.

    Raises:
        UserError: nothing can be judged, labels contradict each other, or there is nothing to calibrate by.
    """
    answers = population(finished, benchmark)
    subjects = {name: _in(language, of_one) for name, of_one in answers.subjects.items()}
    every = [subject for of_one in subjects.values() for subject in of_one]
    matched = match(labels, every, any_output=any_output) if labels else None
    found = {name: designs(of_one, matched, n, seed) for name, of_one in subjects.items()}
    found = {name: of_one for name, of_one in found.items() if of_one}
    if not found and labels:
        keys = "" if any_output else " (to several runs, only labels with a key can belong)"
        raise UserError(f"{finished.path}: none of {len(labels)} labels belongs to an answer of it{keys}")
    if not found:
        raise UserError(
            f"{finished.path}: free text has no labels by rule: label some with "
            f"`evalkit judge label {finished.path}`, then give labels={finished.path}/labels.jsonl"
        )
    return Plan(answers, found, matched)


def _in(language: Language | Literal["auto"], subjects: Sequence[Subject]) -> list[Subject]:
    if language == "auto":
        return list(subjects)
    return [replace(subject, case=replace(subject.case, language=language)) for subject in subjects]


_LONGEST_REPLY = 256  # tokens, of any contract


def _silent(_done: int, _of: int) -> None: ...


@contextmanager
def open_judge(
    settings: JudgeSettings, log: Path, on_verdict: Callable[[int, int], None] = _silent
) -> Iterator[Judge]:
    """The judge; its engine starts with the first question that the cache cannot answer.

    Args:
        log: where an engine of our own writes what it has to say.
        on_verdict: called with (done, of) after each question of a call.

    Raises:
        UserError: there is no such engine, or its weights cannot be had, or the cache cannot be used.
    """
    from evalkit.engines import open_engine

    tokens = settings.max_tokens or _LONGEST_REPLY
    engine = open_engine(settings.model, settings.backend, tokens, log)
    with VerdictCache(default_path()) as cache, asyncio.Runner() as runner:
        try:
            yield Judge(engine, settings, cache, runner, on_verdict)
        finally:
            runner.run(engine.stop())


def check_judge(settings: JudgeSettings) -> None:
    """See that the judge can be had, before hours of work whose answers it is to judge.

    Raises:
        UserError: its weights, its service, its key or its model cannot be had.
    """
    from evalkit.engines import open_engine

    engine = open_engine(settings.model, settings.backend, _LONGEST_REPLY, Path(os.devnull))
    if not settings.backend.is_service:  # a server of our own would load its weights for nothing
        return

    async def ask() -> None:
        try:
            await engine.start(None)
        finally:
            await engine.stop()

    asyncio.run(ask())


_LINE_SECONDS = 15.0


class Progress:
    """Counts verdicts as they come; says so at most every quarter of a minute."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def verdict(self, done: int, of: int) -> None:
        now = time.monotonic()
        if now - self._last >= _LINE_SECONDS:
            self._last = now
            self._console.print(f"judged {done}/{of}", highlight=False)
