"""The scorer-sensitivity figure: one panel a benchmark, one line a rule, accuracy with its standard error.

Same input, same bytes: no dates, fixed ids in the SVG, and none of the user's matplotlib settings. The
default rule is told from the others by its filled mark and the line through it, not by colour.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.report.items import Mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_IN = 7.5
LINE_IN = 0.26
PANEL_IN = 0.55  # a panel's title and what is between panels
MARGIN_IN = 0.75  # the axis below the last panel, and its label
LEFT_IN, RIGHT_IN = 1.75, 1.65
DPI = 150
PARTIAL = 0.9  # below this share of the reference's examples a rule judges another population


@dataclass(frozen=True, slots=True)
class Panel:
    """One benchmark: its rules from top to bottom; ``reference`` is the one that the line goes through."""

    title: str
    rules: list[tuple[str, Mean]]
    reference: str


def draw(panels: Sequence[Panel]) -> tuple[bytes, bytes]:
    """The figure as PNG and as SVG."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"font.size": 9, "axes.titlesize": 10, "svg.hashsalt": "evalkit"})
        figure = _figure(panels)
        png, svg = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", metadata={"Software": None})
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return png.getvalue(), svg.getvalue()


def _figure(panels: Sequence[Panel]) -> Figure:
    from matplotlib.figure import Figure

    heights = [LINE_IN * (len(panel.rules) + 0.4) for panel in panels]
    total = sum(heights) + PANEL_IN * len(panels) + MARGIN_IN
    figure = Figure(figsize=(WIDTH_IN, total), dpi=DPI)
    width = WIDTH_IN - LEFT_IN - RIGHT_IN
    top = total
    for panel, height in zip(panels, heights, strict=True):
        top -= PANEL_IN
        bounds = (
            LEFT_IN / WIDTH_IN,
            (top - height) / total,
            width / WIDTH_IN,
            height / total,
        )
        _panel(figure.add_axes(bounds), panel, last=panel is panels[-1])
        top -= height
    return figure


def _panel(axes: Axes, panel: Panel, last: bool) -> None:
    axes.set_title(panel.title, loc="left", fontweight="bold", parse_math=False)
    reference = next((mean for name, mean in panel.rules if name == panel.reference), None)
    if reference is not None and reference.value is not None:
        axes.axvline(100 * reference.value, color="0.6", linewidth=1, zorder=1)
    for line, (name, mean) in enumerate(panel.rules):
        if mean.value is None:
            continue
        main = name == panel.reference
        partial = reference is not None and is_partial(mean, reference)
        axes.errorbar(
            100 * mean.value,
            line,
            xerr=100 * mean.error if mean.error else None,
            fmt="D" if main else "x" if partial else "o",
            color="0.5" if partial else "black",
            markerfacecolor="black" if main else "white",
            markersize=6 if main else 5.5,
            capsize=3,
            linewidth=1.2,
            zorder=3,
        )
        axes.text(102.5, line, _label(mean), va="center", fontweight="bold" if main else "normal")
    axes.set_yticks(range(len(panel.rules)), [name for name, _ in panel.rules])
    axes.set_ylim(len(panel.rules) - 0.3, -0.7)
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() == panel.reference else "normal")
    _x_axis(axes, last)


def is_partial(mean: Mean, reference: Mean) -> bool:
    """Whether a rule judges so few of the reference's examples that the two are not comparable."""
    return mean.n < PARTIAL * reference.n


def _x_axis(axes: Axes, last: bool) -> None:
    axes.set_xlim(-2, 102)
    axes.set_xticks(range(0, 101, 20))
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelbottom=last)
    axes.grid(axis="x", color="0.9", linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    if last:
        axes.set_xlabel(
            "accuracy under the rule, % (bar: one standard error; ×: judges only some of the examples)"
        )


def _label(mean: Mean) -> str:
    # Scores that are all equal have an error of 0.0, which would pass for certainty.
    error = f" ± {100 * mean.error:.1f}" if mean.error else ""
    return f"{100 * (mean.value or 0.0):.1f}{error}  n={mean.n}"
