"""judge.json and calibration.json as far as they are shown, checked: what a record holds may be anybody's."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from evalkit.errors import UserError

CALIBRATION = "calibration.json"  # written by `evalkit judge calibrate`

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

    @property
    def text(self) -> str:
        """`41.2 [30.0, 52.1]` in per cent, or that there is none."""
        if self.value is None or self.low is None or self.high is None:
            return "not usable"
        return f"{100 * self.value:.1f} [{100 * self.low:.1f}, {100 * self.high:.1f}]"


@dataclass(frozen=True, slots=True)
class Kappa:
    """Cohen's κ with its 95 % interval."""

    value: Annotated[float, Field(ge=-1, le=1)]
    low: Annotated[float, Field(ge=-1.5, le=1.5)]
    high: Annotated[float, Field(ge=-1.5, le=1.5)]

    @property
    def text(self) -> str:
        """`0.61 [0.42, 0.80]`"""
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A judge against one source of labels, `n` of them; scores are of `estimated` answers."""

    n: Number
    estimated: Number = 0
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


def read_calibration(folder: Path) -> CalibrationFacts | None:
    """What `evalkit judge calibrate` found of the run in `folder`; None if it was not asked.

    Raises:
        UserError: the file cannot be read, or is not such a file.
    """
    from pydantic import TypeAdapter, ValidationError

    path = folder / CALIBRATION
    try:
        return TypeAdapter(CalibrationFacts).validate_json(path.read_bytes()) if path.exists() else None
    except (OSError, ValidationError) as error:
        raise UserError(f"{path} cannot be read: `evalkit judge calibrate` makes it again") from error
