"""The curves of a sweep: accuracy against each cost, and each member's difference to the reference."""

from __future__ import annotations

import functools

from evalkit.report.curves.forest import forest
from evalkit.report.curves.points import AXES, points
from evalkit.report.curves.scatter import scatter
from evalkit.report.curves.style import render
from evalkit.report.curves.texts import panels
from evalkit.sweep.record import Sweep


def names(sweep: Sweep) -> dict[str, str]:
    """The figures that the sweep has data for: file name without suffix -> what it shows."""
    shown = {
        axis.file: f"Accuracy against {axis.title}"
        for axis in AXES
        if any(points(sweep, name, axis) for name, _ in panels(sweep))
    }
    if any(member.comparisons for member in sweep.members):
        shown["differences"] = "Differences to the reference"
    return shown


def curves(sweep: Sweep) -> dict[str, bytes]:
    """File name -> content: PNG and SVG of every figure that the sweep has data for.

    The same sweep gives the same bytes.
    """
    axes = {axis.file: axis for axis in AXES}
    files = {}
    for name in names(sweep):
        draw = (
            functools.partial(scatter, sweep, axes[name])
            if name in axes
            else functools.partial(forest, sweep)
        )
        files[f"{name}.png"], files[f"{name}.svg"] = render(draw)
    return files
