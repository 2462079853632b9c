"""Labels of the points in a panel: measured with the renderer, each put in the best place that is still free.

Coordinates are pixels; a box is (left, bottom, right, top).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from numpy.typing import NDArray
if TYPE_CHECKING:
    Boxes = NDArray[np.float64]


Line = Sequence[tuple[float, float]]

_SIZE = 7.5
_MARK = 7.0  # half a mark's width in pixels


def label_points(
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


Box = tuple[float, float, float, float]

GAP = 3.0  # pixels that stay free around a label
_RADII = (9.0, 13.0, 18.0, 25.0, 34.0, 45.0, 60.0, 80.0, 105.0)
_ANGLES = 16
_CROSSED = 30.0  # what crossing a bar, a line or a leader costs, in pixels of distance
_LEADER = 20.0  # a label further than this from its point is tied to it by a line
_SAMPLES = 12  # of a leader


@dataclass(frozen=True, slots=True)
class Place:
    """Where a label goes, and the end of the line that ties it to its point (None: it is close enough)."""

    box: Box
    leader: tuple[float, float] | None


def place(
    anchors: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    inside: Box,
    hard: Sequence[Box],
    soft: Sequence[Box],
) -> list[Place | None]:
    """Places for labels of `sizes` (width, height) near their `anchors`, in that order.

    A label lies inside `inside` and covers no other label and none of `hard` (the points' marks); it may
    cover `soft` (bars, lines) if there is nothing better near. None: nowhere is room.
    """
    import numpy as np

    taken: list[Box] = list(hard)
    crossed: list[Box] = list(soft)
    found: list[Place | None] = []
    for anchor, size in zip(anchors, sizes, strict=True):
        boxes = _candidates(anchor, size, inside)
        boxes = boxes[~_overlaps(boxes, taken, GAP).any(axis=1)]
        if not len(boxes):
            found.append(None)
            continue
        ends = np.clip(np.asarray(anchor), boxes[:, :2], boxes[:, 2:])
        distance = np.hypot(*(ends - anchor).T)
        # A line to a far label must not run through other labels.
        steps = np.linspace(0.0, 1.0, _SAMPLES)[None, :, None]
        path = np.asarray(anchor) + steps * (ends - anchor)[:, None, :]
        through = _contains(path, taken[len(hard) :]) * (distance > _LEADER)
        cost = distance + _CROSSED * _overlaps(boxes, crossed, 0.0).sum(axis=1) + 3 * _CROSSED * through
        best = int(np.argmin(cost))
        box: Box = tuple(float(side) for side in boxes[best])  # type: ignore[assignment]
        far = distance[best] > _LEADER
        found.append(Place(box, (float(ends[best, 0]), float(ends[best, 1])) if far else None))
        taken.append(box)
        if far:
            crossed.extend((x - 1, y - 1, x + 1, y + 1) for x, y in path[best].tolist())
    return found


def _candidates(anchor: tuple[float, float], size: tuple[float, float], inside: Box) -> Boxes:
    """Boxes in rings around the anchor, the right side first, then everywhere; those that are inside."""
    import numpy as np

    width, height = size
    angles = 2 * np.pi * np.arange(_ANGLES) / _ANGLES
    unit = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rings = [np.asarray(anchor) + unit * (np.array([width, height]) / 2 + radius) for radius in _RADII]
    across = np.arange(inside[0] + width / 2, inside[2] - width / 2, max(width / 3, 4.0))
    up = np.arange(inside[1] + height / 2, inside[3] - height / 2, height + GAP + 1)
    everywhere = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    centres = np.concatenate([*rings, everywhere])
    half = np.array([width, height]) / 2
    boxes = np.concatenate([centres - half, centres + half], axis=1)
    fits = (boxes[:, :2] >= inside[:2]).all(axis=1) & (boxes[:, 2:] <= inside[2:]).all(axis=1)
    return boxes[fits]


def _overlaps(boxes: Boxes, others: Sequence[Box], gap: float) -> NDArray[np.bool_]:
    """Whether box i comes closer than `gap` to other j."""
    import numpy as np

    other = np.asarray(others, dtype=float).reshape(-1, 4)
    low = boxes[:, None, :2] < other[None, :, 2:] + gap
    high = boxes[:, None, 2:] > other[None, :, :2] - gap
    return np.asarray(np.all(low & high, axis=2))


def _contains(path: Boxes, others: Sequence[Box]) -> NDArray[np.int64]:
    """In how many boxes any of the points of path i (i, step, xy) lies."""
    import numpy as np

    other = np.asarray(others, dtype=float).reshape(-1, 4)
    points = path[:, :, None, :]
    within = (points >= other[None, None, :, :2]) & (points <= other[None, None, :, 2:])
    return np.asarray(np.any(np.all(within, axis=3), axis=1).sum(axis=1))
