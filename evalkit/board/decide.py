"""Which file to deploy: runs that compare, in groups with a reference, a verdict for each, and a headline.

A group is a sweep, or runs of this site that were asked the same under the same protocol. Both are shown as a
`Sweep`, so that figures, verdicts and the choice by memory come from where all sweeps have them. Files at the
floor are unfit: never a choice, whatever the comparison with a reference says.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Literal

from evalkit.board.board import Board, SiteRun
from evalkit.compare.comparison import comparisons, judged
from evalkit.compare.needed import sizes_of
from evalkit.compare.pairs import pair
from evalkit.fitness import constant_answer
from evalkit.report.curves import panels
from evalkit.report.verdict import (
    foretold_words,
    near_answer,
    open_answer,
    points,
    to_test_first,
    verdict_sentence,
)
from evalkit.schema import AVERAGE, Comparison, Estimate, UserError, VerdictKind
from evalkit.sweep.recommend import Need, foretold, need, steps, unfit_member
from evalkit.sweep.record import Member, Sweep, overall
from evalkit.sweep.results import cost_of, weights_of
from evalkit.text import size_text, tenths

MARGIN = 0.02
"""The loss that must be excluded where no sweep says another one; the default of `sweep` and `compare`."""

MOST_READ = 5_000
"""Answers of which wrong ones are read to see whether they are others: milliseconds each."""

LABEL = 28

Kind = VerdictKind | Literal["reference", "not_compared", "failed", "unfit"]


@dataclass(frozen=True, slots=True)
class Row:
    """A file in its group. `words`: the verdict; `unfit`: why it is no choice, "" if it may be one.

    `near`: accuracy has no verdict, and token by token it is within the engine's noise.
    ``accuracy`` and ``comparison`` are of the average, or of the only benchmark. `run` is None for a member
    of a sweep whose run is not on the site.
    """

    member: Member
    label: str
    run: SiteRun | None
    kind: Kind
    words: str
    unfit: str
    accuracy: Estimate | None
    comparison: Comparison | None
    need: Need | None
    near: bool


@dataclass(frozen=True, slots=True)
class Step:
    """From `bytes` of memory on, this file is the choice."""

    bytes: int
    row: Row


@dataclass(frozen=True, slots=True)
class Group:
    """Files that compare with each other. `reference` is None for runs that compare with no other.

    `headline` answers "which file?" in a sentence or two; `steps` do it for a given memory. `wrong_counted`:
    whether its comparisons count wrong answers that became other wrong ones.
    """

    anchor: str
    sweep: Sweep
    rows: list[Row]
    reference: Row | None
    headline: str
    steps: list[Step]
    made_by_sweep: bool
    wrong_counted: bool

    @property
    def title(self) -> str:
        """The sweep's, or what its runs have in common."""
        return self.sweep.title

    @property
    def budgets(self) -> tuple[int, int] | None:
        """The least and the most memory (bytes) between which the choice depends on it."""
        known = [row.need.bytes for row in self.rows if row.need]
        return (min(known), max(known)) if len(known) > 1 else None


def groups_of(board: Board, runs: Sequence[SiteRun], sweeps: Sequence[Sweep]) -> list[Group]:
    """The sweeps, then the other runs of the site, each run once in the first group that has it."""
    found: list[Group] = []
    places = {(run.measured.model, run.measured.run): run for run in runs}
    shown: set[int] = set()
    for sweep in sweeps:
        here = {
            member.name: run
            for member in sweep.members
            if (run := places.get((member.name, PurePosixPath(member.run_dir or "").name)))
        }
        found.append(_group(f"group-{len(found)}", sweep, here, made_by_sweep=True, wrong_counted=True))
        shown |= {run.number for run in here.values()}
    rest = [run for run in runs if run.number not in shown]
    small = _is_small(rest)
    for sweep, here in _comparable(board, rest):
        found.append(_group(f"group-{len(found)}", sweep, here, made_by_sweep=False, wrong_counted=small))
    return found


def _comparable(board: Board, runs: Sequence[SiteRun]) -> Iterable[tuple[Sweep, dict[str, SiteRun]]]:
    """The runs in groups as if each had been swept: others are held to the file with the most bits."""
    waiting, wrong = sorted(runs, key=_precision, reverse=True), _is_small(runs)
    alone: list[SiteRun] = []
    while waiting:
        reference, *others = waiting
        compared = {run.number: found for run in others if (found := _compared(run, reference, wrong))}
        members = [reference, *(run for run in others if run.number in compared)]
        waiting = [run for run in others if run.number not in compared]
        if len(members) == 1:
            alone.append(reference)
        else:
            yield _as_sweep(board, members, reference, compared), {run.slug: run for run in members}
    if alone:
        alone.sort(key=lambda run: run.number)
        yield _as_sweep(board, alone, None, {}), {run.slug: run for run in alone}


def _precision(run: SiteRun) -> tuple[float, int, int]:
    entry = run.measured
    return entry.bits_per_weight or 0.0, entry.size_bytes or 0, -run.number


def _is_small(runs: Sequence[SiteRun]) -> bool:
    return sum(len(run.run.items) for run in runs) <= MOST_READ


def _compared(run: SiteRun, reference: SiteRun, wrong: bool) -> list[Comparison]:
    try:
        return comparisons(pair(run.run, reference.run, same_examples=False), MARGIN, wrong=wrong)
    except UserError:  # another protocol, other data: not to be compared
        return []


def _as_sweep(
    board: Board,
    runs: Sequence[SiteRun],
    reference: SiteRun | None,
    compared: dict[int, list[Comparison]],
) -> Sweep:
    family = judged([compared.get(run.number, []) for run in runs], MARGIN)
    first = runs[0].run  # what compares was asked on the same data
    protocols = list(dict.fromkeys(f"{run.measured.protocol}, {run.measured.data}" for run in runs))
    return Sweep(
        name="",
        title=protocols[0] if len(protocols) == 1 else "Runs that compare with no other",
        rule=", ".join(dict.fromkeys(run.measured.rule for run in runs)),
        margin=MARGIN,
        reference=reference.slug if reference else "",
        benchmarks=board.benchmarks,
        members=tuple(_member(run, found) for run, found in zip(runs, family, strict=True)),
        questions={name: size for name, size in sizes_of(first).items() if size is not None},
        source=next((data.source for data in first.info.data.values()), ""),
    )


def _member(run: SiteRun, compared: Sequence[Comparison]) -> Member:
    entry = run.measured
    samples = [sample for item in run.run.items for sample in item.samples]
    accuracies = {name: cell.estimate for name, cell in entry.cells.items() if cell.estimate}
    if entry.average:
        accuracies[AVERAGE] = entry.average
    return Member(
        name=run.slug,
        title=run.label,
        status="done",
        weights=weights_of(run.run.info.engine),
        cost=cost_of(run.run),
        accuracy=accuracies,
        truncated=statistics.fmean(sample.cut_off for sample in samples) if samples else None,
        comparisons=tuple(compared),
    )


def _group(
    anchor: str, sweep: Sweep, here: dict[str, SiteRun], *, made_by_sweep: bool, wrong_counted: bool
) -> Group:
    labels = short_names([member.title for member in sweep.members])
    rows = [
        _row(sweep, member, label, here.get(member.name))
        for member, label in zip(sweep.members, labels, strict=True)
    ]
    by_name = {row.member.name: row for row in rows}
    fit = [row for row in rows if not row.unfit and row.member.status != "failed"]
    choice = steps(replace(sweep, members=tuple(row.member for row in fit)))
    reference = by_name.get(sweep.reference)
    if not made_by_sweep:
        rows.sort(key=lambda row: -(row.need.bytes if row.need else 0))
    return Group(
        anchor=anchor,
        sweep=sweep,
        rows=rows,
        reference=reference,
        headline=_headline(sweep, rows, fit, reference),
        steps=[Step(each.bytes, by_name[each.member.name]) for each in choice],
        made_by_sweep=made_by_sweep,
        wrong_counted=wrong_counted,
    )


def short_names(titles: Sequence[str]) -> list[str]:
    """Each title without the words that all begin with; a long one loses its middle."""
    words = [title.split() for title in titles]
    common = 0
    if len(words) > 1:
        columns = zip(*(each[:-1] for each in words), strict=False)
        common = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
    return [_short(" ".join(each[common:])) for each in words]


def _short(text: str) -> str:
    return text if len(text) <= LABEL else f"{text[: LABEL // 2]}…{text[-(LABEL // 2 - 1) :]}"


def _row(sweep: Sweep, member: Member, label: str, run: SiteRun | None) -> Row:
    first = next((name for name, _ in panels(sweep)), AVERAGE)
    comparison, unfit = overall(member), _unfit(member, run)
    kind: Kind = comparison.verdict.kind if comparison else "not_compared"
    words = verdict_words(comparison, sweep.margin) if comparison else "not compared"
    words += foretold_words(sweep, member)
    if member.name == sweep.reference:
        kind, words = "reference", "the reference"
    if member.status == "failed":
        kind, words = "failed", f"failed: {member.reason}" if member.reason else "failed"
    elif unfit:
        kind = "unfit"
        words = f"unfit: {unfit}" + ("; the reference" if member.name == sweep.reference else "")
    accuracy = member.accuracy.get(first) or member.accuracy.get(AVERAGE)
    near = foretold(sweep, member) == "near"
    return Row(member, label, run, kind, words, unfit, accuracy, comparison, need(member), near)


def verdict_words(comparison: Comparison, margin: float) -> str:
    """The verdict for a table that has the difference beside it."""
    words = {
        "as_good": f"as good, within {points(margin)}",
        "worse": "worse",
        "better": "better",
        "unresolved": "cannot tell yet",
    }
    return words[comparison.verdict.kind]


def _unfit(member: Member, run: SiteRun | None) -> str:
    """Why the file is no choice, "" if it may be one; what older records do not say, its run does."""
    if run is not None and not member.constants:
        items = {name: run.items(name) for name in member.accuracy if name != AVERAGE}
        member = replace(member, constants={name: constant_answer(each) for name, each in items.items()})
    found = unfit_member(member)
    return found.reason if found is not None else ""


def _headline(sweep: Sweep, rows: Sequence[Row], fit: Sequence[Row], reference: Row | None) -> str:
    if reference is None:
        if len(rows) == 1:
            return "One run alone: a second file, asked the same, is what it can be compared with."
        return "None of these runs was asked the same as another: they do not compare."
    if not fit:
        return "No file here is fit to deploy: every one is cut off too often, or no better than guessing."
    others = [row for row in fit if row is not reference]
    good = [row for row in others if row.kind in ("as_good", "better")]
    if good:
        return _good(sweep, min(good, key=_bytes), reference)
    near = [row for row in others if row.near]
    if near:
        smallest = min(near, key=_bytes)
        return near_answer(sweep, smallest.member, smallest.label)
    unresolved = [row.member for row in others if row.kind == "unresolved" and row.comparison]
    if unresolved:
        return f"{open_answer(sweep, unresolved)}{to_test_first(sweep, unresolved, str)}"
    if others and all(row.kind == "worse" for row in others):
        least = max(others, key=lambda row: row.comparison.difference.value if row.comparison else 0.0)
        lost = verdict_sentence(least.comparison, sweep.margin) if least.comparison else ""
        return f"Keep {reference.label}: every other file is worse. {least.label} loses least: {lost}."
    return f"{reference.label} is the only file here that is fit to deploy."


def _bytes(row: Row) -> float:
    return float(row.need.bytes) if row.need else float("inf")


def _good(sweep: Sweep, row: Row, reference: Row) -> str:
    assert row.comparison is not None, "a verdict comes of a comparison"
    if row.kind == "better":
        said = f"{row.label} is {verdict_sentence(row.comparison, sweep.margin)}: deploy it"
    else:
        said = f"Deploy {row.label}: as good as {reference.label} (within {points(sweep.margin)})"
    if row.need and reference.need and row.need.bytes < reference.need.bytes:
        said += f", with {size_text(reference.need.bytes - row.need.bytes)} less memory"
    return said + "."


def labels_of(groups: Sequence[Group], runs: Sequence[SiteRun]) -> dict[int, str]:
    """By a run's number its short name, where no two runs have the same; else its label."""
    short = {row.run.number: row.label for group in reversed(groups) for row in group.rows if row.run}
    names = [short.get(run.number, run.label) for run in runs]
    unique = len(set(names)) == len(names)
    return {run.number: name if unique else run.label for run, name in zip(runs, names, strict=True)}


def references_of(groups: Sequence[Group]) -> dict[int, SiteRun]:
    """By a run's number the reference that it is held to, where that is another run of the site."""
    found: dict[int, SiteRun] = {}
    for group in groups:
        base = group.reference.run if group.reference else None
        for row in group.rows:
            if base and row.run and row.run is not base:
                found.setdefault(row.run.number, base)
    return found


def share_text(share: float | None) -> str:
    """A share of answers in per cent; an en dash where it is not known."""
    return "–" if share is None else f"{tenths(share)} %"
