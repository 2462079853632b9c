"""What `evalkit recommend` prints: the answer in one sentence, why, what else fits and what does not.

Nobody else's text is read as markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from evalkit.report.curves import panels, slots_of
from evalkit.report.load import command_text
from evalkit.report.sweep import WIDE, number_cell, peak_cell, size_cell, verdict_cell
from evalkit.report.verdict import about, limit_word, sweep_answer, to_test_first, too_few, verdict_sentence
from evalkit.schema import AVERAGE
from evalkit.sweep.recommend import (
    Need,
    Recommendation,
    foretold,
    is_good,
    needed_of,
    seconds_for,
    unfit_member,
)
from evalkit.sweep.record import Cost, Member, Sweep, overall
from evalkit.text import percent, printable, size_text, tenths, terminal_table


def recommendation_parts(sweep: Sweep, found: Recommendation, width: int) -> Iterator[RenderableType]:
    """What to print, in order, for a terminal of `width` characters."""
    yield Text(answer(sweep, found), style="bold")
    if found.chosen is not None:
        chosen = found.chosen.member
        file = f" ({printable(chosen.weights.file)}, {size_cell(chosen)})" if chosen.weights else ""
        yield Text(f"{printable(chosen.title)}{file}")
        for line in [*_why(sweep, found, found.chosen), *_cautions(sweep, chosen), *_serve(found.chosen)]:
            yield Text(f"  {line}")
    others = [each for each in found.fitting if each is not found.chosen]
    if others:
        yield _needs_table(sweep, "also fits", others, found.memory, width)
    if found.unfit:
        yield _needs_table(sweep, "unfit", found.unfit, found.memory, width)
    if found.too_slow:
        yield _needs_table(sweep, "too slow", found.too_slow, found.memory, width)
    if found.unmeasured:
        yield _needs_table(sweep, "not measured under load", found.unmeasured, found.memory, width)
    if found.too_large:
        yield _needs_table(sweep, _LACKS, found.too_large, found.memory, width)
    for member in found.unknown:
        what = printable(member.reason or "", 200) if member.status == "failed" else "its memory is not known"
        yield Text(f"left out: {printable(member.title)}: {what}")
    for line in _surer(sweep, found):
        yield Text(line)


def answer(sweep: Sweep, found: Recommendation) -> str:
    """The sentence that all else explains."""
    fit, unfit = ([each.member for each in needs] for needs in (found.fitting, found.unfit))
    return sweep_answer(sweep, fit, unfit, printable)


def _why(sweep: Sweep, found: Recommendation, choice: Need) -> Iterator[str]:
    chosen, cost = choice.member, choice.member.cost
    yield (f"needs {size_text(choice.bytes, up=True)} of {size_text(found.memory)}, {_basis(found, choice)}")
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
        yield f"accuracy {percent(estimate)} % ({_over(shown)})"
    yield f"{verdict_cell(sweep, chosen, overall(chosen))}: {_reason(sweep, found, chosen)}"


def _over(shown: Sequence[tuple[str, str]]) -> str:
    titles = [printable(title) for name, title in shown if name != AVERAGE]
    return f"average of {', '.join(titles)}" if len(titles) > 1 else titles[0]


def _basis(found: Recommendation, choice: Need) -> str:
    cost = choice.member.cost
    assert cost is not None, "what has no cost has no need"
    if choice.served is not None and choice.served.load.peak_bytes is not None:
        load = choice.served.load
        return f"measured under load with {slots_of(load.context or 0, load.slots)}"
    context, slots = found.context or cost.context, found.slots or cost.slots
    shape = slots_of(context, slots) if context and slots else "its own context and slots"
    if choice.basis == "measured":
        return f"measured with {shape}"
    if choice.basis == "predicted":
        return f"predicted for {shape}; not measured"
    return f"estimated for {shape} from {peak_cell(choice.member)} measured with {_own(cost)}"


def _own(cost: Cost) -> str:
    assert cost.context is not None, "nothing is scaled from an unknown shape"
    assert cost.slots is not None, "nothing is scaled from an unknown shape"
    return slots_of(cost.context, cost.slots)


def _reason(sweep: Sweep, found: Recommendation, chosen: Member) -> str:
    kind = _kind(sweep, chosen)
    if kind == "good":
        good = sum(_kind(sweep, each.member) == "good" for each in found.fitting)
        return (
            f"the fastest of {good} that fit and are no worse"
            if good > 1
            else "no other that fits is shown to be as good"
        )
    if kind == "unresolved":
        return "none that fits is shown to be as good; this one keeps the most bits per weight"
    if kind == "worse":
        return "all that fit are worse than the reference; this one loses least"
    return "none that fits could be compared with the reference; this one needs least"


def _kind(sweep: Sweep, member: Member) -> str:
    comparison = overall(member)
    if is_good(sweep, member):
        return "good"
    return comparison.verdict.kind if comparison else "not compared"


def _cautions(sweep: Sweep, member: Member) -> Iterator[str]:
    if foretold(sweep, member) == "near":
        yield from _sense(member)
    if member.name != sweep.reference and (why := unfit_member(sweep.member(sweep.reference))):
        yield f"the reference is unfit ({why.reason}): to be as good as it says nothing"
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


def _sense(member: Member) -> Iterator[str]:
    """In which sense a file is as good that accuracy says nothing of."""
    assert member.fidelity is not None, "what is near was measured"
    found = member.fidelity.overall
    assert found.noise is not None, "what is near has a noise to be near to"
    yield (
        f"as good in this sense: it puts {tenths(1 - found.agreement.value)} % of the tokens of the "
        f"reference's answers otherwise, the reference itself, read again, {tenths(found.noise.value)} %; on "
        "accuracy nothing is shown"
    )


def _serve(choice: Need) -> Iterator[str]:
    """What people saw who asked it, and how to serve it so."""
    if choice.served is None:
        return
    level, load = choice.served.level, choice.served.load
    waits = [("first token", level.first_token), ("per token", level.per_token), ("answer", level.answer)]
    said = ", ".join(f"{name} {wait.p95:.3g} s" for name, wait in waits if wait is not None)
    users = "1 user" if level.users == 1 else f"{level.users} users"
    cpu = printable(str(load.machine.get("cpu") or "another machine"))
    speed = f"{level.tokens_per_second:.1f} tokens/s"
    yield f"{users} at once, 95 % within: {said}; {speed} ({level.done} answers, {cpu})"
    yield f"serve it: {command_text(load.command)}"


_LACKS = "does not fit"


def _needs_table(sweep: Sweep, title: str, needs: Sequence[Need], memory: int, width: int) -> Table:
    first = panels(sweep)[0][0] if panels(sweep) else AVERAGE
    wide = width >= WIDE
    rows = []
    for each in needs:
        member = each.member
        speed = member.cost.decode_tokens_per_second if member.cost else None
        spare = size_text(abs(memory - each.bytes), up=each.bytes > memory)
        rows.append(
            (
                member.title,
                size_text(each.bytes, up=True),
                *((spare, number_cell(speed)) if wide else ()),
                percent(member.accuracy.get(first)),
                verdict_cell(sweep, member, overall(member)),
            )
        )
    more = ("lacks" if title == _LACKS else "left", "decode tok/s") if wide else ()
    header = (title, "needs", *more, "accuracy %", "verdict")
    return terminal_table(header, rows, width, left=(0, len(header) - 1))


def _surer(sweep: Sweep, found: Recommendation) -> Iterator[str]:
    """What would settle what is open among the members that fit, one line each."""
    needs = {
        each.member.name: needed
        for each in found.fitting
        if (needed := needed_of(sweep, each.member, overall(each.member))) is not None
    }
    first = to_test_first(sweep, [each.member for each in found.fitting], printable)
    if first and first not in answer(sweep, found):
        yield first.strip()
    if not needs and found.fitting:
        yield "to be surer: every file that fits has its verdict"
    for name, needed in needs.items():
        title = printable(sweep.member(name).title)
        if needed.kind == "limit":
            word, more = limit_word(needed.limit, sweep.source), f"{needed.more:,} more questions"
            yield f"to be surer of {title}: {word}, {more}{about(seconds_for(sweep, needed.more))}"
        elif needed.kind == "never":
            yield f"to be surer of {title}: {too_few(needed, len(sweep.benchmarks) == 1)}"
        else:
            yield f"to be surer of {title}: more questions; how many cannot be told"
