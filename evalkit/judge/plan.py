"""A run's calibration from its plan, made and checked before any judge is started, to its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from evalkit.errors import UserError
from evalkit.judge.calibrate import Calibration, Design, Flipped, Judge, calibrate, designs
from evalkit.judge.calibration_report import Report
from evalkit.judge.case import Language
from evalkit.judge.labels import Label, Matched, match
from evalkit.judge.subject import Population, Subject, population
from evalkit.runner.run import Finished


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be judged of a run, by benchmark. ``matched``: people's labels, None if none were given."""

    answers: Population
    designs: Mapping[str, list[Design]]
    matched: Matched | None

    def carry_out(self, judge: Judge, threshold: float) -> tuple[list[Calibration], list[Flipped]]:
        """Judge all of it. A free-text answer counts as right from the grade `threshold` on."""
        calibrations: list[Calibration] = []
        flips: list[Flipped] = []
        for benchmark, of_one in self.designs.items():
            found, flipped = calibrate(benchmark, of_one, judge, threshold)
            calibrations += found
            flips += flipped
        return calibrations, flips

    def report(
        self,
        calibrations: Sequence[Calibration],
        flips: Sequence[Flipped],
        judge: Mapping[str, Any],
        settings: Mapping[str, Any],
    ) -> Report:
        """What came of it, by the judge of this name and identity under these settings."""
        return Report(
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
