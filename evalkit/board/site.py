"""The static site of the results: five pages that open from disk, and two more for those who ask.

Decide says which file to deploy, Compare what two files have of each other, Answers what each said, Why where
files fail, Record what made each run. A page with nothing to say is not made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from evalkit.board.board import Board, JudgeCell, SiteRun, runs_of
from evalkit.board.browser import example_scripts
from evalkit.board.compare import leaves_of, pairs_of, spans_of
from evalkit.board.decide import Group, groups_of, labels_of, references_of, share_text
from evalkit.board.pages import breakdown_parts, failures_parts, rules_parts
from evalkit.board.plot import Plot, plot_of
from evalkit.board.provenance import differences, provenance_parts
from evalkit.board.tables import NOTES, rate, standing
from evalkit.report.compare import p_value
from evalkit.report.fidelity import estimate as divergence_text
from evalkit.report.verdict import points
from evalkit.run.info import Run
from evalkit.schema import Estimate
from evalkit.sweep.record import Sweep
from evalkit.text import change, file_size, parameters_text, size_text, tenths

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

    from evalkit.audit import Audit, Interval
    from evalkit.board.published import PublishedDifference


PAGES = {
    "index": "Decide",
    "compare": "Compare",
    "answers": "Answers",
    "why": "Why",
    "record": "Record",
}
"""The pages of the menu; `index` is always made."""

MORE = {"judge": "How wrong the judge is", "audit": "The published table, audited"}
"""Pages that the foot of every page links to."""

ASSETS = ("site.css", "tables.js", "pages.js", "chunks.js", "list.js", "example.js", "browser.js")
LIVE_ASSETS = ("live.js",)


def site(
    board: Board,
    runs: Mapping[str, Run],
    sweeps: Sequence[Sweep],
    audit: Audit | None = None,
    compared: Sequence[PublishedDifference] = (),
    *,
    live: bool = False,
) -> dict[str, bytes]:
    """Every file of the site by its path below the site's folder; the same input gives the same bytes.

    Args:
        board: what the leaderboard shows.
        runs: the board's runs by their entries' `file`; others are not looked at.
        sweeps: in the order in which they are to appear.
        audit: of the published table; without it there is no page of it.
        compared: the board's entries against the published rows of the same models.
        live: whether the pages ask the server that they come from how far the runs are.
    """
    entries = runs_of(board, runs)
    groups = groups_of(board, entries, sweeps)
    contexts = _contexts(board, entries, groups, audit, compared)
    environment = _environment()
    shared = {
        "board": board,
        "rule": ", ".join(board.rules),
        "pages": {name: title for name, title in PAGES.items() if name in contexts},
        "more": {name: title for name, title in MORE.items() if name in contexts},
        "audit": audit,
        "implied": _implied(audit),
        "names": labels_of(groups, entries),
        "live": live,
    }
    files = {}
    for page, context in contexts.items():
        text = environment.get_template(f"{page}.html").render(page=page, **shared, **context)
        files[f"{page}.html"] = text.encode("utf-8", "replace")
    scripts = example_scripts(board.benchmarks, entries, board.rules, labels_of(groups, entries))
    data = {f"data/{name}": content for name, content in scripts.items()} if entries else {}
    return {**files, **_assets(live), **data}


def _contexts(
    board: Board,
    entries: Sequence[SiteRun],
    groups: Sequence[Group],
    audit: Audit | None,
    compared: Sequence[PublishedDifference],
) -> dict[str, dict[str, Any]]:
    """By page what its template is given; only the pages that have something to say."""
    titles, references = board.benchmarks, references_of(groups)
    pairs = pairs_of(groups)
    why = {
        "failures": failures_parts(titles, entries),
        "breakdown": breakdown_parts(titles, entries, references),
        "rules": rules_parts(titles, entries),
        "references": references,
    }
    judged = {"tested": _judged(entries, "fitness"), "calibrated": _judged(entries, "calibrated")}
    return {
        "index": {
            "groups": [Shown(group, plot_of(group), *_notes(group)) for group in groups],
            "runs": entries,
        },
        **({"compare": {"groups": pairs}} if pairs else {}),
        **({"answers": {}} if entries else {}),
        **({"why": why} if why["failures"] else {}),
        **(
            {
                "record": {
                    "parts": provenance_parts(entries),
                    "differences": differences(entries),
                    "runs": entries,
                }
            }
            if entries or board.problems
            else {}
        ),
        **({"judge": judged} if any(judged.values()) else {}),
        **({"audit": {"compared": compared}} if audit else {}),
    }


@dataclass(frozen=True, slots=True)
class Shown:
    """A group as Decide shows it: `banner` is said of all its files, `warnings` of one by its label."""

    group: Group
    plot: Plot | None
    banner: list[str]
    warnings: list[tuple[str, str]]


def _notes(group: Group) -> tuple[list[str], list[tuple[str, str]]]:
    """What is to be said of all files of which anything is known, and of some: (their labels, what)."""
    said: dict[str, list[str]] = {}
    known = [row for row in group.rows if row.run or row.member.weights]
    for row in known:
        of_run = row.run.measured.warnings if row.run else ()
        of_file = row.member.weights.warnings if row.member.weights else ()
        for text in dict.fromkeys([*of_run, *of_file]):
            said.setdefault(text, []).append(row.label)
    runs = sum(row.run is not None for row in known)
    common = [
        text for text, labels in said.items() if len(labels) >= max(runs, 1) and len(labels) > len(known) // 2
    ]
    others = [(", ".join(labels), text) for text, labels in said.items() if text not in common]
    return common, others


def _implied(audit: Audit | None) -> dict[tuple[str, str], Interval]:
    """By row's title and benchmark."""
    return {(each.row, each.benchmark): each for each in audit.intervals} if audit else {}


def _judged(runs: Sequence[SiteRun], part: str) -> list[tuple[SiteRun, JudgeCell]]:
    return [(run, each) for run in runs for each in run.measured.judged if getattr(each, part)]


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
    environment.globals.update(browse=browse, heat=heat, spans_of=spans_of, leaves_of=leaves_of)
    environment.globals.update(rate=rate, standing=standing, judge_notes=NOTES, answer_link=answer_link)
    return environment


def _assets(live: bool) -> dict[str, bytes]:
    from importlib.resources import files

    folder = files("evalkit.board") / "assets"
    names = (*ASSETS, *LIVE_ASSETS) if live else ASSETS
    return {f"assets/{name}": (folder / name).read_bytes() for name in names}


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
    """A link to the answers with these filters; without a benchmark to those of all."""
    given = {key: value for key, value in filters.items() if value}
    return "answers.html#?" + urlencode(given, quote_via=quote)


def answer_link(benchmark: str, id_: str, turn: int | None, sample: int) -> str:
    """A link to one example, as `linkTo` of list.js makes it."""
    parts = [benchmark, id_]
    if turn is not None or sample:
        parts.append("-" if turn is None else str(turn))
    if sample:
        parts.append(str(sample))
    return "answers.html#" + "/".join(quote(part, safe="") for part in parts)


def delta(estimate: Estimate, reach: float) -> tuple[str, str, str]:
    """Left end and width of a difference's interval, and its middle, on a bar of 100 with 0 at 50."""

    def place(value: float) -> float:
        return 50 + 50 * max(-1.0, min(1.0, value / reach))

    low, high = place(estimate.low), place(estimate.high)
    return f"{low:.1f}", f"{max(high - low, 0.5):.1f}", f"{place(estimate.value) - TICK / 2:.1f}"


KIND_MARKS = {
    "reference": "◆",
    "as_good": "≈",
    "better": "▲",
    "worse": "▼",
    "unresolved": "?",
    "unfit": "⊘",
    "failed": "✕",
    "not_compared": "·",
}
"""What says a verdict beside its colour."""

FILTERS: dict[str, Callable[..., Any]] = {
    "percent": percent_digits,
    "number": number_text,
    "parameters": partial(or_dash, text=parameters_text),
    "file_size": partial(or_dash, text=file_size),
    "memory": partial(or_dash, text=size_text),
    "bar": bar,
    "breakable": breakable,
    "change": change,
    "divergence": divergence_text,
    "delta": delta,
    "share": share_text,
    "signed": partial(tenths, sign="+"),
    "mark": KIND_MARKS.__getitem__,
    "p_value": p_value,
    "points": points,
}
