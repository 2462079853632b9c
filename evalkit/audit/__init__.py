"""A published table, checked against itself: what does not add up, and what its numbers can tell apart.

A check goes from the table to findings: averages, digits that no count of right items gives, a row below its
own base or below a baseline that needs no model. Then every score has the interval that its n implies, and
pairs of rows are told apart or not.

Digits are tested as by GRIM (Brown & Heathers 2017, Soc. Psychol. Pers. Sci. 8: 363-369): a share of n items
is k/n for a whole k, so when n is below 10^(d + 2), only some percentages with d digits after the point can
be printed.

Intervals assume independent right-or-wrong items, one sample each, and rows that answered independently.
Items that belong together (turns of a dialogue, questions of a page) make the true error larger; rows that
answered the same items make that of their difference smaller, but a table says nothing of single items.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from evalkit.published import PrintedRow, PublishedTable, known_overlap, mean
from evalkit.stats.intervals import wilson
from evalkit.text import table


def averages(table: PublishedTable) -> Iterator[Finding]:
    """Printed averages that are not the mean of the row's printed scores."""
    for row in table.rows:
        found = mean(table, row.scores)
        if abs(found - row.average) <= table.half_unit:
            continue
        text = (
            f"the {len(table.benchmarks)} printed scores average {_number(found)}; {row.average} is printed "
            f"({row.average - found:+.{table.decimals}f})"
        )
        yield Finding(row.title, "average", f"{text}{_explained(table, row)}")


def versions(table: PublishedTable) -> Iterator[Finding]:
    """Rows of which another place prints other scores."""
    for row in table.rows:
        for version in row.versions:
            printed = _scores(table, {name: row.scores[name] for name in version.scores})
            other = _scores(table, version.scores)
            yield Finding(row.title, "version", f"{printed} here; {other} in {version.source}")


def impossible_digits(table: PublishedTable) -> Iterator[Finding]:
    """Scores that no number of right items of n rounds to (the GRIM test)."""
    for row in table.rows:
        for name, column in table.benchmarks.items():
            score = row.scores[name]
            if column.n is not None and not possible(score, column.n, table.decimals):
                yield Finding(
                    row.title,
                    "impossible_digits",
                    f"{score} on {column.title}: no number of right answers of {column.n:,} rounds to it",
                )


def rounding(table: PublishedTable) -> Iterator[Finding]:
    """Scores that were rounded more coarsely than they are printed, or come from fewer items than stated."""
    from scipy.stats import binom

    cells = [
        (row.scores[name], column.n)
        for row in table.rows
        for name, column in table.benchmarks.items()
        if column.n is not None
    ]
    whole = sum(score % 1 == 0 for score, _ in cells)
    shares = {n: whole_share(n, table.decimals) for n in {n for _, n in cells}}
    # The largest share for all of them: never more surprised than is due.
    likely = max(shares.values(), default=1.0)
    if not cells or binom.sf(whole - 1, len(cells), likely) >= CHANCE:
        return
    agree = sum(abs(mean(table, row.scores) - row.average) <= table.half_unit for row in table.rows)
    yield Finding(
        WHOLE_TABLE,
        "rounding",
        f"{whole} of the {len(cells)} scores with a stated n are whole numbers, though {table.decimals} more "
        f"digit is printed and chance makes 1 in {1 / likely:.0f} whole: they were rounded to whole points "
        f"(each is uncertain by ±0.5 more), or there were fewer items. {agree} of {len(table.rows)} printed "
        "averages are those of the scores as printed",
    )


def below_baseline(table: PublishedTable) -> Iterator[Finding]:
    """Scores at or below what needs no model."""
    for row in table.rows:
        for name, column in table.benchmarks.items():
            score, baseline = row.scores[name], column.baseline
            if baseline is None or score > baseline.score:
                continue
            text = f"{score} on {column.title}: {baseline.what} scores {baseline.score} ({baseline.source})"
            bounds = implied(score, column.n)
            if bounds is not None:
                text += f"; its interval ends at {bounds[1]:.1f}"
            yield Finding(row.title, "baseline", text)


def below_base(table: PublishedTable) -> Iterator[Finding]:
    """Scores of trained models below those of the model that they were trained from."""
    rows = {row.model: row for row in table.rows}
    for row in table.rows:
        base = rows.get(row.base or "")
        if base is None:
            continue
        for name, column in table.benchmarks.items():
            ours, theirs = row.scores[name], base.scores[name]
            if ours >= theirs:
                continue
            text = f"{ours} on {column.title}, its own base {base.title} {theirs} ({ours - theirs:+})"
            z = score_z(ours, theirs, column.n)
            yield Finding(row.title, "below_base", text + ("" if z is None else f"; {_separated(z)}"))


CHECKS = (
    averages,
    rounding,
    impossible_digits,
    below_baseline,
    below_base,
    versions,
)


Kind = Literal["average", "rounding", "impossible_digits", "baseline", "below_base", "version"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a reader of the table should know. `row` is a row's title, or the whole table."""

    row: str
    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Interval:
    """The 95 % interval that a published score implies at its n, in per cent; None where n is not stated."""

    row: str
    benchmark: str
    score: Decimal
    n: int | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rows whose averages are `difference` points and `z` standard errors apart, the better one first."""

    first: str
    second: str
    difference: Decimal
    z: float


def intervals(table: PublishedTable) -> Iterator[Interval]:
    """Every score of the table with the interval that it implies."""
    for row in table.rows:
        for name, column in table.benchmarks.items():
            bounds = implied(row.scores[name], column.n)
            low, high = bounds if bounds is not None else (None, None)
            yield Interval(row.title, name, row.scores[name], column.n, low, high)


def unseparated(table: PublishedTable) -> Iterator[Pair]:
    """Pairs of rows whose averages, as recomputed, differ by less than 1.96 standard errors.

    Each pair by itself, without a correction for how many there are: with one, more would be.
    """
    ranked = sorted(table.rows, key=lambda row: mean(table, row.scores), reverse=True)
    for first, second in itertools.combinations(ranked, 2):
        errors = average_error(table, first), average_error(table, second)
        if errors[0] is None or errors[1] is None:
            continue
        difference = mean(table, first.scores) - mean(table, second.scores)
        error = math.hypot(errors[0], errors[1])
        z = float(difference) / error if error else math.inf
        if z < Z:
            yield Pair(first.title, second.title, difference, z)


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


def audit_table(table: PublishedTable) -> Audit:
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
        known = table(
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
    return table(["Row", "Kind", "Finding"], rows, text_columns=3)


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
    return table(["Row", *header], [[row, *values] for row, values in cells.items()])


def _pairs(audit: Audit) -> str:
    if not audit.unseparated:
        return "None: all are."
    rows = [
        [pair.first, pair.second, f"{pair.difference:.2f}", f"{pair.z:.2f}"] for pair in audit.unseparated
    ]
    return table(["Better", "Worse", "Points", "z"], rows, text_columns=2)


WHOLE_TABLE = "(whole table)"
CHANCE = 1e-3
"""Whole numbers where finer ones are possible are reported if chance makes as many less often than this."""


def _explained(table: PublishedTable, row: PrintedRow) -> str:
    """Another version of the row's scores with which the printed average is right."""
    for version in row.versions:
        fixed = mean(table, {**row.scores, **version.scores})
        if abs(fixed - row.average) <= table.half_unit:
            scores = _scores(table, version.scores)
            return f". With {scores} ({version.source}) they average {_number(fixed)}, which fits"
    return ""


def _separated(z: float) -> str:
    return f"z = {z:.1f}, {'separated' if abs(z) >= Z else 'not separated'}"


def _scores(table: PublishedTable, scores: dict[str, Decimal]) -> str:
    return " and ".join(f"{score} on {table.benchmarks[name].title}" for name, score in scores.items())


def _number(value: Decimal) -> str:
    """With two digits, the second only if it is there."""
    text = f"{value:.2f}"
    return text.removesuffix("0")


def possible(percent: Decimal, n: int, decimals: int) -> bool:
    """Whether some k of n items rounds to `percent`, whichever way halves are rounded.

    Raises:
        ValueError: n is not above 0.
    """
    if n < 1:
        raise ValueError(f"{n} items")
    half = Fraction(1, 2 * _scale(decimals))
    exact = Fraction(percent) * n / 100
    k = min((math.floor(exact), math.ceil(exact)), key=lambda k: abs(k - exact))
    return 0 <= k <= n and abs(Fraction(100 * k, n) - Fraction(percent)) <= half


def can_fail(n: int, decimals: int) -> bool:
    """Whether there is any percentage with that many digits that n items cannot give."""
    return n < 100 * _scale(decimals)


def whole_share(n: int, decimals: int) -> float:
    """The share of the counts 0..n whose printed percentage is a whole number.

    How often a score would be printed as 71.0 and not 71.3 by chance.
    """
    if not can_fail(n, decimals):
        return 1 / _scale(decimals)
    scale = _scale(decimals)
    whole = sum(round(Fraction(100 * k * scale, n)) % scale == 0 for k in range(n + 1))
    return whole / (n + 1)


def _scale(decimals: int) -> int:
    return int(10**decimals)


Z = 1.96


def implied(score: Decimal, n: int | None) -> tuple[float, float] | None:
    """Wilson's 95 % interval of a percentage of n items, in per cent; None without n."""
    if n is None:
        return None
    low, high = wilson(round(score * n / 100), n)
    return 100 * low, 100 * high


def score_z(one: Decimal, other: Decimal, n: int | None) -> float | None:
    """The difference of two scores in standard errors; None without n, or if both are 0 or 100."""
    if n is None:
        return None
    error = math.sqrt(_variance(one, n) + _variance(other, n))
    return float(one - other) / 100 / error if error else None


def assumed_n(table: PublishedTable) -> int | None:
    """What is taken for n where it is not stated: the smallest that is stated."""
    return min((column.n for column in table.benchmarks.values() if column.n is not None), default=None)


def average_error(table: PublishedTable, row: PrintedRow) -> float | None:
    """Standard error of a row's average, in points; None if no n is stated at all."""
    fallback = assumed_n(table)
    if fallback is None:
        return None
    variances = (
        _variance(row.scores[name], column.n or fallback) for name, column in table.benchmarks.items()
    )
    return 100 * math.sqrt(math.fsum(variances)) / len(table.benchmarks)


def _variance(score: Decimal, n: int) -> float:
    p = float(score) / 100
    return p * (1 - p) / n
