"""A published table checked against itself: what does not add up, and what its numbers can tell apart."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.audit import checks
from evalkit.audit.checks import Finding
from evalkit.audit.digits import can_fail
from evalkit.audit.separation import Interval, Pair, assumed_n, intervals, unseparated
from evalkit.audit.table import PublishedTable
from evalkit.overlap.known import known_overlap
from evalkit.report.markdown import table as markdown_table

CHECKS = (
    checks.averages,
    checks.rounding,
    checks.impossible_digits,
    checks.below_baseline,
    checks.below_base,
    checks.versions,
)


@dataclass(frozen=True, slots=True)
class Audit:
    """What the audit of one table found.

    `benchmarks` maps names to titles. `intervals` has one entry per row and benchmark, in their order.
    `unseparated` are the pairs of rows whose averages are not told apart. `overlap` says per benchmark what
    is known of its items in training data, `assumptions` what all this rests on, `notes` what else is known.
    """

    name: str
    title: str
    benchmarks: dict[str, str]
    findings: tuple[Finding, ...]
    intervals: tuple[Interval, ...]
    unseparated: tuple[Pair, ...]
    overlap: dict[str, str]
    assumptions: tuple[str, ...]
    notes: tuple[str, ...]


def audit(table: PublishedTable) -> Audit:
    """All checks of a table; findings by check, then by row as printed."""
    return Audit(
        name=table.name,
        title=table.title,
        benchmarks={name: column.title for name, column in table.benchmarks.items()},
        findings=tuple(finding for check in CHECKS for finding in check(table)),
        intervals=tuple(intervals(table)),
        unseparated=tuple(unseparated(table)),
        overlap=known_overlap(table),
        assumptions=tuple(_assumptions(table)),
        notes=(*table.protocol.facts, *table.notes),
    )


def _assumptions(table: PublishedTable) -> list[str]:
    columns = table.benchmarks.values()
    lines = [
        "Intervals are Wilson's 95 % ones at the stated n, of independent items with one answer each. "
        "Questions of one page or turns of one dialogue make the true ones wider.",
        "Two averages are separated at 1.96 standard errors of their difference, as if the rows had answered "
        "independently and with no correction for the number of pairs. If all rows answered the same items, "
        "the true error is smaller; the table does not have what would be needed to tell.",
    ]
    unknown = [column.title for column in columns if column.n is None]
    assumed = assumed_n(table)
    if unknown and assumed is not None:
        lines.append(
            f"n is not stated for {', '.join(unknown)}: no interval; in the averages {assumed:,} is assumed."
        )
    untestable = [column.title for column in columns if column.n and not can_fail(column.n, table.decimals)]
    if untestable:
        lines.append(
            f"Digits cannot be impossible for {', '.join(untestable)}: with that many items some count gives "
            f"every percentage with {table.decimals} digit after the point."
        )
    return lines


def to_markdown(audit: Audit) -> str:
    """The audit as Markdown, headings from the third level on."""
    parts = [
        f"Of {audit.title}, by `evalkit audit`; scores in per cent.",
        "### What does not add up, and what to know\n\n" + _findings(audit),
        "### Intervals that the scores imply\n\n" + _intervals(audit),
        "### Averages that are not told apart\n\n" + _pairs(audit),
    ]
    if audit.overlap:
        known = markdown_table(
            ["Benchmark", "Known of its items in training data"],
            [[audit.benchmarks[name], text] for name, text in audit.overlap.items()],
            text_columns=2,
        )
        parts.append(f"### Training overlap\n\n{known}")
    parts.append("### Assumptions\n\n" + "\n".join(f"- {line}" for line in audit.assumptions))
    if audit.notes:
        parts.append("### Known besides\n\n" + "\n".join(f"- {line}" for line in audit.notes))
    return "\n\n".join(parts) + "\n"


def _findings(audit: Audit) -> str:
    if not audit.findings:
        return "Nothing."
    rows = [[finding.row, finding.kind.replace("_", " "), finding.text] for finding in audit.findings]
    return markdown_table(["Row", "Kind", "Finding"], rows, text_columns=3)


def _intervals(audit: Audit) -> str:
    cells: dict[str, list[str]] = {}
    for each in audit.intervals:
        bounds = "" if each.low is None else f" [{each.low:.1f}, {each.high:.1f}]"
        cells.setdefault(each.row, []).append(f"{each.score}{bounds}")
    sizes = {each.benchmark: each.n for each in audit.intervals}
    header = [
        f"{title} (n={sizes[name]:,})" if sizes[name] else f"{title} (n?)"
        for name, title in audit.benchmarks.items()
    ]
    return markdown_table(["Row", *header], [[row, *values] for row, values in cells.items()])


def _pairs(audit: Audit) -> str:
    if not audit.unseparated:
        return "None: all are."
    rows = [
        [pair.first, pair.second, f"{pair.difference:.2f}", f"{pair.z:.2f}"] for pair in audit.unseparated
    ]
    return markdown_table(["Better", "Worse", "Points", "z"], rows, text_columns=2)
