"""A paired difference looked at after every page, with error rates that hold however often one looks.

The questions of a page are right and wrong together, so a page is one observation: the sum of its paired
differences, candidate - reference, over its items. Against "the difference is δ" one bets on each page in
turn: capital is multiplied by 1 + λ (sum - δ · items), which stays positive for small λ and does not grow on
average if δ is the difference (or, betting on one side only, if the difference lies on the other). How small
follows from the reference's scores, which are known beforehand: a page loses no more than the reference has
right on it, and wins no more than it has wrong. With pages of many questions that allows bets about twice as
large as their number alone would. By
Ville's inequality capital ever reaches 1/α with probability at most α, so 1 / (largest capital so far) is a
p-value at whatever page one stops, and the δ that were never refused are a confidence sequence.
Waudby-Smith & Ramdas (2024), JRSS B 86: 1-27; Ramdas et al. (2023), Statistical Science 38: 576-601. Capital
is spread evenly over a fixed grid of λ (the method of mixtures), so nothing has to be tuned, and the order of
what was seen does not matter.

The pages must come in an order that knows nothing of their scores, and are taken as drawn from a population
of pages, as everywhere here. `python -m bench sequential` simulates what is promised.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_FRACTIONS = np.geomspace(0.01, 0.95, 24)
"""Bets, as parts of the largest that can never lose everything."""

_GRID = np.linspace(-1.0, 1.0, 401)[1:-1]
"""Differences that the confidence sequence asks about; its limits are rounded outwards to them."""


def log_capital(sums: Array, right: Array, wrong: Array, null: float, sign: int) -> Array:
    """The logarithm of the capital after each page, of one who bets against a difference of `null`.

    Args:
        sums: candidate - reference, summed over a page; shape (repeats, pages).
        right: the reference's scores, summed over each page; `wrong`: what they lack. Of the same shape.
        sign: 1 bets that the difference is larger, -1 that it is smaller.

    Returns:
        Shape (repeats, pages).
    """
    outcomes = sign * (sums - null * (right + wrong))
    largest = 1 / most_lost(right, wrong, null, sign)[..., None]
    logs = [np.cumsum(np.log1p(fraction * largest * outcomes), axis=-1) for fraction in _FRACTIONS]
    return np.asarray(np.logaddexp.reduce(logs, axis=0) - np.log(len(logs)))


def most_lost(right: Array, wrong: Array, null: float, sign: int) -> Array:
    """The most by which sign · (sum - null · items) can lie below 0, over the pages (the last axis).

    Whichever of a page's items come to be scored on both sides, as an answer may fail. At least 1, so that no
    bet is beyond all bounds where the reference has everything right, or wrong.
    """
    own, other = (right, wrong) if sign > 0 else (wrong, right)
    toward = sign * null
    return np.asarray(np.maximum((own * (1 + toward) + other * max(0.0, toward)).max(axis=-1), 1.0))


class PageBets:
    """The capital of the bets on one candidate and benchmark, page by page.

    Args:
        right: of every page that there is, the reference's scores, summed; `wrong`: what they lack.
        margin: the loss that must be excluded for "as good", a fraction of 1.
    """

    def __init__(self, right: Sequence[float], wrong: Sequence[float], margin: float) -> None:
        if not len(right) or min(*right, *wrong) < 0 or not 0 < margin < 1:
            raise ValueError(f"{len(right)} pages and a margin of {margin}: neither can be")
        ours, theirs = np.unique(np.array([right, wrong], dtype=np.float64), axis=1)
        self._nulls = np.concatenate([[0.0, -margin], _GRID])
        self._sign = np.array([1.0, -1.0])[:, None]
        lost = [[most_lost(ours, theirs, null, sign) for null in self._nulls.tolist()] for sign in (1, -1)]
        self._bets = _FRACTIONS / np.array(lost)[..., None]
        self._logs = np.zeros((2, len(self._nulls), len(_FRACTIONS)))
        self._most = np.zeros((2, len(self._nulls)))
        self._most_of_both = np.zeros(len(self._nulls))
        self._right, self._wrong = float(ours.max()), float(theirs.max())
        self._largest = float((ours + theirs).max())
        self.pages = 0
        self.items = 0
        self.gain = 0.0

    def add(self, gain: float, items: int) -> None:
        """One page: the sum of its differences over its `items`.

        Raises:
            ValueError: a page cannot be so.
        """
        most, least = min(items, self._wrong) + 1e-9, -min(items, self._right) - 1e-9
        if not 0 <= items <= self._largest + 1e-9 or not least <= gain <= most:
            raise ValueError(f"a gain of {gain} over {items} items of at most {self._largest}")
        self.pages += 1
        self.items += items
        self.gain += gain
        outcome = self._sign * (gain - self._nulls * items)
        self._logs += np.log1p(self._bets * outcome[..., None])
        capital = np.logaddexp.reduce(self._logs, axis=-1) - np.log(len(_FRACTIONS))
        self._most = np.maximum(self._most, capital)
        both = np.logaddexp(capital[0], capital[1]) - np.log(2)
        self._most_of_both = np.maximum(self._most_of_both, both)

    @property
    def difference(self) -> float:
        """Candidate - reference, the mean over the items so far; 0 before the first."""
        return self.gain / self.items if self.items else 0.0

    @property
    def p_difference(self) -> float:
        """Two-sided, of "no difference"."""
        return float(np.exp(-self._most_of_both[0]))

    @property
    def p_non_inferior(self) -> float:
        """One-sided, of "a loss of the margin or more"."""
        return float(np.exp(-self._most[0, 1]))

    def limits(self, level: float = 0.95) -> tuple[float, float]:
        """The differences that no look so far has refused; (-1, 1) before there is anything to say."""
        kept = np.flatnonzero(self._most_of_both[2:] < -np.log(1 - level))
        if not len(kept):  # every difference on the grid was refused: the data lie between two of them
            return self.difference, self.difference
        step = _GRID[1] - _GRID[0]
        return float(_GRID[kept[0]] - step), float(_GRID[kept[-1]] + step)
