"""What members that could stop early took, for report.md and the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from evalkit.compare.control import narrower
from evalkit.report.verdict import verdict_sentence
from evalkit.sweep.record import Looked, Member, Sweep
from evalkit.text import change, plain, share, table


def looks_section(sweep: Sweep) -> str:
    """How far each member came, and what its answers say if their number had been planned; '' without."""
    rows = [_row(sweep, member, looked) for member in sweep.members for looked in member.looks]
    if not rows:
        return ""
    header = ["Member", "Benchmark", "Answers", "Pages", "Verdict", "Difference", "As if planned", "Verdict"]
    controlled = any(_narrower(looked) for member in sweep.members for looked in member.looks)
    if controlled:
        header.append("And by the reference's others")
        rows = [[*row, text] for row, text in zip(rows, _controlled(sweep), strict=True)]
    lines = [
        *looks_lines(sweep),
        "The answers were looked at after every page, in an order drawn by the seed, and a benchmark ended "
        "when its verdict was there. Verdicts, p-values and limits in this report allow for that: they hold "
        "wherever one stops (betting on page sums; Holm over members × benchmarks). `As if planned` and what "
        "comes behind it are the analysis of the same answers for a number that was planned; after so many "
        "looks it claims too much.",
    ]
    if controlled:
        lines.append(
            "`By the reference's others`: the difference put right by the reference's answers to questions "
            "that the member was not asked, as a control variate (what the reference has right can only be "
            "lost); shown where that makes the interval narrower. No verdict rests on it."
        )
    return "\n\n".join(["## Stopped when resolved", *lines, table(header, rows, text_columns=2)])


def looks_lines(sweep: Sweep) -> Iterator[str]:
    """One line on what was saved; none where nothing could stop."""
    asked = sum(looked.items for member in sweep.members for looked in member.looks)
    of = sum(looked.items_of for member in sweep.members for looked in member.looks)
    if of:
        saved = share(of - asked, of)
        yield f"Stopped when resolved: {asked:,} of {of:,} answers were enough, {saved} saved."


def _narrower(looked: Looked) -> bool:
    made, fixed = looked.controlled, looked.fixed.difference
    return made is not None and narrower(made, fixed.low, fixed.high)


def _controlled(sweep: Sweep) -> Iterator[str]:
    for member in sweep.members:
        for looked in member.looks:
            made = looked.controlled
            yield change(made.difference) if made is not None and _narrower(looked) else "-"


def _row(sweep: Sweep, member: Member, looked: Looked) -> list[str]:
    found = member.compared(looked.benchmark)
    return [
        plain(member.title),
        plain(sweep.benchmarks.get(looked.benchmark, looked.benchmark)),
        f"{looked.items:,} of {looked.items_of:,}",
        f"{looked.pages:,} of {looked.pages_of:,}",
        verdict_sentence(found, sweep.margin) if found else "-",
        change(found.difference) if found else "-",
        change(looked.fixed.difference),
        verdict_sentence(looked.fixed, sweep.margin),
    ]
