"""Figures as the templates show them: per cent, amounts, and the geometry of interval bars."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from evalkit.compare.comparison import Estimate
from evalkit.compare.report import change, p_value, points
from evalkit.sweep.sizes import size

if TYPE_CHECKING:
    from markupsafe import Markup

BAR = 100  # an interval bar's width, in its own units: one a point
TICK = 1.6  # width of the mark at the estimate itself


def percent(fraction: float | None, digits: int = 1) -> str:
    """`41.2` of 0.412; an en dash for None."""
    return "–" if fraction is None else f"{100 * fraction:.{digits}f}"


def number(value: float | None, digits: int = 0) -> str:
    """With thousands separated; an en dash for None."""
    return "–" if value is None else f"{value:,.{digits}f}"


def parameters(count: int | None) -> str:
    """`7.6B`, `135M`; an en dash for None."""
    if not count:
        return "–"
    return f"{count / 1e9:.1f}B" if count >= 1e9 else f"{count / 1e6:.0f}M"


def gigabytes(count: int | None) -> str:
    """A file's size, decimal as files are listed."""
    if not count:
        return "–"
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def memory(count: int | None) -> str:
    """Memory, in GiB or MiB."""
    return size(count) if count else "–"


def bar(estimate: Estimate) -> tuple[str, str, str]:
    """Left end and width of an estimate's interval on a bar from 0 to 100, and the left end of its tick."""
    low, high = BAR * max(0.0, estimate.low), BAR * min(1.0, estimate.high)
    middle = min(max(BAR * estimate.value - TICK / 2, 0.0), BAR - TICK)
    return f"{low:.1f}", f"{high - low:.1f}", f"{middle:.1f}"


def breakable(name: str) -> Markup:
    """A dotted key that a narrow column may break behind its dots and underscores."""
    from markupsafe import Markup, escape

    return Markup(str(escape(name)).replace(".", ".<wbr>").replace("_", "_<wbr>"))


def heat(count: int, of: int) -> int:
    """0 to 6: how dark a cell is that holds `count` of `of`."""
    return -(-6 * count // of) if of else 0


def browse(**filters: str | None) -> str:
    """A link to the example browser with these filters."""
    given = {key: value for key, value in filters.items() if value}
    return "examples.html#?" + urlencode(given, quote_via=quote)


FILTERS: dict[str, Callable[..., Any]] = {
    "percent": percent,
    "number": number,
    "parameters": parameters,
    "gigabytes": gigabytes,
    "memory": memory,
    "bar": bar,
    "breakable": breakable,
    "change": change,
    "p_value": p_value,
    "points": points,
}
