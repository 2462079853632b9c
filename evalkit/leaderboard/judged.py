"""What a run's record says of its judge, per benchmark: how wrong it is, and its scores raw and corrected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from evalkit.compare.comparison import Estimate
from evalkit.judge.facts import Benchmark, Calibrated, CalibrationFacts, JudgeFacts


@dataclass(frozen=True, slots=True)
class Judged:
    """The judge on one benchmark of a run.

    `raw` is the run's score as judged, None where it is withheld. `labels` says whose labels `calibrated`
    rests on. At least one of `fitness` and `calibrated` is there.
    """

    judge: str
    benchmark: str
    fitness: Benchmark | None = None
    raw: Estimate | None = None
    labels: Literal["people", "rule"] | None = None
    calibrated: Calibrated | None = None


def judged_of(
    judge: JudgeFacts | None, calibration: CalibrationFacts | None, raw: dict[str, Estimate]
) -> Iterator[Judged]:
    """A line for every benchmark that a judge was asked about, and for every source of labels.

    Args:
        raw: by benchmark, the score under `judged` where it is shown.
    """
    if judge is not None:
        for name, of in judge.benchmarks.items():
            if of.shown != "not needed":
                yield Judged(judge.judge.name, name, of, raw.get(name))
    if calibration is not None:
        for name, sources in calibration.benchmarks.items():
            by = calibration.judge.name
            if sources.people is not None:
                yield Judged(by, name, labels="people", calibrated=sources.people)
            if sources.rule is not None:
                yield Judged(by, name, labels="rule", calibrated=sources.rule)
