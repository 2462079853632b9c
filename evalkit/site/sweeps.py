"""The sweeps of the site: their curves, and their members with verdicts, flips and the noise floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from evalkit.compare.comparison import AVERAGE, Comparison, Estimate
from evalkit.report import curves
from evalkit.report import sweep_cells as cells
from evalkit.report.curves.texts import panels
from evalkit.site.runs import Run
from evalkit.sweep.recommend import overall, steps
from evalkit.sweep.record import Member, Sweep

Slugs = dict[tuple[str, str], str]
"""By model and run id."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A curve: its file below the site's folder, and what it shows."""

    file: str
    title: str


@dataclass(frozen=True, slots=True)
class Line:
    """A member on one benchmark. `run` is the slug of its run if that is on the site."""

    member: Member
    accuracy: Estimate | None
    comparison: Comparison | None
    verdict: str
    run: str | None


@dataclass(frozen=True, slots=True)
class Panel:
    """One benchmark, or the average over several: `name` is `average` there."""

    name: str
    title: str
    lines: list[Line]


@dataclass(frozen=True, slots=True)
class Part:
    """One sweep. `choice`: which file from which memory on, in words. `reference`: its run's slug."""

    anchor: str
    sweep: Sweep
    choice: list[str]
    figures: list[Figure]
    panels: list[Panel]
    reference: str | None
    requantized: list[str]
    warnings: list[tuple[str, str]]


def parts(sweeps: Sequence[Sweep], runs: Sequence[Run]) -> tuple[list[Part], dict[str, bytes]]:
    """The sweeps in the order given, and the figures' files."""
    found, files = [], {}
    for number, sweep in enumerate(sweeps):
        part = _part(number, sweep, {(run.measured.model, run.measured.run): run.slug for run in runs})
        drawn = curves.curves(sweep)
        for figure, name in zip(part.figures, curves.names(sweep), strict=True):
            files[figure.file] = drawn[f"{name}.svg"]
        found.append(part)
    return found, files


def _part(number: int, sweep: Sweep, slugs: Slugs) -> Part:
    needed = steps(sweep)
    weights = [(member, member.weights) for member in sweep.members if member.weights]
    return Part(
        anchor=f"sweep-{number}",
        sweep=sweep,
        choice=cells.step_lines(sweep, needed, [step.member.title for step in needed]),
        figures=[Figure(f"curves/{number}-{name}.svg", title) for name, title in curves.names(sweep).items()],
        panels=[
            Panel(name, title, [_line(sweep, member, name, slugs) for member in sweep.members])
            for name, title in panels(sweep)
        ],
        reference=_slug(sweep.member(sweep.reference), slugs),
        requantized=sorted({each.requantized_from for _, each in weights if each.requantized_from}),
        warnings=[(member.title, warning) for member, each in weights for warning in each.warnings],
    )


def _line(sweep: Sweep, member: Member, benchmark: str, slugs: Slugs) -> Line:
    comparison = overall(member) if benchmark == AVERAGE else member.compared(benchmark)
    return Line(
        member=member,
        accuracy=member.accuracy.get(benchmark),
        comparison=comparison,
        verdict=cells.verdict(sweep, member, comparison),
        run=_slug(member, slugs),
    )


def _slug(member: Member, slugs: Slugs) -> str | None:
    """A run's folder is named after its id."""
    return slugs.get((member.name, PurePosixPath(member.run_dir or "").name))
