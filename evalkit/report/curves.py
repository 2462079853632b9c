"""The curves of a sweep: accuracy against each cost, and each member's difference to the reference.

Against a cost there is a large panel for the average and a small one for each benchmark; the line is the
Pareto front of the members. Differences have one row a member and one panel a benchmark, with paired
95 % intervals.

Marks can be told apart in grey; legend and caption stand below. Settings are pinned: no dates, fixed ids in
the SVG, none of the user's matplotlib settings, so the same input gives the same bytes. Titles from configs
and files are made short and harmless.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any, Literal

from evalkit.report.labels import label_points
from evalkit.schema import AVERAGE, Comparison, Estimate, VerdictKind
from evalkit.sweep.record import Member, Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def names(sweep: Sweep) -> dict[str, str]:
    """The figures that the sweep has data for: file name without suffix -> what it shows."""
    shown = {
        axis.file: f"Accuracy against {axis.title}"
        for axis in AXES
        if any(axis_points(sweep, name, axis) for name, _ in panels(sweep))
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


_FOREST_LEFT_IN, _FOREST_RIGHT_IN, _FOREST_BETWEEN_IN = 1.5, 0.12, 0.16
_ROW_IN, _FOREST_TITLE_IN, _FOREST_BELOW_IN = 0.215, 0.32, 0.48
_COLUMNS = 3
_NOISE_LABEL = 22


@dataclass(frozen=True, slots=True)
class _ForestRow:
    """`found` maps benchmarks to comparisons; `noise` is the reference against itself."""

    label: str
    found: dict[str, Comparison]
    noise: bool = False


def forest(sweep: Sweep) -> Figure:
    """The figure of a sweep in which something was compared."""
    from matplotlib.figure import Figure

    rows = _forest_rows(sweep)
    shown = [(name, title) for name, title in panels(sweep) if any(name in row.found for row in rows)]
    caption = caption_lines(_forest_caption(sweep))
    columns = min(_COLUMNS, len(shown))
    lines = math.ceil(len(shown) / columns)
    tall = _ROW_IN * (len(rows) + 0.4)
    height = lines * (_FOREST_TITLE_IN + tall + _FOREST_BELOW_IN) + foot_height(caption)
    width = (WIDTH_IN - _FOREST_LEFT_IN - _FOREST_RIGHT_IN - (columns - 1) * _FOREST_BETWEEN_IN) / columns
    figure = Figure(figsize=(WIDTH_IN, height), dpi=DPI)
    kinds: set[Kind] = set()
    for index, (name, title) in enumerate(shown):
        line, column = divmod(index, columns)
        top = height - line * (_FOREST_TITLE_IN + tall + _FOREST_BELOW_IN) - _FOREST_TITLE_IN
        left = _FOREST_LEFT_IN + column * (width + _FOREST_BETWEEN_IN)
        axes = figure.add_axes((left / WIDTH_IN, (top - tall) / height, width / WIDTH_IN, tall / height))
        kinds |= _forest_panel(axes, rows, name, sweep.margin, names=column == 0)
        axes.set_xlim(*_forest_limits(rows, sweep.margin))
        estimates = [row.found[name].difference for row in rows if name in row.found]
        axes.set_title(
            panel_title(title, estimates), loc="left", fontsize=8.5, fontweight="bold", parse_math=False
        )
        axes.set_xlabel("difference, points", fontsize=8.5, labelpad=2)
    foot(figure, kinds, caption)
    return figure


def _forest_rows(sweep: Sweep) -> list[_ForestRow]:
    labels = short_labels(sweep)
    rows = [
        _ForestRow(labels[member.name], {found.benchmark: found for found in member.comparisons})
        for member in sweep.members
        if member.comparisons
    ]
    noise = [
        _ForestRow(
            plain_label(floor.what, _NOISE_LABEL),
            {found.benchmark: found for found in floor.comparisons},
            noise=True,
        )
        for floor in sweep.noise
        if floor.comparisons
    ]
    return rows + noise


def _forest_panel(
    axes: Axes, rows: Sequence[_ForestRow], benchmark: str, margin: float, names: bool
) -> set[Kind]:
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


def _forest_limits(rows: Sequence[_ForestRow], margin: float) -> tuple[float, float]:
    """One scale for all panels, so that a wide interval looks wide."""
    found = [comparison.difference for row in rows for comparison in row.found.values()]
    low = min(-2 * margin, *(each.low for each in found))
    high = max(margin, *(each.high for each in found))
    room = 0.04 * (high - low)
    return 100 * (low - room), 100 * (high + room)


def _forest_caption(sweep: Sweep) -> list[str]:
    compared = [member.name for member in sweep.members if member.comparisons]
    reference = short_labels(sweep)[sweep.reference]
    return [
        f"Accuracy minus that of the reference {reference} on the same items, with paired 95 % intervals "
        f"(rule {plain_label(sweep.rule, LABEL)}). Hatched: a loss of {100 * sweep.margin:g} points or more. "
        "Marks "
        "say the verdict after Holm's correction.",
        "Grey rows: the reference against itself, the noise floor." if sweep.noise else "",
        missing(sweep, [*compared, sweep.reference], "not compared"),
    ]


@dataclass(frozen=True, slots=True)
class Axis:
    """A cost, less of which is better unless `more_is_better`.

    `units` are (name, size in the value's own unit), largest first; a figure uses the largest that its
    largest value reaches.
    """

    file: str
    title: str
    units: tuple[tuple[str, float], ...]
    value: Callable[[Member], float | None]
    more_is_better: bool = False

    def unit(self, largest: float) -> tuple[str, float]:
        """The unit for values up to `largest`."""
        return next((unit for unit in self.units if largest >= unit[1]), self.units[-1])


Kind = VerdictKind | Literal["reference", "not_compared", "noise"]


@dataclass(frozen=True, slots=True)
class Point:
    """A member in one panel: `x` in the axis' own unit (bytes, tokens per second)."""

    name: str
    label: str
    x: float
    accuracy: Estimate
    kind: Kind


AXES = (
    Axis(
        "accuracy-memory",
        "peak memory",
        (("GiB", 2**30), ("MiB", 2**20)),
        lambda member: member.cost.memory_bytes if member.cost else None,
    ),
    Axis(
        "accuracy-size",
        "file size",
        (("GB", 1e9), ("MB", 1e6)),
        lambda member: member.weights.size_bytes if member.weights else None,
    ),
    Axis(
        "accuracy-speed",
        "decode speed",
        (("tokens/s", 1.0),),
        lambda member: member.cost.decode_tokens_per_second if member.cost else None,
        more_is_better=True,
    ),
)


def axis_points(sweep: Sweep, benchmark: str, axis: Axis) -> list[Point]:
    """The members with an accuracy on `benchmark` and a place on the axis, in their order; no failed ones."""
    labels = short_labels(sweep)
    found = []
    for member in sweep.members:
        x, accuracy = axis.value(member), member.accuracy.get(benchmark)
        if member.status != "failed" and x is not None and accuracy is not None:
            kind = kind_of(sweep, member, benchmark)
            found.append(Point(member.name, labels[member.name], float(x), accuracy, kind))
    return found


def pareto_front(found: Sequence[Point], axis: Axis) -> list[Point]:
    """The Pareto front of the point estimates, from cheap to dear: no other point is cheaper and as accurate,
    or as cheap and more accurate. Equal points are all on it."""
    cost = [-point.x if axis.more_is_better else point.x for point in found]
    value = [point.accuracy.value for point in found]
    kept = [
        (cost[i], value[i], point)
        for i, point in enumerate(found)
        if not any(
            cost[j] <= cost[i] and value[j] >= value[i] and (cost[j], value[j]) != (cost[i], value[i])
            for j in range(len(found))
        )
    ]
    return [point for *_, point in sorted(kept, key=lambda each: each[:2])]


_LARGE_IN, _SMALL_IN = 3.3, 2.35  # heights of the plotted area
_SCATTER_LEFT_IN, _SCATTER_RIGHT_IN, _SCATTER_BETWEEN_IN = 0.6, 0.22, 0.62
_SCATTER_TITLE_IN, _SCATTER_BELOW_IN = 0.3, 0.48

_Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class _ScatterPanel:
    title: str
    points: list[Point]
    reference: float | None
    large: bool


def scatter(sweep: Sweep, axis: Axis) -> Figure:
    """The figure for an axis on which some member has a place."""
    from matplotlib.figure import Figure

    shown = []
    for index, (name, title) in enumerate(panels(sweep)):
        found = axis_points(sweep, name, axis)
        if found:
            reference = sweep.member(sweep.reference).accuracy.get(name)
            heading = panel_title(title, (point.accuracy for point in found))
            shown.append(_ScatterPanel(heading, found, reference.value if reference else None, index == 0))
    caption = caption_lines(_scatter_caption(sweep, axis, shown))
    slots, height = _layout(shown, foot_height(caption))
    figure = Figure(figsize=(WIDTH_IN, height), dpi=DPI)
    unit = axis.unit(max(point.x for panel in shown for point in panel.points))
    for panel, (left, bottom, width, tall) in zip(shown, slots, strict=True):
        bounds = (left / WIDTH_IN, bottom / height, width / WIDTH_IN, tall / height)
        axes = figure.add_axes(bounds)
        _draw_scatter(axes, panel.points, axis, unit, panel.reference, sweep.margin)
        axes.set_title(panel.title, loc="left", fontweight="bold", parse_math=False)
        axes.set_xlabel(f"{axis.title}, {unit[0]}", fontsize=8.5, labelpad=2)
        if left == _SCATTER_LEFT_IN:
            axes.set_ylabel("accuracy, %", fontsize=8.5)
    foot(figure, (point.kind for panel in shown for point in panel.points), caption)
    return figure


def _layout(shown: Sequence[_ScatterPanel], below: float) -> tuple[list[_Bounds], float]:
    """(left, bottom, width, height) of each panel in inches, and the figure's height."""
    full = WIDTH_IN - _SCATTER_LEFT_IN - _SCATTER_RIGHT_IN
    half = (full - _SCATTER_BETWEEN_IN) / 2
    boxes: list[_Bounds] = []
    top, column = 0.0, 0
    for panel in shown:
        tall = _LARGE_IN if panel.large else _SMALL_IN
        if column == 0:
            top += _SCATTER_TITLE_IN + tall + _SCATTER_BELOW_IN
        left = _SCATTER_LEFT_IN + column * (half + _SCATTER_BETWEEN_IN)
        boxes.append((left, top - _SCATTER_BELOW_IN, full if panel.large else half, tall))
        column = 0 if panel.large else 1 - column
    height = top + below
    return [(left, height - down, width, tall) for left, down, width, tall in boxes], height


def _draw_scatter(
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
    _scatter_limits(axes, found, x, reference, margin)
    lines = []
    if reference is not None:
        low, high = 100 * (reference - margin), 100 * (reference + margin)
        axes.axhspan(low, high, facecolor="0.97", edgecolor="0.86", hatch="////", linewidth=0, zorder=0.5)
        axes.axhline(100 * reference, color="0.55", linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
        lines.append([(side, 100 * reference) for side in axes.get_xlim()])
    best = pareto_front(found, axis)
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
    label_points(axes, spots, [(point.label, point.name in bold) for point in found], lines)


def _steps(best: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The front's corners: an accuracy holds until the budget reaches the next member."""
    corners = [best[0]]
    for (_, y), following in pairwise(best):
        corners += [(following[0], y), following]
    return corners


def _scatter_limits(
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


def _scatter_caption(sweep: Sweep, axis: Axis, shown: Sequence[_ScatterPanel]) -> list[str]:
    drawn = [point.name for panel in shown for point in panel.points]
    return [
        f"Bars: 95 % interval of each accuracy (rule {plain_label(sweep.rule, LABEL)}). Hatched: the "
        "reference's "
        f"accuracy ± {100 * sweep.margin:g} points. Marks say what the paired comparison with the reference "
        "found, which is sharper than the bars. Line and bold labels: Pareto front of the point estimates.",
        f"Measured with {serving_shape(sweep)}."
        if axis.file == "accuracy-memory" and serving_shape(sweep)
        else "",
        missing(sweep, drawn, f"no {axis.title} measured"),
    ]


WIDTH_IN = 7.5
DPI = 150
CAPTION_SIZE = 7.5
_CAPTION_LINE_IN = 0.155
_CAPTION_CHARACTERS = 122
_LEGEND_IN = 0.30

# (meaning, marker, filled)
_MARKS: dict[Kind, tuple[str, str, bool]] = {
    "reference": ("reference", "D", True),
    "as_good": ("as good", "o", True),
    "better": ("better", "^", True),
    "unresolved": ("not resolvable", "o", False),
    "worse": ("worse", "X", False),
    "not_compared": ("not compared", "s", False),
    "noise": ("noise floor", "|", True),
}


def kind_of(sweep: Sweep, member: Member, benchmark: str) -> Kind:
    """What a member's mark on `benchmark` means."""
    if member.name == sweep.reference:
        return "reference"
    comparison = member.compared(benchmark)
    return comparison.verdict.kind if comparison else "not_compared"


def mark(kind: Kind) -> dict[str, Any]:
    """Line2D settings of a mark: shape and filling tell the kinds apart, not colour."""
    _, marker, filled = _MARKS[kind]
    return {
        "marker": marker,
        "markerfacecolor": "black" if filled else "white",
        "markeredgecolor": "black",
        "markeredgewidth": 1.1,
        "markersize": 6,
        "linestyle": "none",
    }


@contextlib.contextmanager
def pinned() -> Iterator[None]:
    """matplotlib with the settings of these figures and no others."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "font.family": FONT,
                "font.size": 9,
                "axes.titlesize": 9.5,
                "svg.hashsalt": "evalkit",
                # Hinted glyphs are wider in the PNG than in the SVG, and labels are placed once for both.
                "text.hinting": "none",
            }
        )
        yield


def render(draw: Callable[[], Figure]) -> tuple[bytes, bytes]:
    """What `draw` makes, as PNG and as SVG in which text is paths (no font is needed)."""
    with pinned():
        figure = draw()
        png, svg = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", metadata={"Software": None})
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return png.getvalue(), svg.getvalue()


def caption_lines(sentences: Iterable[str]) -> list[str]:
    """The caption broken into lines that fit the figure's width."""
    return textwrap.wrap(" ".join(filter(None, sentences)), _CAPTION_CHARACTERS)


def foot_height(caption: Sequence[str]) -> float:
    """Inches that legend and caption need at the bottom."""
    return _LEGEND_IN + _CAPTION_LINE_IN * len(caption) + 0.12


def foot(figure: Figure, kinds: Iterable[Kind], caption: Sequence[str]) -> None:
    """The legend of the marks in use, and the caption."""
    from matplotlib.lines import Line2D

    height = figure.get_size_inches()[1]
    used = set(kinds)
    handles = [
        Line2D([], [], label=meaning, **mark(kind)) for kind, (meaning, *_) in _MARKS.items() if kind in used
    ]
    figure.legend(
        handles=handles,
        loc="lower center",
        bbox_to_anchor=(0.5, (foot_height(caption) - _LEGEND_IN) / height),
        ncols=len(handles),
        frameon=False,
        borderaxespad=0,
        handletextpad=0.1,
        columnspacing=1.4,
        fontsize=8.5,
    )
    figure.text(
        0.12 / WIDTH_IN,
        0.08 / height,
        "\n".join(caption),
        fontsize=CAPTION_SIZE,
        color="0.25",
        va="bottom",
        linespacing=_CAPTION_LINE_IN * 72 / CAPTION_SIZE / 1.2,
        parse_math=False,
    )


def quiet(axes: Axes, grid: Literal["x", "y"]) -> None:
    """A light grid and no box."""
    axes.grid(axis=grid, color="0.9", linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8)


LABEL = 18
FONT = "DejaVu Sans"  # comes with matplotlib, so it is the same everywhere


@functools.cache
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont(FONT)).get_charmap())


def plain_label(text: str, cap: int) -> str:
    """`text` on one line, at most `cap` characters, with `�` for what the font or the eye cannot show.

    Too long a text loses its middle: what tells the members of a family apart stands at the end.
    """
    shown = " ".join(text.split())
    if len(shown) > cap:
        shown = f"{shown[: cap // 2]}…{shown[-((cap - 1) // 2) :]}"
    return "".join(_visible_glyph(character) for character in shown)


def _visible_glyph(character: str) -> str:
    hidden = unicodedata.category(character).startswith("C") or ord(character) not in _glyphs()
    return "�" if hidden else character


def short_labels(sweep: Sweep) -> dict[str, str]:
    """A label per member's name: its title without the words that all titles begin with."""
    words = [member.title.split() for member in sweep.members]
    common = 0
    if len(words) > 1:
        common = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*words, strict=False)))
    return {
        member.name: plain_label(" ".join(each[common:]) or member.title, LABEL)
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
    return f"{plain_label(title, 34)}, n = {number}"


def missing(sweep: Sweep, drawn: Sequence[str], why: str) -> str:
    """A caption's sentence on the members that are not in the figure; '' if all are."""
    labels = short_labels(sweep)
    left_out = [
        f"{labels[member.name]} "
        f"({plain_label(member.reason or '', 60) if member.status == 'failed' else why})"
        for member in sweep.members
        if member.name not in drawn
    ]
    return f"Missing: {', '.join(left_out)}." if left_out else ""


def serving_shape(sweep: Sweep) -> str:
    """`4 slots of 4,096 tokens` if that is what all members were measured with, else ''."""
    shapes = {(member.cost.context, member.cost.slots) for member in sweep.members if member.cost}
    if len(shapes) != 1:
        return ""
    context, slots = shapes.pop()
    return slots_of(context, slots) if context and slots else ""


def slots_of(context: int, slots: int) -> str:
    """`4 slots of 4,096 tokens`"""
    return f"{slots} slot{'' if slots == 1 else 's'} of {context:,} tokens"
