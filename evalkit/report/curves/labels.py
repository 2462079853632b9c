"""Labels of the points in a panel: measured with the renderer, put where nothing overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from evalkit.report.curves.placement import Box, place

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

Line = Sequence[tuple[float, float]]

_SIZE = 7.5
_MARK = 7.0  # half a mark's width in pixels


def label(
    axes: Axes, spots: Sequence[tuple[float, float]], texts: Sequence[tuple[str, bool]], lines: Sequence[Line]
) -> None:
    """Label the points at `spots` (data coordinates) with (text, bold); a label without room is left out.

    `lines` (data coordinates, their segments parallel to an axis) are kept clear where possible. The axes'
    limits must be final.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = axes.get_figure(root=True)
    assert figure is not None
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    made = [_annotation(axes, spot, *text) for spot, text in zip(spots, texts, strict=True)]
    extents = [text.get_window_extent(renderer) for text in made]
    anchors = [_pixels(axes, spot) for spot in spots]
    frame = axes.bbox
    places = place(
        anchors,
        [(extent.width, extent.height) for extent in extents],
        (frame.x0 + 2, frame.y0 + 2, frame.x1 - 2, frame.y1 - 2),
        [(x - _MARK, y - _MARK, x + _MARK, y + _MARK) for x, y in anchors],
        [box for line in lines for box in _boxes(axes, line)],
    )
    for text, (x, y), found in zip(made, anchors, places, strict=True):
        if found is None:
            text.remove()
            continue
        left, bottom, right, top = found.box
        # Points, not pixels: the SVG has another resolution than the PNG.
        text.set_position(
            (((left + right) / 2 - x) * 72 / figure.dpi, ((bottom + top) / 2 - y) * 72 / figure.dpi)
        )
        if found.leader:
            ends = axes.transData.inverted().transform([(x, y), found.leader])
            axes.plot(ends[:, 0], ends[:, 1], color="0.45", linewidth=0.6, zorder=3)


def _annotation(axes: Axes, spot: tuple[float, float], text: str, bold: bool) -> Annotation:
    return axes.annotate(
        text,
        spot,
        xytext=(0, 0),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=_SIZE,
        fontweight="bold" if bold else "normal",
        parse_math=False,
        bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.3},
        zorder=5,
    )


def _pixels(axes: Axes, spot: tuple[float, float]) -> tuple[float, float]:
    x, y = axes.transData.transform(spot)
    return float(x), float(y)


def _boxes(axes: Axes, line: Line) -> list[Box]:
    corners = [_pixels(axes, corner) for corner in line]
    return [
        (min(x0, x1) - 1, min(y0, y1) - 1, max(x0, x1) + 1, max(y0, y1) + 1)
        for (x0, y0), (x1, y1) in pairwise(corners)
    ]
