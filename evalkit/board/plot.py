"""Places for an inline SVG of accuracy against memory: per cent across, pixels down.

Text in it keeps its size however wide the page is, because nothing is scaled: x is in per cent of the
picture's width, y in pixels. Colours come from the page's style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.board.decide import Group, Kind
from evalkit.text import size_text

HEIGHT, TOP, BOTTOM = 300, 16, 264  # pixels
LEFT, RIGHT = 9.0, 91.0  # per cent
GAP = 15  # pixels between the lines of two labels
NEAR = 18.0  # per cent across which two labels would touch


@dataclass(frozen=True, slots=True)
class Mark:
    """A file: its point, the ends of its interval, and where its name stands.

    `anchor` is SVG's text-anchor, `at` the name's own x; `front`: no cheaper file is as accurate.
    """

    label: str
    kind: Kind
    title: str
    x: float
    y: float
    low: float
    high: float
    at: float
    label_y: float
    anchor: str
    front: bool


@dataclass(frozen=True, slots=True)
class Plot:
    """The picture: marks, and (place, text) of the ticks of both axes."""

    marks: list[Mark]
    across: list[tuple[float, str]]
    down: list[tuple[float, str]]
    reference: float | None
    height: int = HEIGHT
    bottom: int = BOTTOM
    left: float = LEFT
    right: float = RIGHT


def plot_of(group: Group) -> Plot | None:
    """The picture of a group; None where fewer than two files have both an accuracy and a memory."""
    shown = [(row, row.need.bytes, row.accuracy) for row in group.rows if row.need and row.accuracy]
    if len(shown) < 2:
        return None
    low_x, high_x = min(need for _, need, _ in shown), max(need for _, need, _ in shown)
    ends = [end for _, _, estimate in shown for end in (estimate.low, estimate.high)]
    low_y, high_y = max(0.0, min(ends)), min(1.0, max(ends))
    step_y = _step(100 * (high_y - low_y), 5)
    low_y = math.floor(100 * low_y / step_y) * step_y / 100
    high_y = max(math.ceil(100 * high_y / step_y) * step_y / 100, low_y + step_y / 100)

    def across(value: float) -> float:
        return round(
            LEFT + (RIGHT - LEFT) * (value - low_x) / (high_x - low_x) if high_x > low_x else 50.0, 2
        )

    def down(value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * (value - low_y) / (high_y - low_y), 1)

    cheap = sorted(shown, key=lambda each: (each[1], -each[2].value))
    front: list[str] = []
    best = -1.0
    for row, _, estimate in cheap:
        if estimate.value > best:
            best = estimate.value
            front.append(row.member.name)
    marks: list[Mark] = []
    for row, memory, estimate in cheap:
        x, y = across(memory), down(estimate.value)
        right = x > 60
        marks.append(
            Mark(
                label=row.label,
                kind=row.kind,
                title=f"{row.label}: {100 * estimate.value:.1f} %, {size_text(memory)}, {row.words}",
                x=x,
                y=y,
                low=down(estimate.low),
                high=down(estimate.high),
                at=x,
                label_y=_free(y - 8, x, marks),
                anchor="end" if right else "start",
                front=row.member.name in front,
            )
        )
    ticks = [low_x + (high_x - low_x) * part / 2 for part in (0, 1, 2)] if high_x > low_x else [low_x]
    base = group.reference.accuracy if group.reference else None
    return Plot(
        marks=marks,
        across=[(across(each), size_text(round(each))) for each in ticks],
        down=[
            (down(low_y + number * step_y / 100), f"{100 * low_y + number * step_y:g}")
            for number in range(round(100 * (high_y - low_y) / step_y) + 1)
        ],
        reference=down(base.value) if base else None,
    )


def _step(span: float, parts: int) -> float:
    """1, 2 or 5 times a power of ten: at most about `parts` of them make `span`."""
    rough = max(span, 1e-6) / parts
    power = float(10 ** math.floor(math.log10(rough)))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _free(y: float, x: float, marks: Sequence[Mark]) -> float:
    """The nearest height upwards, then downwards, at which no name near by stands."""
    taken = [mark.label_y for mark in marks if abs(mark.x - x) < NEAR]
    for number in range(2 * len(taken) + 2):
        for tried in (y - number * GAP / 2, y + number * GAP / 2):
            if TOP <= tried <= BOTTOM - 4 and all(abs(tried - other) >= GAP for other in taken):
                return round(tried, 1)
    return round(y, 1)
