"""The differences to the reference: one row a member, one panel a benchmark, paired 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.compare.comparison import Comparison
from evalkit.report.curves.style import DPI, WIDTH_IN, Kind, caption_lines, foot, foot_height, mark, quiet
from evalkit.report.curves.texts import LABEL, missing, panel_title, panels, plain, short_labels
from evalkit.sweep.record import Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEFT_IN, _RIGHT_IN, _BETWEEN_IN = 1.5, 0.12, 0.16
_ROW_IN, _TITLE_IN, _BELOW_IN = 0.215, 0.32, 0.48
_COLUMNS = 3
_NOISE_LABEL = 22


@dataclass(frozen=True, slots=True)
class _Row:
    """`found` maps benchmarks to comparisons; `noise` is the reference against itself."""

    label: str
    found: dict[str, Comparison]
    noise: bool = False


def forest(sweep: Sweep) -> Figure:
    """The figure of a sweep in which something was compared."""
    from matplotlib.figure import Figure

    rows = _rows(sweep)
    shown = [(name, title) for name, title in panels(sweep) if any(name in row.found for row in rows)]
    caption = caption_lines(_caption(sweep))
    columns = min(_COLUMNS, len(shown))
    lines = math.ceil(len(shown) / columns)
    tall = _ROW_IN * (len(rows) + 0.4)
    height = lines * (_TITLE_IN + tall + _BELOW_IN) + foot_height(caption)
    width = (WIDTH_IN - _LEFT_IN - _RIGHT_IN - (columns - 1) * _BETWEEN_IN) / columns
    figure = Figure(figsize=(WIDTH_IN, height), dpi=DPI)
    kinds: set[Kind] = set()
    for index, (name, title) in enumerate(shown):
        line, column = divmod(index, columns)
        top = height - line * (_TITLE_IN + tall + _BELOW_IN) - _TITLE_IN
        left = _LEFT_IN + column * (width + _BETWEEN_IN)
        axes = figure.add_axes((left / WIDTH_IN, (top - tall) / height, width / WIDTH_IN, tall / height))
        kinds |= _panel(axes, rows, name, sweep.margin, names=column == 0)
        axes.set_xlim(*_limits(rows, sweep.margin))
        estimates = [row.found[name].difference for row in rows if name in row.found]
        axes.set_title(
            panel_title(title, estimates), loc="left", fontsize=8.5, fontweight="bold", parse_math=False
        )
        axes.set_xlabel("difference, points", fontsize=8.5, labelpad=2)
    foot(figure, kinds, caption)
    return figure


def _rows(sweep: Sweep) -> list[_Row]:
    labels = short_labels(sweep)
    rows = [
        _Row(labels[member.name], {found.benchmark: found for found in member.comparisons})
        for member in sweep.members
        if member.comparisons
    ]
    noise = [
        _Row(
            plain(floor.what, _NOISE_LABEL),
            {found.benchmark: found for found in floor.comparisons},
            noise=True,
        )
        for floor in sweep.noise
        if floor.comparisons
    ]
    return rows + noise


def _panel(axes: Axes, rows: Sequence[_Row], benchmark: str, margin: float, names: bool) -> set[Kind]:
    """Draw one panel; returns the kinds of marks in it."""
    quiet(axes, "x")
    axes.axvspan(
        -1000, -100 * margin, facecolor="0.97", edgecolor="0.88", hatch="////", linewidth=0, zorder=0.5
    )
    axes.axvline(0, color="0.3", linewidth=0.9, zorder=1)
    axes.axvline(-100 * margin, color="0.3", linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    kinds: set[Kind] = set()
    for line, row in enumerate(rows):
        comparison = row.found.get(benchmark)
        if comparison is None:
            continue
        kind: Kind = "noise" if row.noise else comparison.verdict.kind
        kinds.add(kind)
        difference = comparison.difference
        axes.plot(
            [100 * difference.low, 100 * difference.high],
            [line, line],
            color="0.6" if row.noise else "black",
            linewidth=1.1,
            zorder=2,
        )
        axes.plot(100 * difference.value, line, zorder=3, **mark(kind))
    axes.set_yticks(range(len(rows)), [row.label for row in rows] if names else [""] * len(rows))
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=6, steps=[1, 2, 5, 10])
    return kinds


def _limits(rows: Sequence[_Row], margin: float) -> tuple[float, float]:
    """One scale for all panels, so that a wide interval looks wide."""
    found = [comparison.difference for row in rows for comparison in row.found.values()]
    low = min(-2 * margin, *(each.low for each in found))
    high = max(margin, *(each.high for each in found))
    room = 0.04 * (high - low)
    return 100 * (low - room), 100 * (high + room)


def _caption(sweep: Sweep) -> list[str]:
    compared = [member.name for member in sweep.members if member.comparisons]
    reference = short_labels(sweep)[sweep.reference]
    return [
        f"Accuracy minus that of the reference {reference} on the same items, with paired 95 % intervals "
        f"(rule {plain(sweep.rule, LABEL)}). Hatched: a loss of {100 * sweep.margin:g} points or more. Marks "
        "say the verdict after Holm's correction.",
        "Grey rows: the reference against itself, the noise floor." if sweep.noise else "",
        missing(sweep, [*compared, sweep.reference], "not compared"),
    ]
