"""The checks of a published table, each from the table to findings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from evalkit.audit.digits import possible, whole_share
from evalkit.audit.separation import Z, implied, score_z
from evalkit.audit.table import PrintedRow, PublishedTable, mean

Kind = Literal["average", "rounding", "impossible_digits", "baseline", "below_base", "version"]

WHOLE_TABLE = "(whole table)"
CHANCE = 1e-3
"""Whole numbers where finer ones are possible are reported if chance makes as many less often than this."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a reader of the table should know. `row` is a row's title, or the whole table."""

    row: str
    kind: Kind
    text: str


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


def _explained(table: PublishedTable, row: PrintedRow) -> str:
    """Another version of the row's scores with which the printed average is right."""
    for version in row.versions:
        fixed = mean(table, {**row.scores, **version.scores})
        if abs(fixed - row.average) <= table.half_unit:
            scores = _scores(table, version.scores)
            return f". With {scores} ({version.source}) they average {_number(fixed)}, which fits"
    return ""


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


def _separated(z: float) -> str:
    return f"z = {z:.1f}, {'separated' if abs(z) >= Z else 'not separated'}"


def _scores(table: PublishedTable, scores: dict[str, Decimal]) -> str:
    return " and ".join(f"{score} on {table.benchmarks[name].title}" for name, score in scores.items())


def _number(value: Decimal) -> str:
    """With two digits, the second only if it is there."""
    text = f"{value:.2f}"
    return text.removesuffix("0")
