"""McNemar's exact test of two systems on the same items."""

from __future__ import annotations


def mcnemar_exact(right_to_wrong: int, wrong_to_right: int) -> float:
    """Two-sided p-value of "an item that changed is as likely to change either way": b ~ Bin(b + c, ½).

    It takes items as independent: with clusters it is only a second opinion. 1 where no item changed.

    Raises:
        ValueError: a negative count.
    """
    from scipy.stats import binomtest

    if right_to_wrong < 0 or wrong_to_right < 0:
        raise ValueError(f"counts cannot be negative: {right_to_wrong}, {wrong_to_right}")
    changed = right_to_wrong + wrong_to_right
    return float(binomtest(right_to_wrong, changed).pvalue) if changed else 1.0
