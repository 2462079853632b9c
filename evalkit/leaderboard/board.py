"""The leaderboard as data: what its tables, site and exports show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from evalkit.compare.comparison import Estimate
from evalkit.leaderboard.judged import Judged
from evalkit.records.accuracy import Cell


@dataclass(frozen=True, slots=True)
class Measured:
    """A run on the leaderboard. `average` is over its scored benchmarks, None if there is none.

    `rule` is the run's; a cell may have been scored under another one. `protocol` and `data` are the names in
    its config; `run` is its run id, `file` the record's file name relative to the results folder. `judged` is
    what a judge said of it, and how wrong that judge is. Sizes in bytes, speeds in tokens per second of one
    request alone.
    """

    model: str
    title: str
    family: str | None
    parameters: int | None
    run: str
    file: str
    rule: str
    protocol: str
    data: str
    cells: dict[str, Cell]
    average: Estimate | None
    size_bytes: int | None
    bits_per_weight: float | None
    peak_memory_bytes: int | None
    decode_tokens_per_second: float | None
    warnings: tuple[str, ...] = ()
    judged: tuple[Judged, ...] = ()


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """A row of a published table, in per cent as printed. `mean` is what its scores average to."""

    model: str
    title: str
    parameters: str
    table: str
    scores: dict[str, float]
    average: float
    mean: float


@dataclass(frozen=True, slots=True)
class Problem:
    """A record that is not on the leaderboard, and why."""

    file: str
    reason: str
    kind: Literal["unreadable", "superseded"] = "unreadable"


@dataclass(frozen=True, slots=True)
class Board:
    """Measured entries by average (best first, those without one last), then published rows as printed.

    `benchmarks` maps names to titles, in the published table's order.
    """

    benchmarks: dict[str, str]
    measured: tuple[Measured, ...]
    published: tuple[PublishedRow, ...]
    problems: tuple[Problem, ...] = field(default=())
