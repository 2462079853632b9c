"""What a sweep measured of its files token by token, for report.md, table.csv and the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from evalkit.fidelity.figures import excess
from evalkit.report.curves import panels
from evalkit.report.fidelity import estimate, figure, told_apart
from evalkit.schema import AVERAGE
from evalkit.sweep.record import Divergence, Member, Sweep
from evalkit.text import percent, plain, table


def is_measured(sweep: Sweep) -> bool:
    """Whether any file was."""
    return any(member.fidelity for member in sweep.members)


def kl_cell(member: Member) -> str:
    """The divergence that stands for a member's: `0.0016`, `-` where it is not known."""
    return figure(member.fidelity.overall.kl.value) if member.fidelity else "-"


def fidelity_section(sweep: Sweep) -> str:
    """Each file on each benchmark, and how to read it; '' where none was measured."""
    rows = [
        row for name, title in panels(sweep) for member in sweep.members for row in _rows(member, name, title)
    ]
    if not rows:
        return ""
    header = ["Member", "Benchmark", "KL, nats per token", "Same likeliest token, %", "Reference again, %"]
    header += ["Beyond that, points", "Right answers that flip, %", "Answers", "Tokens"]
    return "\n\n".join(
        [
            "## Fidelity to the reference, token by token",
            table(header, rows, text_columns=2),
            *_neighbours(sweep),
            "\n".join(f"- {line}" for line in _legend(sweep)),
        ]
    )


def _neighbours(sweep: Sweep) -> Iterator[str]:
    """Each file against the one that is next nearer to the reference; nothing in older records."""
    names, benchmarks = {member.name: member.title for member in sweep.members}, dict(panels(sweep))
    rows = [
        [
            plain(names.get(each.file, each.file)),
            plain(names.get(each.other, each.other)),
            plain(benchmarks.get(each.benchmark, each.benchmark)),
            estimate(each.kl),
            told_apart(each.kl),
            f"{each.kl.n:,}",
        ]
        for each in sweep.kl_differences
    ]
    if rows:
        yield "Neighbours in the order of their KL, paired by answer:"
        header = ["Member", "Less", "Benchmark", "Difference of KL, nats per token", "Apart", "Answers"]
        yield table(header, rows, text_columns=3)


def _rows(member: Member, name: str, title: str) -> Iterator[list[str]]:
    part = member.fidelity.parts.get(name) if member.fidelity else None
    if part is None:
        return
    beyond = excess(part.agreement, part.noise) if part.noise else None
    yield [
        plain(member.title),
        title if name == AVERAGE else plain(title),
        estimate(part.kl),
        percent(part.agreement),
        figure(100 * (1 - part.noise.value)) if part.noise else "-",
        f"{100 * beyond.value:+.2f} [{100 * beyond.low:+.2f}, {100 * beyond.high:+.2f}]" if beyond else "-",
        percent(part.lost),
        f"{part.kl.n:,}",
        f"{part.tokens:,}",
    ]


def _legend(sweep: Sweep) -> Iterator[str]:
    found = next(member.fidelity for member in sweep.members if member.fidelity)
    yield (
        "Each file was fed the reference's own answers and predicted their tokens; nothing was generated. KL "
        f"is over the reference's {found.top} likeliest tokens and all others as one: a lower bound. Engine: "
        f"{plain(found.library)}."
    )
    yield (
        "`Reference again`: of the tokens that the reference had generated, the share that are its likeliest "
        "when they are read. `Beyond that`: how many more tokens a file would put otherwise than the "
        "reference does itself; a whole interval at or below 0 is within the engine's noise."
    )
    yield (
        "`Right answers that flip`: the chance over the tokens of the final answer, given the reference's "
        "text before it, so that reasoning that goes elsewhere is not in it."
    )
    for member in sweep.members:
        if member.fidelity is None:
            continue
        pace = member.fidelity.seconds / max(1, member.fidelity.answers)
        ours = member.cost.seconds_per_question if member.cost else None
        beside = f", beside {ours:.2f} s of generating one" if ours else ""
        yield f"{plain(member.title)}: {pace:.2f} s per answer{beside}."
        yield from (f"{plain(member.title)}: {plain(note, 300)}." for note in member.fidelity.notes)


def divergence_cells(name: str, part: Divergence | None) -> dict[str, object]:
    """A benchmark's columns of table.csv; nats, and fractions of 1."""
    cells: dict[str, object] = {}
    for key in ("kl", "agreement", "noise", "lost"):
        found = getattr(part, key, None)
        for end in ("value", "low", "high"):
            cells[f"{name}_{key}_{end}"] = getattr(found, end, None)
    return cells
