"""The static site of the results: pages, tables and an example browser that open from disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from evalkit.board.board import Board, JudgeCell, PublishedRow, SiteRun, runs_of
from evalkit.board.browser import example_scripts
from evalkit.board.pages import breakdown_parts, failures_parts, rules_parts
from evalkit.board.tables import NOTES, rate, standing
from evalkit.report import curves
from evalkit.report.compare import p_value, points
from evalkit.report.curves import panels
from evalkit.report.sweep import step_lines, verdict_cell
from evalkit.run.info import Run
from evalkit.schema import AVERAGE, Comparison, Estimate
from evalkit.sweep.recommend import steps
from evalkit.sweep.record import Member, Sweep, overall
from evalkit.text import change, file_size, mapping, parameters_text, size_text

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

    from evalkit.audit import Audit, Interval
    from evalkit.board.published import PublishedDifference


PAGES = {
    "index": "Leaderboard",
    "curves": "Quants",
    "breakdown": "Breakdown",
    "failures": "Failures",
    "rules": "Rules",
    "judge": "Judge",
    "examples": "Examples",
    "provenance": "Provenance",
    "audit": "Audit",
}
ASSETS = ("site.css", "tables.js", "chunks.js", "list.js", "example.js", "browser.js")


def site(
    board: Board,
    runs: Mapping[str, Run],
    sweeps: Sequence[Sweep],
    audit: Audit | None = None,
    compared: Sequence[PublishedDifference] = (),
) -> dict[str, bytes]:
    """Every file of the site by its path below the site's folder; the same input gives the same bytes.

    Args:
        board: what the leaderboard shows.
        runs: the board's runs by their entries' `file`; others are not looked at.
        sweeps: in the order in which they are to appear.
        audit: of the published table; None leaves its page empty and published scores without intervals.
        compared: the board's entries against the published rows of the same models.
    """
    entries = runs_of(board, runs)
    titles = board.benchmarks
    parts, figures = sweep_parts(sweeps, entries)
    contexts: dict[str, dict[str, Any]] = {
        "index": {"runs": entries, "families": families(board, entries), "warnings": _warnings(entries)},
        "curves": {"parts": parts},
        "breakdown": {"parts": breakdown_parts(titles, entries)},
        "failures": {"parts": failures_parts(titles, entries)},
        "rules": {"parts": rules_parts(titles, entries)},
        "judge": {"tested": _judged(entries, "fitness"), "calibrated": _judged(entries, "calibrated")},
        "examples": {},
        "provenance": {"parts": provenance_parts(entries)},
        "audit": {"compared": compared},
    }
    environment = _environment()
    shared = {
        "board": board,
        "rule": ", ".join(board.rules),
        "pages": PAGES,
        "audit": audit,
        "implied": _implied(audit),
    }
    files = {}
    for page, context in contexts.items():
        text = environment.get_template(f"{page}.html").render(page=page, **shared, **context)
        files[f"{page}.html"] = text.encode("utf-8", "replace")
    scripts = example_scripts(titles, entries, board.rules)
    data = {f"data/{name}": content for name, content in scripts.items()}
    return {**files, **_assets(), **figures, **data}


def _implied(audit: Audit | None) -> dict[tuple[str, str], Interval]:
    """By row's title and benchmark."""
    return {(each.row, each.benchmark): each for each in audit.intervals} if audit else {}


def _warnings(runs: Sequence[SiteRun]) -> dict[str, int]:
    """Every warning once, with the number by which rows refer to it."""
    distinct = dict.fromkeys(warning for run in runs for warning in run.measured.warnings)
    return {warning: number for number, warning in enumerate(distinct, 1)}


def _judged(runs: Sequence[SiteRun], part: str) -> list[tuple[SiteRun, JudgeCell]]:
    return [(run, each) for run in runs for each in run.measured.judged if getattr(each, part)]


def families(board: Board, runs: Sequence[SiteRun]) -> dict[str, str]:
    """Model name -> family, of measured and published rows; '' where it is not known."""
    found = {run.measured.model: run.measured.family or "" for run in runs}
    return found | {row.model: _family(row) for row in board.published if row.model not in found}


def _family(row: PublishedRow) -> str:
    """What the model's config says; published tables do not know families."""
    import yaml

    from evalkit.config.overrides import own_names
    from evalkit.files import CONFIGS

    if row.model not in own_names("model"):
        return ""
    content = yaml.safe_load((CONFIGS / "model" / f"{row.model}.yaml").read_text(encoding="utf-8"))
    return str(content.get("family") or "")


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("evalkit.board"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(FILTERS)
    environment.globals.update(browse=browse, heat=heat)
    environment.globals.update(rate=rate, standing=standing, judge_notes=NOTES)
    return environment


def _assets() -> dict[str, bytes]:
    from importlib.resources import files

    folder = files("evalkit.board") / "assets"
    return {f"assets/{name}": (folder / name).read_bytes() for name in ASSETS}


BAR = 100  # an interval bar's width, in its own units: one a point
TICK = 1.6  # width of the mark at the estimate itself


def percent_digits(fraction: float | None, digits: int = 1) -> str:
    """`41.2` of 0.412; an en dash for None."""
    return "–" if fraction is None else f"{100 * fraction:.{digits}f}"


def number_text(value: float | None, digits: int = 0) -> str:
    """With thousands separated; an en dash for None."""
    return "–" if value is None else f"{value:,.{digits}f}"


def or_dash(count: int | None, text: Callable[[int], str]) -> str:
    """An amount as `text` writes it; an en dash for None and for 0."""
    return text(count) if count else "–"


def bar(estimate: Estimate) -> tuple[str, str, str]:
    """Left end and width of an estimate's interval on a bar from 0 to 100, and the left end of its tick."""
    low, high = BAR * max(0.0, estimate.low), BAR * min(1.0, estimate.high)
    middle = min(max(BAR * estimate.value - TICK / 2, 0.0), BAR - TICK)
    return f"{low:.1f}", f"{high - low:.1f}", f"{middle:.1f}"


def breakable(name: str) -> Markup:
    """A dotted key that a narrow column may break behind its dots and underscores."""
    from markupsafe import Markup, escape

    return Markup(str(escape(name)).replace(".", ".<wbr>").replace("_", "_<wbr>"))


def heat(count: int, of: int) -> int:
    """0 to 6: how dark a cell is that holds `count` of `of`."""
    return -(-6 * count // of) if of else 0


def browse(**filters: str | None) -> str:
    """A link to the example browser with these filters."""
    given = {key: value for key, value in filters.items() if value}
    return "examples.html#?" + urlencode(given, quote_via=quote)


FILTERS: dict[str, Callable[..., Any]] = {
    "percent": percent_digits,
    "number": number_text,
    "parameters": partial(or_dash, text=parameters_text),
    "file_size": partial(or_dash, text=file_size),
    "memory": partial(or_dash, text=size_text),
    "bar": bar,
    "breakable": breakable,
    "change": change,
    "p_value": p_value,
    "points": points,
}


Slugs = dict[tuple[str, str], str]
"""By model and run id."""


@dataclass(frozen=True, slots=True)
class SweepFigure:
    """A curve: its file below the site's folder, and what it shows."""

    file: str
    title: str


@dataclass(frozen=True, slots=True)
class SweepLine:
    """A member on one benchmark. `run` is the slug of its run if that is on the site."""

    member: Member
    accuracy: Estimate | None
    comparison: Comparison | None
    verdict: str
    run: str | None


@dataclass(frozen=True, slots=True)
class SweepPanel:
    """One benchmark, or the average over several: `name` is `average` there."""

    name: str
    title: str
    lines: list[SweepLine]


@dataclass(frozen=True, slots=True)
class SweepPart:
    """One sweep. `choice`: which file from which memory on, in words. `reference`: its run's slug."""

    anchor: str
    sweep: Sweep
    choice: list[str]
    figures: list[SweepFigure]
    panels: list[SweepPanel]
    reference: str | None
    requantized: list[str]
    warnings: list[tuple[str, str]]


def sweep_parts(sweeps: Sequence[Sweep], runs: Sequence[SiteRun]) -> tuple[list[SweepPart], dict[str, bytes]]:
    """The sweeps in the order given, and the figures' files."""
    found, files = [], {}
    for number, sweep in enumerate(sweeps):
        part = _sweep_part(number, sweep, {(run.measured.model, run.measured.run): run.slug for run in runs})
        drawn = curves.curves(sweep)
        for figure, name in zip(part.figures, curves.names(sweep), strict=True):
            files[figure.file] = drawn[f"{name}.svg"]
        found.append(part)
    return found, files


def _sweep_part(number: int, sweep: Sweep, slugs: Slugs) -> SweepPart:
    needed = steps(sweep)
    weights = [(member, member.weights) for member in sweep.members if member.weights]
    return SweepPart(
        anchor=f"sweep-{number}",
        sweep=sweep,
        choice=step_lines(sweep, needed, [step.member.title for step in needed]),
        figures=[
            SweepFigure(f"curves/{number}-{name}.svg", title) for name, title in curves.names(sweep).items()
        ],
        panels=[
            SweepPanel(name, title, [_sweep_line(sweep, member, name, slugs) for member in sweep.members])
            for name, title in panels(sweep)
        ],
        reference=_slug(sweep.member(sweep.reference), slugs),
        requantized=sorted({each.requantized_from for _, each in weights if each.requantized_from}),
        warnings=[(member.title, warning) for member, each in weights for warning in each.warnings],
    )


def _sweep_line(sweep: Sweep, member: Member, benchmark: str, slugs: Slugs) -> SweepLine:
    comparison = overall(member) if benchmark == AVERAGE else member.compared(benchmark)
    return SweepLine(
        member=member,
        accuracy=member.accuracy.get(benchmark),
        comparison=comparison,
        verdict=verdict_cell(sweep, member, comparison),
        run=_slug(member, slugs),
    )


def _slug(member: Member, slugs: Slugs) -> str | None:
    """A run's folder is named after its id."""
    return slugs.get((member.name, PurePosixPath(member.run_dir or "").name))


_BLOCKS = ("model", "engine", "hardware", "measured", "protocol", "sampling", "settings", "evalkit")


@dataclass(frozen=True, slots=True)
class ProvenancePart:
    """One run: blocks of its record's head as they are, and one block per benchmark's data."""

    run: SiteRun
    blocks: list[tuple[str, list[tuple[str, str]]]]
    data: list[tuple[str, list[tuple[str, str]]]]


def provenance_parts(runs: Sequence[SiteRun]) -> list[ProvenancePart]:
    """Every run, in the board's order."""
    return [_provenance_part(run) for run in runs]


def _provenance_part(run: SiteRun) -> ProvenancePart:
    info = run.run.info
    blocks = [(name, list(_flat(info.raw.get(name)))) for name in _BLOCKS]
    blocks.append(("time", list(_flat({"started": info.started, "ended": info.ended}))))
    data = [(name, list(_flat(mapping(info.raw.get("data")).get(name)))) for name in info.benchmarks]
    return ProvenancePart(run, [(name, values) for name, values in blocks if values], data)


def _flat(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested blocks as dotted names with text; what is not known is left out."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _flat(inner, f"{name}.{number}")
    elif value is not None:
        yield name, _text(value)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
