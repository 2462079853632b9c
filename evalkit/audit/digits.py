"""What the printed digits of a percentage can be, if it is a share of n items.

The GRIM test (Brown & Heathers 2017, Soc. Psychol. Pers. Sci. 8: 363-369): a share of n items is k/n for a
whole k, so when n is below 10^(d + 2), only some percentages with d digits after the point can be printed.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction


def possible(percent: Decimal, n: int, decimals: int) -> bool:
    """Whether some k of n items rounds to `percent`, whichever way halves are rounded.

    Raises:
        ValueError: n is not above 0.
    """
    if n < 1:
        raise ValueError(f"{n} items")
    half = Fraction(1, 2 * _scale(decimals))
    exact = Fraction(percent) * n / 100
    k = min((math.floor(exact), math.ceil(exact)), key=lambda k: abs(k - exact))
    return 0 <= k <= n and abs(Fraction(100 * k, n) - Fraction(percent)) <= half


def can_fail(n: int, decimals: int) -> bool:
    """Whether there is any percentage with that many digits that n items cannot give."""
    return n < 100 * _scale(decimals)


def whole_share(n: int, decimals: int) -> float:
    """The share of the counts 0..n whose printed percentage is a whole number.

    How often a score would be printed as 71.0 and not 71.3 by chance.
    """
    if not can_fail(n, decimals):
        return 1 / _scale(decimals)
    scale = _scale(decimals)
    whole = sum(round(Fraction(100 * k * scale, n)) % scale == 0 for k in range(n + 1))
    return whole / (n + 1)


def _scale(decimals: int) -> int:
    return int(10**decimals)
