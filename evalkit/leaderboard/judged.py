"""What a run's record says of its judge, per benchmark: how wrong it is, and its scores raw and corrected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from evalkit.compare.comparison import Estimate

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Number = Annotated[int, Field(ge=0, lt=2**63)]
Line = Annotated[str, Field(max_length=500)]


@dataclass(frozen=True, slots=True)
class Rate:
    """Mistakes on `n` canaries, as a fraction of 1 with Wilson's 95 % interval; None for none."""

    rate: Fraction | None
    n: Number
    interval: tuple[Fraction, Fraction]


@dataclass(frozen=True, slots=True)
class Canaries:
    """`reason` says why the judge is not fit; None: it is."""

    false_positive: Rate
    false_negative: Rate
    reason: Line | None = None


@dataclass(frozen=True, slots=True)
class Paths:
    """How many answers were decided by whom."""

    rule: Number
    judge: Number


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark's part of judge.json."""

    shown: Literal["fit", "forced", "withheld", "not needed"]
    paths: Paths
    canaries: Canaries | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """The judge itself."""

    name: Annotated[str, Field(min_length=1, max_length=500)]


@dataclass(frozen=True, slots=True)
class JudgeFacts:
    """judge.json, as far as it is shown."""

    judge: Named
    benchmarks: dict[str, Benchmark] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Interval:
    """A score with its 95 % interval, or none (`value` None): the judge cannot be corrected for."""

    value: Fraction | None = None
    low: Fraction | None = None
    high: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Kappa:
    """Cohen's κ with its 95 % interval."""

    value: Annotated[float, Field(ge=-1, le=1)]
    low: Annotated[float, Field(ge=-1.5, le=1.5)]
    high: Annotated[float, Field(ge=-1.5, le=1.5)]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A judge against one source of labels, `n` of them."""

    n: Number
    kappa: Kappa | None = None
    raw: Interval | None = None
    corrected: Interval | None = None
    prediction_powered: Interval | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """The labels that a benchmark was calibrated with: people's, and those of a rule."""

    people: Calibrated | None = None
    rule: Calibrated | None = None


@dataclass(frozen=True, slots=True)
class CalibrationFacts:
    """calibration.json, as far as it is shown."""

    judge: Named
    benchmarks: dict[str, Sources] = field(default_factory=dict)


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
