"""Accuracy against a cost: a large panel for the average, smaller ones for the benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from evalkit.report.curves.labels import label
from evalkit.report.curves.points import Axis, Point, front, points
from evalkit.report.curves.style import (
    DPI,
    WIDTH_IN,
    caption_lines,
    foot,
    foot_height,
    mark,
    quiet,
)
from evalkit.report.curves.texts import LABEL, missing, panel_title, panels, plain, shape
from evalkit.sweep.record import Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LARGE_IN, _SMALL_IN = 3.3, 2.35  # heights of the plotted area
_LEFT_IN, _RIGHT_IN, _BETWEEN_IN = 0.6, 0.22, 0.62
_TITLE_IN, _BELOW_IN = 0.3, 0.48

_Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class _Panel:
    title: str
    points: list[Point]
    reference: float | None
    large: bool


def scatter(sweep: Sweep, axis: Axis) -> Figure:
    """The figure for an axis on which some member has a place."""
    from matplotlib.figure import Figure

    shown = []
    for index, (name, title) in enumerate(panels(sweep)):
        found = points(sweep, name, axis)
        if found:
            reference = sweep.member(sweep.reference).accuracy.get(name)
            heading = panel_title(title, (point.accuracy for point in found))
            shown.append(_Panel(heading, found, reference.value if reference else None, index == 0))
    caption = caption_lines(_caption(sweep, axis, shown))
    slots, height = _layout(shown, foot_height(caption))
    figure = Figure(figsize=(WIDTH_IN, height), dpi=DPI)
    unit = axis.unit(max(point.x for panel in shown for point in panel.points))
    for panel, (left, bottom, width, tall) in zip(shown, slots, strict=True):
        bounds = (left / WIDTH_IN, bottom / height, width / WIDTH_IN, tall / height)
        axes = figure.add_axes(bounds)
        _draw(axes, panel.points, axis, unit, panel.reference, sweep.margin)
        axes.set_title(panel.title, loc="left", fontweight="bold", parse_math=False)
        axes.set_xlabel(f"{axis.title}, {unit[0]}", fontsize=8.5, labelpad=2)
        if left == _LEFT_IN:
            axes.set_ylabel("accuracy, %", fontsize=8.5)
    foot(figure, (point.kind for panel in shown for point in panel.points), caption)
    return figure


def _layout(shown: Sequence[_Panel], below: float) -> tuple[list[_Bounds], float]:
    """(left, bottom, width, height) of each panel in inches, and the figure's height."""
    full = WIDTH_IN - _LEFT_IN - _RIGHT_IN
    half = (full - _BETWEEN_IN) / 2
    boxes: list[_Bounds] = []
    top, column = 0.0, 0
    for panel in shown:
        tall = _LARGE_IN if panel.large else _SMALL_IN
        if column == 0:
            top += _TITLE_IN + tall + _BELOW_IN
        left = _LEFT_IN + column * (half + _BETWEEN_IN)
        boxes.append((left, top - _BELOW_IN, full if panel.large else half, tall))
        column = 0 if panel.large else 1 - column
    height = top + below
    return [(left, height - down, width, tall) for left, down, width, tall in boxes], height


def _draw(
    axes: Axes,
    found: Sequence[Point],
    axis: Axis,
    unit: tuple[str, float],
    reference: float | None,
    margin: float,
) -> None:
    """Points with 95 % bars, the Pareto front, the reference's band and labels."""
    quiet(axes, "y")
    axes.locator_params(axis="x", nbins=7)
    x = [point.x / unit[1] for point in found]
    _limits(axes, found, x, reference, margin)
    lines = []
    if reference is not None:
        low, high = 100 * (reference - margin), 100 * (reference + margin)
        axes.axhspan(low, high, facecolor="0.97", edgecolor="0.86", hatch="////", linewidth=0, zorder=0.5)
        axes.axhline(100 * reference, color="0.55", linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
        lines.append([(side, 100 * reference) for side in axes.get_xlim()])
    best = front(found, axis)
    steps = _steps([(point.x / unit[1], 100 * point.accuracy.value) for point in best])
    axes.plot(*zip(*steps, strict=True), color="0.35", linewidth=1.1, zorder=2)
    lines.append(steps)
    for at, point in zip(x, found, strict=True):
        bar = [(at, 100 * point.accuracy.low), (at, 100 * point.accuracy.high)]
        axes.plot(*zip(*bar, strict=True), color="0.62", linewidth=1.0, zorder=1.5)
        lines.append(bar)
        axes.plot(at, 100 * point.accuracy.value, zorder=4, **mark(point.kind))
    spots = [(at, 100 * point.accuracy.value) for at, point in zip(x, found, strict=True)]
    bold = {point.name for point in best}
    label(axes, spots, [(point.label, point.name in bold) for point in found], lines)


def _steps(best: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The front's corners: an accuracy holds until the budget reaches the next member."""
    corners = [best[0]]
    for (_, y), following in pairwise(best):
        corners += [(following[0], y), following]
    return corners


def _limits(
    axes: Axes, found: Sequence[Point], x: Sequence[float], reference: float | None, margin: float
) -> None:
    ends = [end for point in found for end in (point.accuracy.low, point.accuracy.high)]
    if reference is not None:
        ends += [reference - margin, reference + margin]
    low, high = max(0.0, min(ends)), min(1.0, max(ends))
    room = 0.06 * (high - low) or 0.01
    axes.set_ylim(100 * (low - room), 100 * (high + room))
    spread = max(x) - min(x)
    # Members in one place get an axis around it, not one of width zero.
    side = 0.12 * spread if spread > 1e-3 * max(x) else 0.1 * max(x) or 1.0
    axes.set_xlim(min(x) - side, max(x) + side)


def _caption(sweep: Sweep, axis: Axis, shown: Sequence[_Panel]) -> list[str]:
    drawn = [point.name for panel in shown for point in panel.points]
    return [
        f"Bars: 95 % interval of each accuracy (rule {plain(sweep.rule, LABEL)}). Hatched: the reference's "
        f"accuracy ± {100 * sweep.margin:g} points. Marks say what the paired comparison with the reference "
        "found, which is sharper than the bars. Line and bold labels: Pareto front of the point estimates.",
        f"Measured with {shape(sweep)}." if axis.file == "accuracy-memory" and shape(sweep) else "",
        missing(sweep, drawn, f"no {axis.title} measured"),
    ]
