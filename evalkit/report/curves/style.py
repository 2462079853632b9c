"""How figures are made: pinned settings, marks that can be told apart in grey, legend and caption below.

Same input, same bytes: no dates, fixed ids in the SVG, and none of the user's matplotlib settings.
"""

from __future__ import annotations

import contextlib
import io
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from evalkit.compare.comparison import VerdictKind
from evalkit.report.curves.texts import FONT
from evalkit.sweep.record import Member, Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_IN = 7.5
DPI = 150
CAPTION_SIZE = 7.5
_CAPTION_LINE_IN = 0.155
_CAPTION_CHARACTERS = 122
_LEGEND_IN = 0.30

Kind = VerdictKind | Literal["reference", "not_compared", "noise"]

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
