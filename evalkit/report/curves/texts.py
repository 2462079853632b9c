"""What figures may print: titles from configs and files, made short and harmless."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import takewhile

from evalkit.compare.comparison import AVERAGE, Estimate
from evalkit.sweep.record import Sweep

LABEL = 18
FONT = "DejaVu Sans"  # comes with matplotlib, so it is the same everywhere


@functools.cache
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont(FONT)).get_charmap())


def plain(text: str, cap: int) -> str:
    """`text` on one line, at most `cap` characters, with `�` for what the font or the eye cannot show.

    Too long a text loses its middle: what tells the members of a family apart stands at the end.
    """
    shown = " ".join(text.split())
    if len(shown) > cap:
        shown = f"{shown[: cap // 2]}…{shown[-((cap - 1) // 2) :]}"
    return "".join(_visible(character) for character in shown)


def _visible(character: str) -> str:
    hidden = unicodedata.category(character).startswith("C") or ord(character) not in _glyphs()
    return "�" if hidden else character


def short_labels(sweep: Sweep) -> dict[str, str]:
    """A label per member's name: its title without the words that all titles begin with."""
    words = [member.title.split() for member in sweep.members]
    common = 0
    if len(words) > 1:
        common = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*words, strict=False)))
    return {
        member.name: plain(" ".join(each[common:]) or member.title, LABEL)
        for member, each in zip(sweep.members, words, strict=True)
    }


def panels(sweep: Sweep) -> list[tuple[str, str]]:
    """(benchmark, title) of what was scored: the average first, unless there is only one benchmark."""
    scored = {name for member in sweep.members if member.status != "failed" for name in member.accuracy}
    found = [(name, title) for name, title in sweep.benchmarks.items() if name in scored]
    return [(AVERAGE, "Average"), *found] if len(found) > 1 else found


def panel_title(title: str, estimates: Iterable[Estimate]) -> str:
    """`FinQA, n = 1,000`; a range if the members have different numbers of items."""
    counts = sorted({estimate.n for estimate in estimates})
    number = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    return f"{plain(title, 34)}, n = {number}"


def missing(sweep: Sweep, drawn: Sequence[str], why: str) -> str:
    """A caption's sentence on the members that are not in the figure; '' if all are."""
    labels = short_labels(sweep)
    left_out = [
        f"{labels[member.name]} ({plain(member.reason or '', 60) if member.status == 'failed' else why})"
        for member in sweep.members
        if member.name not in drawn
    ]
    return f"Missing: {', '.join(left_out)}." if left_out else ""


def shape(sweep: Sweep) -> str:
    """`4 slots of 4,096 tokens` if that is what all members were measured with, else ''."""
    shapes = {(member.cost.context, member.cost.slots) for member in sweep.members if member.cost}
    if len(shapes) != 1:
        return ""
    context, slots = shapes.pop()
    return slots_of(context, slots) if context and slots else ""


def slots_of(context: int, slots: int) -> str:
    """`4 slots of 4,096 tokens`"""
    return f"{slots} slot{'' if slots == 1 else 's'} of {context:,} tokens"
