"""From paired items to comparisons: estimates and tests per benchmark, then verdicts over a whole family."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

from evalkit.compare.comparison import AVERAGE, Comparison, Estimate, Flips, Verdict
from evalkit.compare.flips import count_flips
from evalkit.compare.pairing import Pair, PairedBenchmark
from evalkit.report.items import Item
from evalkit.stats.average import average_estimate
from evalkit.stats.family import holm
from evalkit.stats.mcnemar import mcnemar_exact
from evalkit.stats.paired import mean_estimate, p_difference, p_non_inferior, paired_difference
from evalkit.stats.power import detectable_difference
from evalkit.stats.verdict import verdict

_NOT_JUDGED = Verdict("unresolved")


def comparisons(pairs: Sequence[PairedBenchmark], margin: float) -> list[Comparison]:
    """One comparison per benchmark with scored pairs, then their average if there are several.

    Not judged yet: adjusted p-values are None and the verdict is unresolved until `judged` has seen the whole
    family.

    Args:
        margin: the loss that must be excluded, a fraction of 1.
    """
    found = [_benchmark(paired, margin) for paired in pairs if paired.pairs]
    return [*found, _average(found, margin)] if len(found) > 1 else found


def judged(family: Sequence[Sequence[Comparison]], margin: float) -> list[list[Comparison]]:
    """The comparisons of all members with one reference, corrected by Holm's method, with their verdicts.

    All members x benchmarks are one family, in which differences and non-inferiority are two sets of
    hypotheses, each corrected by itself: a verdict rests on one or the other. The average rows are a family
    of their own over the members: they are the headline, and not a further benchmark.

    Args:
        family: per member, what `comparisons` found.
        margin: as there.
    """
    flat = [comparison for member in family for comparison in member]
    for of_average in (False, True):
        places = [at for at, each in enumerate(flat) if (each.benchmark == AVERAGE) is of_average]
        different = holm([flat[at].p_difference for at in places])
        non_inferior = holm([flat[at].p_non_inferior for at in places])
        tests = max(1, sum(p is not None for p in different))
        for at, p_different, p_as_good in zip(places, different, non_inferior, strict=True):
            flat[at] = replace(
                flat[at],
                adjusted_p_difference=p_different,
                adjusted_p_non_inferior=p_as_good,
                verdict=verdict(flat[at].difference, p_different, p_as_good, margin, family=tests),
            )
    rest = iter(flat)
    return [[next(rest) for _ in member] for member in family]


def _benchmark(paired: PairedBenchmark, margin: float) -> Comparison:
    pairs = paired.pairs
    clusters = [reference.example.group for _, reference in pairs]
    ours = [item.value for item, _ in pairs if item.value is not None]
    theirs = [item.value for _, item in pairs if item.value is not None]
    flips = count_flips(paired)
    return _tested(
        benchmark=paired.benchmark,
        candidate=mean_estimate(ours, clusters),
        reference=mean_estimate(theirs, clusters),
        difference=paired_difference(ours, theirs, clusters),
        flips=flips,
        tokens=_paired(pairs, _tokens, bounded=False),
        truncated=_paired(pairs, _truncated, bounded=True),
        p_mcnemar=_mcnemar(flips, len(pairs)),
        margin=margin,
    )


def _average(parts: Sequence[Comparison], margin: float) -> Comparison:
    """The plain mean over the benchmarks, whatever their sizes; flips are added up."""
    tokens = [part.tokens for part in parts if part.tokens]
    truncated = [part.truncated for part in parts if part.truncated]
    flips = [part.flips for part in parts if part.flips]
    return _tested(
        benchmark=AVERAGE,
        candidate=average_estimate([part.candidate for part in parts]),
        reference=average_estimate([part.reference for part in parts]),
        difference=average_estimate([part.difference for part in parts]),
        flips=_added_up(flips) if len(flips) == len(parts) else None,
        tokens=average_estimate(tokens) if len(tokens) == len(parts) else None,
        truncated=average_estimate(truncated) if len(truncated) == len(parts) else None,
        p_mcnemar=None,
        margin=margin,
    )


def _tested(
    *,
    benchmark: str,
    candidate: Estimate,
    reference: Estimate,
    difference: Estimate,
    flips: Flips | None,
    tokens: Estimate | None,
    truncated: Estimate | None,
    p_mcnemar: float | None,
    margin: float,
) -> Comparison:
    return Comparison(
        benchmark=benchmark,
        candidate=candidate,
        reference=reference,
        difference=difference,
        flips=flips,
        tokens=tokens,
        truncated=truncated,
        p_mcnemar=p_mcnemar,
        p_difference=p_difference(difference),
        p_non_inferior=p_non_inferior(difference, margin),
        adjusted_p_difference=None,
        adjusted_p_non_inferior=None,
        detectable=detectable_difference(difference),
        verdict=_NOT_JUDGED,
    )


def _mcnemar(flips: Flips | None, n: int) -> float | None:
    if flips is None or flips.n < n:
        return None
    return mcnemar_exact(flips.right_to_wrong, flips.wrong_to_right)


def _added_up(flips: Sequence[Flips]) -> Flips:
    return Flips(
        right_to_wrong=sum(each.right_to_wrong for each in flips),
        wrong_to_right=sum(each.wrong_to_right for each in flips),
        wrong_to_other_wrong=sum(each.wrong_to_other_wrong for each in flips),
        n=sum(each.n for each in flips),
    )


def _paired(pairs: Sequence[Pair], of: Callable[[Item], float | None], *, bounded: bool) -> Estimate | None:
    """The paired difference of a figure over the items for which both sides have it; None if none do.

    Also None where its interval would be infinite (unbounded, one cluster): JSON has no infinity.
    """
    ours: list[float] = []
    theirs: list[float] = []
    clusters: list[str] = []
    for candidate, reference in pairs:
        mine, other = of(candidate), of(reference)
        if mine is not None and other is not None:
            ours.append(mine)
            theirs.append(other)
            clusters.append(reference.example.group)
    if not ours or (not bounded and len(set(clusters)) < 2):
        return None
    return paired_difference(ours, theirs, clusters, bounded=bounded)


def _tokens(item: Item) -> float | None:
    """Tokens of the answer, the mean over its samples; None where the engine did not count them."""
    counts = [score.record.completion_tokens for score in item.scores if not score.failed]
    known = [count for count in counts if count is not None]
    return statistics.fmean(known) if known and len(known) == len(counts) else None


def _truncated(item: Item) -> float | None:
    """The share of an item's answers that stopped at the token limit."""
    return statistics.fmean(
        score.record.finish_reason == "length" for score in item.scores if not score.failed
    )
