"""The site's files: pages from templates, data for the example browser, style and scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evalkit.leaderboard.board import Board, PublishedRow
from evalkit.leaderboard.judged import Judged
from evalkit.leaderboard.judged_table import NOTES, rate, standing
from evalkit.records.record import Record
from evalkit.scorers import DEFAULT
from evalkit.site import breakdown, examples, failures, provenance, rules
from evalkit.site import sweeps as ladders
from evalkit.site.format import FILTERS, browse, heat
from evalkit.site.runs import Run, runs_of
from evalkit.sweep.record import Sweep

if TYPE_CHECKING:
    from jinja2 import Environment

    from evalkit.audit.against import Against
    from evalkit.audit.audit import Audit
    from evalkit.audit.separation import Interval

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
    records: Mapping[str, Record],
    sweeps: Sequence[Sweep],
    audit: Audit | None = None,
    compared: Sequence[Against] = (),
) -> dict[str, bytes]:
    """Every file of the site by its path below the site's folder; the same input gives the same bytes.

    Args:
        board: what the leaderboard shows.
        records: the board's records by their entries' `file`; others are not looked at.
        sweeps: in the order in which they are to appear.
        audit: of the published table; None leaves its page empty and published scores without intervals.
        compared: the board's entries against the published rows of the same models.
    """
    runs = runs_of(board, records)
    titles = board.benchmarks
    rule = next((run.measured.rule for run in runs), DEFAULT)
    parts, figures = ladders.parts(sweeps, runs)
    contexts: dict[str, dict[str, Any]] = {
        "index": {"runs": runs, "families": families(board, runs), "warnings": _warnings(runs)},
        "curves": {"parts": parts},
        "breakdown": {"parts": breakdown.parts(titles, runs)},
        "failures": {"parts": failures.parts(titles, runs)},
        "rules": {"parts": rules.parts(titles, runs, rule)},
        "judge": {"tested": _judged(runs, "fitness"), "calibrated": _judged(runs, "calibrated")},
        "examples": {},
        "provenance": {"parts": provenance.parts(runs)},
        "audit": {"compared": compared},
    }
    environment = _environment()
    shared = {"board": board, "rule": rule, "pages": PAGES, "audit": audit, "implied": _implied(audit)}
    files = {}
    for page, context in contexts.items():
        text = environment.get_template(f"{page}.html").render(page=page, **shared, **context)
        files[f"{page}.html"] = text.encode("utf-8", "replace")
    data = {f"data/{name}": content for name, content in examples.scripts(titles, runs, rule).items()}
    return {**files, **_assets(), **figures, **data}


def _implied(audit: Audit | None) -> dict[tuple[str, str], Interval]:
    """By row's title and benchmark."""
    return {(each.row, each.benchmark): each for each in audit.intervals} if audit else {}


def _warnings(runs: Sequence[Run]) -> dict[str, int]:
    """Every warning once, with the number by which rows refer to it."""
    distinct = dict.fromkeys(warning for run in runs for warning in run.measured.warnings)
    return {warning: number for number, warning in enumerate(distinct, 1)}


def _judged(runs: Sequence[Run], part: str) -> list[tuple[Run, Judged]]:
    return [(run, each) for run in runs for each in run.measured.judged if getattr(each, part)]


def families(board: Board, runs: Sequence[Run]) -> dict[str, str]:
    """Model name -> family, of measured and published rows; '' where it is not known."""
    found = {run.measured.model: run.measured.family or "" for run in runs}
    return found | {row.model: _family(row) for row in board.published if row.model not in found}


def _family(row: PublishedRow) -> str:
    """What the model's config says; published tables do not know families."""
    import yaml

    from evalkit.config import names
    from evalkit.paths import CONFIGS

    if row.model not in names("model"):
        return ""
    content = yaml.safe_load((CONFIGS / "model" / f"{row.model}.yaml").read_text(encoding="utf-8"))
    return str(content.get("family") or "")


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("evalkit.site"),
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

    folder = files("evalkit.site") / "assets"
    return {f"assets/{name}": (folder / name).read_bytes() for name in ASSETS}
