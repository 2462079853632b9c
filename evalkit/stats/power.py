"""How much a sample can tell: the difference it would show, and the items that a question needs."""

from __future__ import annotations

import math
from statistics import NormalDist

from evalkit.compare.comparison import Estimate
from evalkit.stats.paired import LEVEL, quantile


def detectable_difference(estimate: Estimate, power: float = 0.8, level: float = LEVEL) -> float | None:
    """The smallest true difference that this many items would show, two-sided, with that power.

    (t_level + t_power) · error, Student's t with clusters - 1 degrees of freedom. The error is the half
    width of the 95 % interval over its quantile: for all but rare changes the clustered error, and not 0
    where no item changed.

    Returns:
        A fraction of 1, as the estimate. None if nothing can be estimated, or if not even a difference of 1
        would be shown.
    """
    from scipy.stats import t

    if estimate.error is None:
        return None
    error = (estimate.high - estimate.low) / 2 / quantile(estimate.clusters)
    found = (quantile(estimate.clusters, level) + float(t.ppf(power, estimate.clusters - 1))) * error
    return found if found <= 1 else None


def needed_n(
    estimate: Estimate, margin: float, *, power: float = 0.8, alpha: float = 0.05, family: int = 1
) -> int | None:
    """Items that would probably settle a verdict: the fewer of two numbers.

    The true difference d is taken as the one seen, and the spread as if one more cluster had changed:
    σ² = n · error² + n / clusters² (Laplace's rule: what has not happened yet can happen). With that power
    "as good" (one-sided against a loss of `margin`) takes (z_(1-alpha) + z_power)² σ² / (d + margin)² items,
    where d > -margin, and "worse" (two-sided) takes (z_(1-alpha/2) + z_power)² σ² / d², where d < 0. `family`
    is the number of tests under Holm's correction, taken as alpha / family (Bonferroni, its first step).
    At least one item more than now.

    Returns:
        None if nothing can be estimated, or no number would do (no difference at a margin of 0).
    """
    if estimate.error is None:
        return None
    value, normal = estimate.value, NormalDist()
    reach = normal.inv_cdf(power)
    spread = estimate.n * (estimate.error**2 + 1 / estimate.clusters**2)
    needs = []
    if value > -margin:
        one_sided = normal.inv_cdf(1 - alpha / family) + reach
        needs.append(one_sided**2 * spread / (value + margin) ** 2)
    if value < 0:
        two_sided = normal.inv_cdf(1 - alpha / family / 2) + reach
        needs.append(two_sided**2 * spread / value**2)
    return max(math.ceil(min(needs)), estimate.n + 1) if needs else None


def required_items(difference: float, discordant: float, power: float = 0.8, level: float = LEVEL) -> int:
    """Items to plan for, two-sided, if they are independent; times the design effect if they are not.

    Connor (1987), Biometrics 43: 207-211: (z_level √ψ + z_power √(ψ - d²))² / d², with ψ the share of items
    on which the two systems differ, and d the difference in accuracy.

    Raises:
        ValueError: not 0 < |difference| <= discordant <= 1.
    """
    if not 0 < abs(difference) <= discordant <= 1:
        raise ValueError(f"a difference of {difference} cannot come from {discordant} discordant items")
    normal = NormalDist()
    needed = normal.inv_cdf((1 + level) / 2) * math.sqrt(discordant)
    needed += normal.inv_cdf(power) * math.sqrt(discordant - difference**2)
    return math.ceil(needed**2 / difference**2)
