"""A recommendation as the terminal shows it: the file, why, what else fits and what not, how to be surer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from evalkit.compare.comparison import AVERAGE
from evalkit.compare.report import verdict_sentence
from evalkit.compare.wording import printable
from evalkit.report import sweep_cells as cells
from evalkit.report.curves.texts import panels, slots_of
from evalkit.sweep.recommend import Need, Recommendation, overall
from evalkit.sweep.record import Cost, Member, Sweep
from evalkit.sweep.sizes import size


def parts(sweep: Sweep, found: Recommendation) -> Iterator[RenderableType]:
    """What to print, in order; nobody else's text is read as markup."""
    chosen = found.chosen.member
    file = f" ({printable(chosen.weights.file)}, {cells.file_size(chosen)})" if chosen.weights else ""
    yield Text(f"{printable(chosen.title)}{file}", style="bold")
    for line in [*_why(sweep, found), *_cautions(sweep, chosen)]:
        yield Text(f"  {line}")
    others = [each for each in found.fitting if each is not found.chosen]
    if others:
        yield _table(sweep, "also fits", others, found.memory)
    if found.too_large:
        yield _table(sweep, "does not fit", found.too_large, found.memory)
    for member in found.unknown:
        what = printable(member.reason or "", 200) if member.status == "failed" else "its memory is not known"
        yield Text(f"left out: {printable(member.title)}: {what}")
    for line in _surer(sweep, found):
        yield Text(line)


def _why(sweep: Sweep, found: Recommendation) -> Iterator[str]:
    chosen, cost = found.chosen.member, found.chosen.member.cost
    yield f"needs {size(found.chosen.bytes, up=True)} of {size(found.memory)}, {_basis(found)}"
    if cost is not None:
        costs = [
            (cost.decode_tokens_per_second, "decodes {:.1f} tokens/s"),
            (cost.first_token_seconds, "first token after {:.1f} s"),
            (cost.load_seconds, "loads in {:.1f} s"),
            (cost.tokens_per_answer, "{:.0f} tokens per answer"),
        ]
        if said := ", ".join(text.format(value) for value, text in costs if value is not None):
            yield f"measured: {said}"
    shown = panels(sweep)
    if shown and (estimate := chosen.accuracy.get(shown[0][0])) is not None:
        yield f"accuracy {cells.accuracy(estimate)} % ({_over(shown)})"
    yield f"{cells.verdict(sweep, chosen, overall(chosen))}: {_reason(sweep, found)}"


def _over(shown: Sequence[tuple[str, str]]) -> str:
    titles = [printable(title) for name, title in shown if name != AVERAGE]
    return f"average of {', '.join(titles)}" if len(titles) > 1 else titles[0]


def _basis(found: Recommendation) -> str:
    cost = found.chosen.member.cost
    assert cost is not None, "what has no cost has no need"
    context, slots = found.context or cost.context, found.slots or cost.slots
    shape = slots_of(context, slots) if context and slots else "its own context and slots"
    if found.chosen.basis == "measured":
        return f"measured with {shape}"
    if found.chosen.basis == "predicted":
        return f"predicted for {shape}; not measured"
    return f"estimated for {shape} from {cells.peak(found.chosen.member)} measured with {_own(cost)}"


def _own(cost: Cost) -> str:
    assert cost.context is not None, "nothing is scaled from an unknown shape"
    assert cost.slots is not None, "nothing is scaled from an unknown shape"
    return slots_of(cost.context, cost.slots)


def _reason(sweep: Sweep, found: Recommendation) -> str:
    kind = _kind(sweep, found.chosen.member)
    if kind == "good":
        good = sum(_kind(sweep, each.member) == "good" for each in found.fitting)
        return (
            f"the fastest of {good} that fit and are no worse"
            if good > 1
            else "no other that fits is as good"
        )
    if kind == "unresolved":
        return "none that fits is shown to be as good; this one keeps the most bits per weight"
    if kind == "worse":
        return "all that fit are worse than the reference; this one loses least"
    return "none that fits could be compared with the reference; this one needs least"


def _kind(sweep: Sweep, member: Member) -> str:
    comparison = overall(member)
    if member.name == sweep.reference or (comparison and comparison.verdict.kind in ("as_good", "better")):
        return "good"
    return comparison.verdict.kind if comparison else "not compared"


def _cautions(sweep: Sweep, member: Member) -> Iterator[str]:
    for comparison in member.comparisons:
        if comparison.verdict.kind == "worse" and comparison is not overall(member):
            title = sweep.benchmarks.get(comparison.benchmark, comparison.benchmark)
            yield f"on {printable(title)}: {verdict_sentence(comparison, sweep.margin)}"
    if member.status == "partial":
        yield f"partial: {printable(member.reason or '', 200)}"
    if member.weights is not None:
        if member.weights.requantized_from:
            yield f"requantized from {printable(member.weights.requantized_from)}, not from full precision"
        for warning in member.weights.warnings:
            yield f"contradicts its recipe: {printable(warning, 200)}"


def _table(sweep: Sweep, title: str, needs: Sequence[Need], memory: int) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for column in (title, "needs", "left" if title == "also fits" else "lacks", "decode tok/s", "accuracy %"):
        table.add_column(column, justify="left" if column == title else "right", overflow="fold")
    table.add_column("verdict", overflow="fold")
    first = panels(sweep)[0][0] if panels(sweep) else AVERAGE
    for each in needs:
        member = each.member
        speed = member.cost.decode_tokens_per_second if member.cost else None
        row = (
            printable(member.title),
            size(each.bytes, up=True),
            size(abs(memory - each.bytes), up=each.bytes > memory),
            cells.number(speed),
            cells.accuracy(member.accuracy.get(first)),
            cells.verdict(sweep, member, overall(member)),
        )
        table.add_row(*(Text(cell) for cell in row))
    return table


def _surer(sweep: Sweep, found: Recommendation) -> Iterator[str]:
    """How many items would settle what is open among the members that fit."""
    verdicts = {each.member.name: overall(each.member) for each in found.fitting}
    open_ = {
        name: verdict
        for name, verdict in verdicts.items()
        if verdict and verdict.verdict.kind == "unresolved"
    }
    if not open_:
        yield "to be surer: every file that fits has its verdict at this n"
        return
    if len(open_) == sum(verdict is not None for verdict in verdicts.values()):
        yield "nothing that fits is resolvable at this n"
    for name, verdict in open_.items():
        title, n = printable(sweep.member(name).title), verdict.difference.n
        needed = verdict.verdict.needed_n
        if needed is None:
            yield f"to be surer of {title}: more items than {n:,}; how many cannot be told"
        else:
            yield f"to be surer of {title}: about {max(needed - n, 1):,} more items ({n:,} now)"
