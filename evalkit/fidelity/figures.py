"""From token figures to estimates: means per answer and benchmark, differences between files, flips foretold.

An answer's figure is the mean over its tokens, and each answer counts the same. Intervals are clustered by
page as accuracies' are (`evalkit.stats`). A divergence is not negative and far from symmetric, so its
interval is Student's t on the log scale (by the delta method): value · exp(± t · error / value). In simulated
means of 10 to 100 values from lognormal and gamma distributions it covered nearer to 95 % than value ± t ·
error everywhere and, for up to 20 values, than a BCa bootstrap. All cover less where values are very skewed:
`python -m bench fidelity intervals` prints how much.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from evalkit.fidelity.classes import CLASSES, TokenClass
from evalkit.fidelity.divergence import TokenFigures, leaving_chance, tokens_kept
from evalkit.schema import Estimate, Key
from evalkit.stats.intervals import average_estimate, quantile, wilson
from evalkit.stats.paired import mean_estimate, paired_difference


@dataclass(frozen=True, slots=True)
class AnswerFigures:
    """One answer under one file.

    `change` is in nats per token, `kept` how many tokens greedy decoding repeats before it leaves (None: all
    of `tokens`). `final_flip` is the leaving chance over the tokens of the final answer, None where the rule
    has found none; `any_flip` that over all tokens. `by_class` holds (mean KL, agreement, mean change,
    tokens) of the kinds of token that the answer has. `noise` is the share of tokens at which the reference's
    likeliest is not the one that it had generated (None where the run counted other tokens), `right` the
    answer's score (None without one).
    """

    benchmark: str
    key: Key
    sample: int
    group: str
    tokens: int
    kl: float
    agreement: float
    change: float
    kept: int | None
    final_flip: float | None
    any_flip: float
    by_class: Mapping[TokenClass, tuple[float, float, float, int]]
    noise: float | None = None
    right: float | None = None


@dataclass(frozen=True, slots=True)
class Means:
    """Means over answers: KL in nats per token, top-1 agreement as a fraction, change in nats per token."""

    kl: Estimate
    agreement: Estimate
    change: Estimate
    tokens: int


@dataclass(frozen=True, slots=True)
class BenchmarkFidelity:
    """One file on one benchmark.

    `whole`: the share of answers that greedy decoding would repeat to their end. `median_kept`: the median
    number of tokens before it leaves (Kaplan and Meier's, as an answer that it never leaves says only "more
    than that"); None where more than half are never left. `final_flip`: the mean chance that the final answer
    flips; None without one. `lost`: the same where the chance counts for right answers only, and 0 for the
    others. `noise`: the mean share of tokens at which the reference, read here, would not go on as it had
    generated.
    """

    means: Means
    whole: Estimate
    median_kept: float | None
    final_flip: Estimate | None
    by_class: Mapping[TokenClass, Means]
    lost: Estimate | None = None
    noise: Estimate | None = None
    answers: tuple[AnswerFigures, ...] = field(repr=False, default=())


def answer_figures(
    name: tuple[str, Key, int, str],
    figures: TokenFigures,
    classes: Mapping[TokenClass, np.ndarray],
    final: np.ndarray | None,
    noise: float | None = None,
    right: float | None = None,
) -> AnswerFigures:
    """An answer's figures.

    Args:
        name: benchmark, key, sample and group.
        classes: which tokens are of which kind.
        final: which tokens are the final answer's; None where there is none.
        noise, right: as of `AnswerFigures`.
    """
    benchmark, key, sample, group = name
    found: dict[TokenClass, tuple[float, float, float, int]] = {}
    for kind in CLASSES:
        some = classes[kind]
        if some.any():
            found[kind] = (
                float(figures.kl[some].mean()),
                float(figures.agree[some].mean()),
                float(figures.change[some].mean()),
                int(some.sum()),
            )
    return AnswerFigures(
        benchmark=benchmark,
        key=key,
        sample=sample,
        group=group,
        tokens=len(figures.kl),
        kl=float(figures.kl.mean()),
        agreement=float(figures.agree.mean()),
        change=float(figures.change.mean()),
        kept=tokens_kept(figures.kept),
        final_flip=leaving_chance(figures.change[final]) if final is not None and final.any() else None,
        any_flip=leaving_chance(figures.change),
        by_class=found,
        noise=noise,
        right=right,
    )


def benchmark_fidelity(answers: Sequence[AnswerFigures]) -> BenchmarkFidelity:
    """The means of one file's answers to one benchmark; at least one."""
    groups = [answer.group for answer in answers]
    flips = [(answer.final_flip, answer.group) for answer in answers if answer.final_flip is not None]
    lost = [
        (answer.final_flip * answer.right, answer.group)
        for answer in answers
        if answer.final_flip is not None and answer.right is not None
    ]
    noise = [(answer.noise, answer.group) for answer in answers if answer.noise is not None]
    by_class: dict[TokenClass, Means] = {}
    for kind in CLASSES:
        some = [(answer.by_class[kind], answer.group) for answer in answers if kind in answer.by_class]
        if some:
            by_class[kind] = _means([row for row, _ in some], [group for _, group in some])
    return BenchmarkFidelity(
        means=_means([(a.kl, a.agreement, a.change, a.tokens) for a in answers], groups),
        whole=mean_estimate([float(answer.kept is None) for answer in answers], groups),
        median_kept=median_kept(answers),
        final_flip=_of_pairs(mean_estimate, flips),
        by_class=by_class,
        lost=_of_pairs(mean_estimate, lost),
        noise=_within(known) if (known := _of_pairs(positive_estimate, noise)) else None,
        answers=tuple(answers),
    )


def _of_pairs(
    estimate: Callable[[list[float], list[str]], Estimate], pairs: Sequence[tuple[float, str]]
) -> Estimate | None:
    """The estimate of values with their clusters; None if there are none."""
    return estimate([value for value, _ in pairs], [group for _, group in pairs]) if pairs else None


def _means(rows: Sequence[tuple[float, float, float, int]], groups: Sequence[str]) -> Means:
    return Means(
        kl=positive_estimate([row[0] for row in rows], groups),
        agreement=share_estimate([row[1] for row in rows], groups, sum(row[3] for row in rows)),
        change=_unbounded([row[2] for row in rows], groups),
        tokens=sum(row[3] for row in rows),
    )


def average_means(parts: Sequence[BenchmarkFidelity]) -> Means:
    """The plain mean over benchmarks."""
    return Means(
        kl=_positive(average_estimate([part.means.kl for part in parts])),
        agreement=_within(average_estimate([part.means.agreement for part in parts])),
        change=average_estimate([part.means.change for part in parts]),
        tokens=sum(part.means.tokens for part in parts),
    )


def excess(agreement: Estimate, noise: Estimate) -> Estimate:
    """How much more often a file goes on otherwise than the reference does itself: (1 - agreement) - noise.

    The limits come from both parts' own (method of variance estimates recovery: Zou & Donner 2008, Stat. Med.
    27: 1693-1702), as if they were independent: near-ties move both the same way, so they are too wide
    rather than too narrow.
    """
    value = (1 - agreement.value) - noise.value
    low = value - math.hypot(agreement.high - agreement.value, noise.high - noise.value)
    high = value + math.hypot(agreement.value - agreement.low, noise.value - noise.low)
    known = agreement.error is not None and noise.error is not None
    error = math.hypot(agreement.error or 0.0, noise.error or 0.0) if known else None
    return Estimate(value, error, max(-1.0, low), min(1.0, high), agreement.n, agreement.clusters)


def _within(found: Estimate) -> Estimate:
    """The same estimate with limits in [0, 1]."""
    return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))


def positive_estimate(values: Sequence[float], clusters: Sequence[str]) -> Estimate:
    """The mean of values that are not negative, with its clustered 95 % interval on the log scale.

    Raises:
        ValueError: no values, or the arguments differ in length.
    """
    return _positive(_unbounded(values, clusters))


def share_estimate(shares: Sequence[float], clusters: Sequence[str], tokens: int) -> Estimate:
    """The mean of shares of tokens near 1, with an interval like that of a divergence for what they lack.

    Where they lack nothing, the lower limit is Wilson's for all `tokens`, taken as independent.
    """
    lack = positive_estimate([1 - share for share in shares], clusters)
    if lack.error is not None and not lack.value > 0:
        low = wilson(tokens, tokens)[0]
        return Estimate(1.0, 0.0, low, 1.0, lack.n, lack.clusters)
    return Estimate(1 - lack.value, lack.error, max(0.0, 1 - lack.high), 1 - lack.low, lack.n, lack.clusters)


def _unbounded(values: Sequence[float], clusters: Sequence[str]) -> Estimate:
    return paired_difference(values, [0.0] * len(values), clusters, bounded=False)


def _positive(found: Estimate) -> Estimate:
    """The same estimate with limits on the log scale."""
    if found.error is None or not found.value > 0:
        low, high = (0.0, math.inf) if found.error is None else (found.value, found.value)
        return Estimate(found.value, found.error, low, high, found.n, found.clusters)
    factor = math.exp(min(50.0, quantile(found.clusters) * found.error / found.value))
    return Estimate(
        found.value, found.error, found.value / factor, found.value * factor, found.n, found.clusters
    )


def median_kept(answers: Sequence[AnswerFigures]) -> float | None:
    """The median number of tokens before greedy decoding leaves, by Kaplan and Meier's estimate."""
    from scipy.stats import CensoredData, ecdf

    left = [answer.kept for answer in answers if answer.kept is not None]
    never = [answer.tokens for answer in answers if answer.kept is None]
    if not left:
        return None
    found = ecdf(CensoredData(uncensored=left, right=never)).sf
    below = np.nonzero(found.probabilities <= 0.5)[0]
    return float(found.quantiles[below[0]]) if len(below) else None


@dataclass(frozen=True, slots=True)
class Difference:
    """The KL of `file` minus that of `other`, answer by answer, on one benchmark."""

    benchmark: str
    file: str
    other: str
    kl: Estimate


def neighbours(files: Sequence[tuple[str, Sequence[AnswerFigures]]]) -> tuple[Difference, ...]:
    """Each file against the one before it, by benchmark; files are in the order of their mean KL."""
    found = []
    for (one, before), (other, after) in itertools.pairwise(files):
        for benchmark in dict.fromkeys(answer.benchmark for answer in after):
            ours, theirs = (
                [answer for answer in answers if answer.benchmark == benchmark] for answers in (after, before)
            )
            kl = paired_kl(ours, theirs)
            if kl is not None:
                found.append(Difference(benchmark, other, one, kl))
    return tuple(found)


def paired_kl(one: Sequence[AnswerFigures], other: Sequence[AnswerFigures]) -> Estimate | None:
    """Mean of one file's KL minus the other's over the answers that both have; None if there is none."""
    theirs = {(answer.key, answer.sample): answer for answer in other}
    pairs = [(ours, theirs[ours.key, ours.sample]) for ours in one if (ours.key, ours.sample) in theirs]
    if not pairs:
        return None
    return paired_difference(
        [ours.kl for ours, _ in pairs],
        [theirs.kl for _, theirs in pairs],
        [ours.group for ours, _ in pairs],
        bounded=False,
    )


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Answers of similar foretold chance: the mean chance, and the share that flipped."""

    predicted: float
    observed: float
    n: int


@dataclass(frozen=True, slots=True)
class FlipForecast:
    """How well fidelity foretold which answers of a generated run flipped.

    `auc_*`: the chance that an answer that flipped has the higher figure than one that did not, ties half
    (Mann and Whitney's U); None where all flipped or none. Figures: the chance over the final answer's
    tokens, that over all tokens, and mean KL. `brier`: the mean squared error of the first chance.
    """

    n: int
    flipped: int
    predicted: float
    auc_final: float | None
    auc_any: float | None
    auc_kl: float | None
    brier: float
    bins: tuple[CalibrationBin, ...]


_BINS = 5


def flip_forecast(pairs: Sequence[tuple[AnswerFigures, bool]]) -> FlipForecast | None:
    """From answers with a final answer and whether it flipped; None without any."""
    some = [(answer, flipped) for answer, flipped in pairs if answer.final_flip is not None]
    if not some:
        return None
    flipped = np.array([each for _, each in some])
    chances = np.array([answer.final_flip for answer, _ in some], dtype=np.float64)
    order = np.argsort(chances, kind="stable")
    parts = [part for part in np.array_split(order, min(_BINS, len(order))) if len(part)]
    return FlipForecast(
        n=len(some),
        flipped=int(flipped.sum()),
        predicted=float(chances.sum()),
        auc_final=auc(chances, flipped),
        auc_any=auc(np.array([answer.any_flip for answer, _ in some]), flipped),
        auc_kl=auc(np.array([answer.kl for answer, _ in some]), flipped),
        brier=float(((chances - flipped) ** 2).mean()),
        bins=tuple(
            CalibrationBin(float(chances[part].mean()), float(flipped[part].mean()), len(part))
            for part in parts
        ),
    )


def auc(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """Area under the ROC curve, as Mann and Whitney's U over both counts; None if one is 0."""
    from scipy.stats import mannwhitneyu

    yes, no = scores[positive], scores[~positive]
    if not len(yes) or not len(no):
        return None
    return float(mannwhitneyu(yes, no).statistic) / (len(yes) * len(no))
