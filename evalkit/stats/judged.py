"""Scores given by a judge that errs: its agreement with labels, corrected scores, and their intervals.

Items that a rule decides and items that a judge decides make one accuracy (`combined`). A judged score is
estimated from verdicts and labelled items in two ways. Both are vectorised, a row being one data set, so the
simulation runs the very code that reports use: `python -m bench statistics judge` shows the coverage.

Corrected for sensitivity and specificity: θ̂ = (p̂ + q₀ - 1) / (q₀ + q₁ - 1), Rogan & Gladen (1978), Am. J.
Epidemiol. 107: 71-76; for LLM judges Lee et al. (arXiv 2511.21140). The usual interval is Wald's, with counts
adjusted as by Lang & Reiczigel (2014), Prev. Vet. Med. 113: 13-22. With a good judge and few labels, often
without a mistake, the plain one covers as little as 61 %, the adjusted one over 99 %. Here a value θ is in
the interval if 0 is in that of p - θ q₁ - (1 - θ)(1 - q₀), whose root it is: Fieller's theorem with limits in
place of variances (MOVER-R: Donner & Zou (2012), Stat. Methods Med. Res. 21: 347-359). p̂ brings Wilson's
limits with its clustered error, the two rates Jeffreys's. Where that bounds nothing, because q₀ + q₁ may well
be 1, there is no estimate.

Prediction-powered, the judge's mean put right by what it gets wrong on the labelled sample: θ̂ = λ mean_N f +
mean_n (y - λ f), Angelopoulos et al. (arXiv 2301.09633); with λ tuned, PPI++ (arXiv 2311.01453). Their
interval is θ̂ ± z √(λ² Var(f) / N + Var(y - λ f) / n). A good judge errs on few of n items or on none, and
then Var(y - f) comes out too small: with fewer than 5 errors to be expected it covers as little as 77 %. Here
each of the two means has a score interval (Wilson's, Tango's), which keeps its width, and the two add up by
MOVER (Zou & Donner (2008), Stat. Med. 27: 1693-1702). A tuned λ is fitted to the labelled items, which then
scatter too little: their variance is multiplied with (n - 1) / (n - 3), as for a regression estimate from two
samples (Cochran (1977), Sampling Techniques, ch. 12), and t has a degree of freedom less; n counts clusters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evalkit.schema import Estimate
from evalkit.stats.intervals import LEVEL, Array, Clusters, Spread, clusters_of, quantile, spread, wilson
from evalkit.stats.paired import mean_limits, paired_limits


@dataclass(frozen=True, slots=True)
class Share:
    """`count` of `n` items, with Wilson's 95 % interval for independent items; `value` is None if n is 0."""

    count: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        return self.count / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class Kappa:
    """Cohen's κ with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """A judge against labels, both yes or no.

    `sensitivity` is P(judge yes | label yes), q₁; `specificity` P(judge no | label no), q₀; `accuracy`
    P(judge = label). Their counts are the 2 × 2 table. `kappa` is None where chance agreement is all there
    can be: no items, or judge or labels say the same throughout.
    """

    sensitivity: Share
    specificity: Share
    accuracy: Share
    kappa: Kappa | None


def agreement(judge: Sequence[bool], label: Sequence[bool]) -> Agreement:
    """A judge's verdicts against the labels of the same items, in the same order.

    Raises:
        ValueError: the two differ in length.
    """
    _same_length(judge, label)
    pairs = [(bool(verdict), bool(truth)) for verdict, truth in zip(judge, label, strict=True)]
    both_yes, both_no = pairs.count((True, True)), pairs.count((False, False))
    yes = sum(truth for _, truth in pairs)
    return Agreement(
        sensitivity=share(both_yes, yes),
        specificity=share(both_no, len(pairs) - yes),
        accuracy=share(both_yes + both_no, len(pairs)),
        kappa=_kappa(both_yes, yes - both_yes, len(pairs) - yes - both_no, both_no),
    )


def flip_rate(first: Sequence[bool], second: Sequence[bool]) -> Share:
    """Share of the items whose verdict changed, the same items judged twice (fields swapped, other language).

    Raises:
        ValueError: the two differ in length.
    """
    _same_length(first, second)
    return share(sum(a != b for a, b in zip(first, second, strict=True)), len(first))


def share(count: int, n: int) -> Share:
    """`count` of `n` with Wilson's 95 % interval."""
    return Share(count, n, *wilson(count, n))


def _kappa(both_yes: int, missed: int, false_yes: int, both_no: int) -> Kappa | None:
    """κ and its interval: Fleiss, Cohen & Everitt (1969), Psychol. Bull. 72: 323-327.

    Without any disagreement their error is 0, and the lower limit is what Wilson's lower limit of the
    observed agreement gives instead.
    """
    n = both_yes + missed + false_yes + both_no
    judged_yes, labelled_yes = both_yes + false_yes, both_yes + missed
    if not (0 < judged_yes < n and 0 < labelled_yes < n):
        return None
    if missed + false_yes == 0:
        chance = (judged_yes / n) ** 2 + (1 - judged_yes / n) ** 2
        return Kappa(1.0, (wilson(n, n)[0] - chance) / (1 - chance), 1.0)
    from statsmodels.stats.inter_rater import cohens_kappa

    found = cohens_kappa([[both_yes, false_yes], [missed, both_no]])
    low, high = max(float(found.kappa_low), -1.0), min(float(found.kappa_upp), 1.0)
    return Kappa(float(found.kappa), low, high)


def _same_length(first: Sequence[bool], second: Sequence[bool]) -> None:
    if len(first) != len(second):
        raise ValueError(f"{len(first)} verdicts but {len(second)} of the other kind")


def combined(
    scores: Sequence[float], by_judge: Sequence[bool], clusters: Sequence[str] | None, judged: JudgedScore
) -> Estimate | None:
    """(points by the rules + θ̂ · items by the judge) / all items, with an interval that carries both.

    A judged item counts θ̂ + slope · (f - mean f), what its verdict f adds to θ̂; the clustered spread of these
    and of the rules' scores is the items' part of the error (pages that are hard for both, and how many
    items the rules leave, are in it). The labelled items' part is that of θ̂, times the share of judged items.
    The limits of both are added as by MOVER (Zou & Donner 2008). If labelled items share clusters with these
    ones, that is not taken into account here.

    Args:
        scores: the rule's score, or the judge's verdict, of each item; in [0, 1].
        by_judge: which of them are the judge's: the very items that `judged` was estimated from.
        clusters: the cluster of each item; None: every item on its own.

    Returns:
        None if there is no estimate of the judged part.

    Raises:
        ValueError: the lengths differ, or the judge's items are not those of `judged`.
    """
    names = [str(i) for i in range(len(scores))] if clusters is None else clusters
    if not len(scores) == len(by_judge) == len(names):
        raise ValueError(f"{len(scores)} scores but {len(by_judge)} deciders and {len(names)} clusters")
    mine = np.asarray(by_judge, dtype=bool)
    verdicts = np.asarray(scores, dtype=np.float64)[mine]
    if len(verdicts) != judged.raw.n or not math.isclose(verdicts.mean(), judged.raw.value, abs_tol=1e-9):
        raise ValueError("the judge's items are not those that its score was estimated from")
    if judged.estimate is None:
        return None
    counted = np.array(scores, dtype=np.float64)
    counted[mine] = judged.estimate.value + judged.slope * (verdicts - judged.raw.value)
    return _with_labels(counted, names, judged, judged.estimate, len(verdicts) / len(counted))


def _with_labels(
    counted: Array, names: Sequence[str], judged: JudgedScore, part: Estimate, share: float
) -> Estimate:
    groups = clusters_of(names)
    found = spread(counted[None, :], groups)
    value = float(np.clip(found.mean[0], 0.0, 1.0))
    if groups.count < 2:
        return Estimate(value, None, 0.0, 1.0, groups.n, groups.count)
    items_low, items_high = (float(limit[0]) for limit in mean_limits(found, groups, quantile(groups.count)))
    low = value - math.hypot(value - items_low, share * (part.value - judged.labels_low))
    high = value + math.hypot(items_high - value, share * (judged.labels_high - part.value))
    labels = max((part.error or 0.0) ** 2 - (judged.slope * (judged.raw.error or 0.0)) ** 2, 0.0)
    error = math.sqrt(float(found.variance[0]) + share**2 * labels)
    return Estimate(value, error, max(low, 0.0), min(high, 1.0), groups.n, groups.count)


_HALVINGS = 40  # of the scale: to 1e-12


def corrected(
    judged: Sequence[float], labelled: LabelledItems, clusters: Sequence[str] | None = None
) -> JudgedScore:
    """The share of true answers among items of which only the judge's verdict is known.

    The labelled items of either label must be judged as the judged items of that label are; how many
    there are of each label may be chosen freely (a random sample, or so many right and so many wrong ones).

    Args:
        judged: the judge's verdicts, each 0 or 1.
        labelled: items with verdict and label, each 0 or 1.
        clusters: the cluster of each judged item; None: every item on its own.

    Raises:
        ValueError: nothing judged or labelled, a verdict or label other than 0 and 1, or lengths differ.
    """
    if not {*judged, *labelled.judge, *labelled.label} <= {0, 1}:
        raise ValueError("a corrected score needs verdicts and labels of 0 or 1")
    where = places(judged, clusters, labelled)
    raw = raw_part(rows(judged), where)
    yes, no = class_parts(rows(labelled.judge), rows(labelled.label), where)
    one_class = len(set(labelled.label)) < 2
    unfit: Refusal = "contradictory" if informative(yes, no)[0] else "uninformative"
    return result(raw, correct(raw, yes, no), where, "few_labels" if one_class else None, unfit)


def raw_part(verdicts: Array, where: Layout) -> Part:
    """p̂, the judged score as it is, with the limits that any accuracy has here (rows × judged items)."""
    found = spread(verdicts, where.judged)
    if where.judged.count < 2:
        nothing = np.zeros_like(found.mean)
        return mean_part(verdicts, found, nothing, nothing + 1, where)
    return mean_part(verdicts, found, *mean_limits(found, where.judged, quantile(where.judged.count)), where)


def class_parts(verdicts: Array, labels: Array, where: Layout) -> tuple[Part, Part]:
    """q₁ and 1 - q₀: the share judged right of the right and of the wrong items (rows × labelled items)."""
    return rate(verdicts, labels, where), rate(verdicts, 1 - labels, where)


def informative(yes: Part, no: Part) -> Mask:
    """Whether q₀ + q₁ is above 1 beyond chance: the 95 % interval of q₁ - (1 - q₀) lies above 0."""
    terms = [yes.mean - yes.low, no.high - no.mean]
    return np.asarray(yes.mean - no.mean > reach(terms, [(0, 1, -correlation(yes, no))]))


def correct(raw: Part, yes: Part, no: Part) -> EstimateRows:
    """θ̂ and its limits, one row each, from p̂, q₁ and 1 - q₀."""
    gap = yes.mean - no.mean
    fit = informative(yes, no)
    gap = np.where(fit, gap, 1.0)
    root = (raw.mean - no.mean) / gap
    value = np.clip(root, 0.0, 1.0)
    rho = (correlation(raw, yes), correlation(raw, no), correlation(yes, no))
    # Where even the end of the scale nearest to the root is ruled out, nothing in it fits.
    at_end = _beyond(value, raw, yes, no, rho)
    usable = fit & (at_end[0] <= 0) & (at_end[1] >= 0)
    low, high = _limits(value, raw, yes, no, rho)
    fixed = Part(raw.mean, raw.variance, raw.mean, raw.mean)
    labels_low, labels_high = _limits(value, fixed, yes, no, rho)
    low, high = np.where(usable, low, 0.0), np.where(usable, high, 1.0)
    variance = _variance(value, raw, yes, no, rho) / gap**2
    return EstimateRows(value, variance, low, high, 1 / gap, labels_low, labels_high, usable)


_Rho = tuple[Array, Array, Array]


def _beyond(theta: Array, raw: Part, yes: Part, no: Part, rho: _Rho) -> tuple[Array, Array]:
    """Limits of p - θ q₁ - (1 - θ)(1 - q₀), which falls as θ grows."""
    value = raw.mean - theta * yes.mean - (1 - theta) * no.mean
    signed = [(0, 1, -rho[0]), (0, 2, -rho[1]), (1, 2, rho[2])]
    down = [raw.mean - raw.low, theta * (yes.high - yes.mean), (1 - theta) * (no.high - no.mean)]
    up = [raw.high - raw.mean, theta * (yes.mean - yes.low), (1 - theta) * (no.mean - no.low)]
    return value - reach(down, signed), value + reach(up, signed)


def _limits(value: Array, raw: Part, yes: Part, no: Part, rho: _Rho) -> tuple[Array, Array]:
    """The ends of the range of θ around `value` in which 0 is between the limits, by bisection."""
    out_low, in_low = np.zeros_like(value), value.copy()
    out_high, in_high = np.ones_like(value), value.copy()
    for _ in range(_HALVINGS):
        low, high = (out_low + in_low) / 2, (out_high + in_high) / 2
        kept_low = _beyond(low, raw, yes, no, rho)[0] <= 0
        kept_high = _beyond(high, raw, yes, no, rho)[1] >= 0
        in_low, out_low = np.where(kept_low, low, in_low), np.where(kept_low, out_low, low)
        in_high, out_high = np.where(kept_high, high, in_high), np.where(kept_high, out_high, high)
    # An end of the scale that is inside is met in the limit only.
    low = np.where(_beyond(np.zeros_like(value), raw, yes, no, rho)[0] <= 0, 0.0, in_low)
    high = np.where(_beyond(np.ones_like(value), raw, yes, no, rho)[1] >= 0, 1.0, in_high)
    return low, high


def _variance(theta: Array, raw: Part, yes: Part, no: Part, rho: _Rho) -> Array:
    """Of p̂ - θ q̂₁ - (1 - θ)(1 - q̂₀), by the delta method."""
    terms = [np.sqrt(raw.variance), theta * np.sqrt(yes.variance), (1 - theta) * np.sqrt(no.variance)]
    return np.square(reach(terms, [(0, 1, -rho[0]), (0, 2, -rho[1]), (1, 2, rho[2])]))


Z = NormalDist().inv_cdf((1 + LEVEL) / 2)


def pulls(deviations: Array, clusters: Clusters, at: NDArray[np.intp], count: int) -> Array:
    """Deviations (rows × items) summed over each of `count` clusters."""
    summed = np.zeros((len(deviations), count))
    summed[:, at] = np.add.reduceat(deviations[:, clusters.order], clusters.starts, axis=1)
    return summed


@dataclass(frozen=True, slots=True)
class Part:
    """A mean per row with its squared error and limits.

    `pulls` (rows × clusters) is what each cluster adds to the mean's deviation; None where no two items
    share a cluster, so that parts cannot be correlated.
    """

    mean: Array
    variance: Array
    low: Array
    high: Array
    pulls: Array | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """The clusters of the judged and of the labelled items; a cluster may hold items of both.

    `judged_at` and `labelled_at` number the clusters of each over all `count` of them.
    """

    judged: Clusters
    labelled: Clusters
    judged_at: NDArray[np.intp]
    labelled_at: NDArray[np.intp]
    count: int

    @property
    def apart(self) -> bool:
        """Whether no two items share a cluster."""
        return self.count == self.judged.n + self.labelled.n


def layout(judged: Sequence[str], labelled: Sequence[str]) -> Layout:
    """The layout of items with these cluster names, one name an item."""
    names, codes = np.unique(np.asarray([*judged, *labelled]), return_inverse=True)
    ours, theirs = codes[: len(judged)], codes[len(judged) :]
    return Layout(clusters_of(ours), clusters_of(theirs), np.unique(ours), np.unique(theirs), len(names))


def correlation(first: Part, second: Part) -> Array:
    """Of the errors of two parts: through the clusters that they share."""
    if first.pulls is None or second.pulls is None:
        return np.zeros_like(first.mean)
    size = np.sqrt((first.pulls**2).sum(axis=1) * (second.pulls**2).sum(axis=1))
    product = (first.pulls * second.pulls).sum(axis=1)
    return np.asarray(np.divide(product, size, out=np.zeros_like(product), where=size > 0))


def reach(below: Sequence[Array], correlations: Sequence[tuple[int, int, Array]]) -> Array:
    """How far the limit of a sum lies from it, given how far the limits of its signed terms lie from them.

    The square-and-add of MOVER: Zou & Donner (2008), Stat. Med. 27: 1693-1702; with correlated terms Zou
    (2007), Psychol. Methods 12: 399-413. `correlations` are (i, j, correlation of the signed terms).
    """
    square = np.sum([np.square(term) for term in below], axis=0)
    for i, j, rho in correlations:
        square = square + 2 * rho * below[i] * below[j]
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))


def rate(verdicts: Array, member: Array, where: Layout) -> Part:
    """Share of yes among the labelled items of one class, with Jeffreys's interval.

    Jeffreys's and not Wilson's, whose limit for no mistake in n items is 3.8 / n and for a good judge makes
    intervals that cover 99 %: Brown, Cai & DasGupta (2001), Stat. Sci. 16: 101-133. With clusters it uses the
    effective number of items, and z² / t² of it for having few clusters: Korn & Graubard (1998), Survey
    Methodology 24: 193-201.

    Args:
        verdicts: 0 or 1, rows × labelled items.
        member: 1 where the item belongs to the class, else 0; of the same shape.

    Returns:
        Where a row has no item of the class, or its items are in a single one of several clusters, the mean
        is 0.5 or as found, and the limits are 0 and 1.
    """
    n = member.sum(axis=1)
    items = np.maximum(n, 1.0)
    mean = np.where(n > 0, (verdicts * member).sum(axis=1) / items, 0.5)
    deviations = member * (verdicts - mean[:, None]) / items[:, None]
    effective = n if where.labelled.count == where.labelled.n else _effective(deviations, member, mean, where)
    low, high = _jeffreys(mean, effective)
    variance = mean * (1 - mean) / np.maximum(effective, 1.0)
    shared = None if where.apart else pulls(deviations, where.labelled, where.labelled_at, where.count)
    return Part(mean, variance, low, high, shared)


def _effective(deviations: Array, member: Array, mean: Array, where: Layout) -> Array:
    """As `effective_items`, each row having its own items; 0 with a single cluster."""
    groups = where.labelled
    n = np.maximum(member.sum(axis=1), 1.0)
    sizes = np.add.reduceat(member[:, groups.order], groups.starts, axis=1)
    sums = np.add.reduceat(deviations[:, groups.order], groups.starts, axis=1)
    found, squares = (sums**2).sum(axis=1), n * mean * (1 - mean)
    bunch = (sizes**2).sum(axis=1) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        effective = np.fmin(squares / (n * found), n * (squares + 1) / np.maximum(bunch, 1.0))
    counts, back = np.unique((sizes > 0).sum(axis=1), return_inverse=True)
    shrink = np.array([(Z / quantile(int(count))) ** 2 if count > 1 else 0.0 for count in counts])
    return np.asarray(effective * shrink[back])


def _jeffreys(mean: Array, effective: Array) -> tuple[Array, Array]:
    from scipy.special import betaincinv

    tail = (1 - LEVEL) / 2
    yes, no = mean * effective, (1 - mean) * effective
    low = np.where(mean <= 0, 0.0, betaincinv(yes + 0.5, no + 0.5, tail))
    high = np.where(mean >= 1, 1.0, betaincinv(yes + 0.5, no + 0.5, 1 - tail))
    nothing = effective <= 0
    return np.where(nothing, 0.0, low), np.where(nothing, 1.0, high)


def mean_part(scores: Array, found: Spread, low: Array, high: Array, where: Layout) -> Part:
    """The mean of the judged items' scores (rows × items) as a part, given its spread and limits."""
    shared = None
    if not where.apart:
        deviations = (scores - found.mean[:, None]) / where.judged.n
        shared = pulls(deviations, where.judged, where.judged_at, where.count)
    return Part(found.mean, found.variance, low, high, shared)


LEAST_CLUSTERS = 5
"""Of labelled items: with fewer, the spread of what the judge gets wrong is anybody's guess."""


def prediction_powered(
    judged: Sequence[float],
    labelled: LabelledItems,
    clusters: Sequence[str] | None = None,
    *,
    tuned: bool = True,
) -> JudgedScore:
    """The mean true score of items of which only the judge's score is known.

    The labelled items must be a random sample of the same population: not so many right and so many wrong
    ones, and not the easy ones. Scores may be grades. No judge is unfit for it: a bad one leaves what the
    labels say by themselves.

    Args:
        judged: the judge's scores, each in [0, 1], of the items without a label.
        labelled: items with score and label, each in [0, 1].
        clusters: the cluster of each judged item; None: every item on its own.
        tuned: λ is chosen in [0, 1] for the least variance; else it is 1.

    Raises:
        ValueError: nothing judged or labelled, a score or label outside [0, 1], or lengths differ.
    """
    where = places(judged, clusters, labelled)
    raw = raw_part(rows(judged), where)
    few = where.labelled.count < LEAST_CLUSTERS
    found = nothing(raw) if few else power(raw, rows(labelled.judge), rows(labelled.label), where, tuned)
    return result(raw, found, where, "few_labels" if few else None, "few_labels")


def nothing(raw: Part) -> EstimateRows:
    """The results where nothing can be estimated."""
    zero, one = np.zeros_like(raw.mean), np.ones_like(raw.mean)
    return EstimateRows(raw.mean, zero, zero, one, zero, zero, one, np.zeros(len(zero), dtype=bool))


def power(raw: Part, verdicts: Array, labels: Array, where: Layout, tuned: bool) -> EstimateRows:
    """θ̂ and its limits, one row each, from the raw score and the labelled items (rows × items)."""
    weight = tuning(verdicts, labels, where) if tuned else np.ones_like(raw.mean)
    rest = _rest(labels - weight[:, None] * verdicts, where, tuned)
    value = np.clip(weight * raw.mean + rest.mean, 0.0, 1.0)
    shared = [(0, 1, correlation(raw, rest))]
    centre = weight * raw.mean + rest.mean
    low = centre - reach([weight * (raw.mean - raw.low), rest.mean - rest.low], shared)
    high = centre + reach([weight * (raw.high - raw.mean), rest.high - rest.mean], shared)
    variance = reach([weight * np.sqrt(raw.variance), np.sqrt(rest.variance)], shared) ** 2
    return EstimateRows(
        value,
        variance,
        np.clip(low, 0.0, 1.0),
        np.clip(high, 0.0, 1.0),
        weight,
        np.clip(weight * raw.mean + rest.low, 0.0, 1.0),
        np.clip(weight * raw.mean + rest.high, 0.0, 1.0),
        np.ones(len(value), dtype=bool),
    )


def tuning(verdicts: Array, labels: Array, where: Layout) -> Array:
    """λ = Cov(y, f) / ((1 + n/N) Var(f)) in [0, 1], per row: PPI++ (arXiv 2311.01453), for a mean."""
    centred = verdicts - verdicts.mean(axis=1, keepdims=True)
    covariance = (centred * labels).sum(axis=1)
    square = (centred**2).sum(axis=1) * (1 + where.labelled.n / where.judged.n)
    found = np.divide(covariance, square, out=np.zeros_like(covariance), where=square > 0)
    return np.asarray(np.clip(found, 0.0, 1.0))


def _rest(differences: Array, where: Layout, tuned: bool) -> Part:
    """The mean of y - λ f as a part."""
    groups = where.labelled
    found = spread(differences, groups)
    fitted = (groups.count - 1) / (groups.count - 3) if tuned else 1.0
    found = Spread(found.mean, found.variance * fitted, found.squares)
    low, high = paired_limits(found, groups, quantile(groups.count - 1 if tuned else groups.count))
    shared = None
    if not where.apart:
        deviations = (differences - found.mean[:, None]) / groups.n
        shared = pulls(deviations, groups, where.labelled_at, where.count)
    return Part(found.mean, found.variance, low, high, shared)


Mask = NDArray[np.bool_]
Refusal = Literal["few_labels", "uninformative", "contradictory"]


@dataclass(frozen=True, slots=True)
class LabelledItems:
    """Items with the judge's verdict and the true label, in the same order.

    They must be other items than the judged ones that are to be estimated, from the same population; how
    they are chosen is for the estimator to say. `clusters` names the page or dialogue of each item; a name
    that occurs among the judged items too is the same cluster. Empty: every item on its own.

    Raises:
        ValueError: the lengths differ.
    """

    judge: Sequence[float]
    label: Sequence[float]
    clusters: Sequence[str] = ()

    def __post_init__(self) -> None:
        if len(self.judge) != len(self.label) or len(self.clusters) not in (0, len(self.label)):
            raise ValueError(
                f"{len(self.label)} labels but {len(self.judge)} verdicts and {len(self.clusters)} clusters"
            )


@dataclass(frozen=True, slots=True)
class JudgedScore:
    """The judge's raw score and what it comes to.

    `estimate` is None where the judge cannot be used, and anything from 0 to 1 may be true; `refusal` says
    why: ``few_labels``: no labelled item of one of the classes (corrected), or labelled items of fewer than
    five clusters (prediction-powered); ``uninformative``: sensitivity + specificity is not above 1 beyond
    chance; ``contradictory``: no score in [0, 1] could give this raw one, so the labelled items are not of
    the judged ones' kind. `raw` ignores that the judge errs.

    `slope` is how much the estimate moves with the raw score, `labels_low` and `labels_high` the limits
    that the labelled items alone would give: what `evalkit.stats.judged` needs.
    """

    raw: Estimate
    estimate: Estimate | None
    refusal: Refusal | None
    slope: float
    labels_low: float
    labels_high: float


@dataclass(frozen=True, slots=True)
class EstimateRows:
    """An estimator's results, one of each for a row; `usable` is False where the limits are 0 and 1."""

    value: Array
    variance: Array
    low: Array
    high: Array
    slope: Array
    labels_low: Array
    labels_high: Array
    usable: Mask


def rows(scores: Sequence[float]) -> Array:
    """Scores as an array of a single row."""
    return np.asarray(scores, dtype=np.float64)[None, :]


def places(judged: Sequence[float], clusters: Sequence[str] | None, labelled: LabelledItems) -> Layout:
    """The layout of judged and labelled items.

    Raises:
        ValueError: no judged or no labelled items, scores or labels outside [0, 1], or lengths differ.
    """
    if clusters is not None and len(clusters) != len(judged):
        raise ValueError(f"{len(judged)} verdicts but {len(clusters)} clusters")
    if not len(judged) or not len(labelled.label):
        raise ValueError("no judged or no labelled items: nothing to estimate")
    if not all(0 <= score <= 1 for group in (judged, labelled.judge, labelled.label) for score in group):
        raise ValueError("verdicts and labels lie between 0 and 1")
    # Marked by kind, so that a made-up name meets no given one.
    ours = [f"j{i}" for i in range(len(judged))] if clusters is None else [f"c{name}" for name in clusters]
    theirs = [f"c{name}" for name in labelled.clusters] or [f"l{i}" for i in range(len(labelled.label))]
    return layout(ours, theirs)


def result(raw: Part, found: EstimateRows, where: Layout, few: Refusal | None, unfit: Refusal) -> JudgedScore:
    """A row of results as plain data. `few` is the refusal that is known beforehand, if there is one."""
    n, clusters = where.judged.n, where.judged.count
    error = math.sqrt(raw.variance[0]) if clusters > 1 else None
    seen = Estimate(float(raw.mean[0]), error, float(raw.low[0]), float(raw.high[0]), n, clusters)
    if few or not found.usable[0]:
        return JudgedScore(seen, None, few or unfit, 0.0, 0.0, 1.0)
    value = float(found.value[0])
    error = math.sqrt(found.variance[0]) if clusters > 1 else None
    estimate = Estimate(value, error, float(found.low[0]), float(found.high[0]), n, clusters)
    labels = float(found.labels_low[0]), float(found.labels_high[0])
    return JudgedScore(seen, estimate, None, float(found.slope[0]), *labels)
