"""The verdict on a difference, from its adjusted p-values."""

from __future__ import annotations

from evalkit.compare.comparison import Estimate, Verdict
from evalkit.stats.power import needed_n


def verdict(
    difference: Estimate,
    adjusted_p_difference: float | None,
    adjusted_p_non_inferior: float | None,
    margin: float,
    alpha: float = 0.05,
    *,
    family: int = 1,
) -> Verdict:
    """The first that holds:

    better: a difference is shown, and it is a gain;
    as_good: a loss of the margin or more is ruled out. A loss that is shown but smaller than the margin is
        also this: what counts is whether the candidate can be deployed;
    worse: a difference is shown, and it is a loss (of the margin or more, or possibly so);
    unresolved: neither is shown; with the items that would probably settle it, for `family` tests at once.

    Shown, ruled out: adjusted p < alpha. What could not be tested (None) shows nothing.
    """
    changed = adjusted_p_difference is not None and adjusted_p_difference < alpha
    if changed and difference.value > 0:
        return Verdict("better")
    if adjusted_p_non_inferior is not None and adjusted_p_non_inferior < alpha:
        return Verdict("as_good")
    if changed:
        return Verdict("worse")
    return Verdict("unresolved", needed_n(difference, margin, alpha=alpha, family=family))
