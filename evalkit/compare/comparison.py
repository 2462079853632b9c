"""Two runs, compared: accuracies, flips, tests, costs, and a verdict per benchmark over a whole family."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import Any

from evalkit.compare.control import control_of_planned
from evalkit.compare.needed import Needed, needed, sizes_of
from evalkit.compare.pairs import Pair, PairedBenchmark, pair
from evalkit.compare.texts import Texts, texts_of
from evalkit.fitness import Unfit, constant_answer, floor_of, unfit
from evalkit.flips import Flip, GradedAnswer, count_flips, flips_of, only_answer
from evalkit.metrics import failures
from evalkit.run.info import Run
from evalkit.schema import AVERAGE, Comparison, Estimate, Flips, Item, Verdict
from evalkit.scoring import get_rule
from evalkit.stats.control import ControlledDifference
from evalkit.stats.intervals import average_estimate
from evalkit.stats.paired import (
    detectable_difference,
    holm,
    mcnemar_exact,
    mean_estimate,
    p_difference,
    p_non_inferior,
    paired_difference,
    verdict,
)
from evalkit.text import duration, file_size, size_text


@dataclass(frozen=True, slots=True)
class RunCost:
    """What a run cost; None where it could not be measured (outputs made elsewhere).

    Sizes in bytes. Speeds are those of one slot over the run; loading is that of the engine's last start.
    """

    file_bytes: int | None
    peak_memory_bytes: int | None
    peak_gpu_memory_bytes: int | None
    load_seconds: float | None
    prefill_tokens_per_second: float | None
    decode_tokens_per_second: float | None
    tokens_per_answer: float | None
    wall_seconds: float | None


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 1000 else f"{figure:.2f}"


# In the units that runs and sweeps are shown in.
_SHOWN: dict[str, tuple[str, Callable[[Any], str]]] = {
    "file_bytes": ("file", file_size),
    "peak_memory_bytes": ("peak memory", size_text),
    "peak_gpu_memory_bytes": ("peak GPU memory", size_text),
    "load_seconds": ("loading, s", _number),
    "prefill_tokens_per_second": ("prefill, tokens/s", _number),
    "decode_tokens_per_second": ("decoding, tokens/s", _number),
    "tokens_per_answer": ("tokens per answer", _number),
    "wall_seconds": ("whole run", duration),
}


def costs(run: Run) -> RunCost:
    """What a run cost."""
    measured, engine = run.info.measured, run.info.engine
    tokens = [
        sample.completion_tokens
        for item in run.items
        for sample in item.samples
        if sample.completion_tokens is not None
    ]
    found = RunCost(
        file_bytes=engine.weights.size_bytes if engine.weights else None,
        peak_memory_bytes=measured.peak_memory_bytes,
        peak_gpu_memory_bytes=measured.peak_gpu_memory_bytes,
        load_seconds=engine.load_seconds,
        prefill_tokens_per_second=measured.prefill_tokens_per_second,
        decode_tokens_per_second=measured.decode_tokens_per_second,
        tokens_per_answer=statistics.fmean(tokens) if tokens else None,
        wall_seconds=measured.wall_seconds,
    )
    # An engine that never served has 0 seconds behind it: that is no measurement.
    return RunCost(*(getattr(found, each.name) or None for each in fields(found)))


def cost_rows(reference: Run, candidate: Run) -> list[tuple[str, ...]]:
    """Name, the reference's figure, the candidate's; without figures that neither has."""
    theirs, ours = costs(reference), costs(candidate)
    return [
        (
            label,
            *("-" if (figure := getattr(side, name)) is None else text(figure) for side in (theirs, ours)),
        )
        for name, (label, text) in _SHOWN.items()
        if getattr(theirs, name) is not None or getattr(ours, name) is not None
    ]


# As run.json calls them, and where a `RunInfo` has them.
_WHAT_ELSE = {
    "engine.engine": "engine.engine",
    "engine.build": "engine.build",
    "engine.chat_template_sha256": "engine.chat_template_sha256",
    "engine.flash_attention": "engine.flash_attention",
    "engine.cache_type_k": "engine.cache_type_k",
    "engine.cache_type_v": "engine.cache_type_v",
    "engine.draft_sha256": "engine.draft_sha256",
    "engine.slots": "engine.slots",
    "engine.gpu_layers": "engine.gpu_layers",
    "sampling.max_tokens": "generation.max_tokens",
    "protocol.samples": "protocol.samples",
    "evalkit.version": "evalkit.version",
    "hardware.cpu": "hardware.cpu",
    "hardware.cores": "hardware.cores",
}


def comparisons(pairs: Sequence[PairedBenchmark], margin: float, *, wrong: bool = True) -> list[Comparison]:
    """One comparison per benchmark with scored pairs, then their average if there are several.

    Not judged yet: adjusted p-values are None and the verdict is unresolved until `judged` has seen the whole
    family.

    Args:
        margin: the loss that must be excluded, a fraction of 1.
        wrong: whether wrong answers that became other wrong ones are counted; see `flips.count_flips`.
    """
    found = [_benchmark(paired, margin, wrong) for paired in pairs if paired.pairs]
    return [*found, _average(found, margin)] if len(found) > 1 else found


@dataclass(frozen=True, slots=True)
class RunComparison:
    """A comparison of `candidate` with `reference`; ``margin`` is a fraction of 1.

    `rule`: the one that was asked for, or those that count. ``differences``: see `other_differences`.
    ``controlled``: by benchmark, the difference with the reference's other answers (see `compare.control`).
    ``same_weights``: both ran one file, so what differs is noise. ``unfit_…``: why a side is no choice, None
    if it can be one. ``texts``: with the same weights, whether they said the same to the letter.
    """

    reference: Run
    candidate: Run
    rule: str
    margin: float
    pairs: list[PairedBenchmark]
    comparisons: list[Comparison]
    differences: list[tuple[str, object, object]]
    same_weights: bool
    texts: Texts | None = None
    unfit_reference: Unfit | None = None
    unfit_candidate: Unfit | None = None
    controlled: Mapping[str, ControlledDifference] = field(default_factory=dict)

    @property
    def decisive(self) -> Comparison:
        """The comparison that decides: on the average, or on the only benchmark."""
        return self.comparisons[-1]

    def needed(self, comparison: Comparison) -> Needed | None:
        """What would settle one of the comparisons; None if it is settled."""
        return needed(comparison, self.comparisons, sizes_of(self.reference))

    @property
    def failed(self) -> int:
        """Examples without an answer on a side."""
        return sum(benchmark.failed for benchmark in self.pairs)

    @property
    def flips(self) -> list[Flip]:
        """The examples that flipped, in the reference's order."""
        return [flip for paired in self.pairs for flip in flips_of(graded_pairs(paired))]


def compare(reference: Run, candidate: Run, rule: str | None, margin: float) -> RunComparison:
    """Compare two runs on the examples that both have.

    Args:
        rule: None: the one that counts in the reference, by benchmark.

    Raises:
        UserError: no such rule, or the two cannot be compared (see `pairs.pair`).
    """
    if rule is not None:
        get_rule(rule)
    pairs = pair(candidate, reference, rule=rule, same_examples=False)
    [found] = judged([comparisons(pairs, margin)], margin)
    counting = dict.fromkeys(reference.info.benchmarks[each.benchmark].rule for each in pairs)
    weights = reference.info.engine.weights_sha256
    decisive = found[-1]
    same = weights is not None and weights == candidate.info.engine.weights_sha256
    return RunComparison(
        reference=reference,
        candidate=candidate,
        rule=rule or ", ".join(counting),
        margin=margin,
        pairs=pairs,
        comparisons=found,
        differences=other_differences(candidate, reference),
        same_weights=same,
        texts=texts_of(reference, candidate, pairs) if same else None,
        unfit_reference=_unfit(reference, pairs, decisive.reference),
        unfit_candidate=_unfit(candidate, pairs, decisive.candidate),
        controlled=control_of_planned(pairs, candidate, reference),
    )


def _unfit(run: Run, pairs: Sequence[PairedBenchmark], accuracy: Estimate) -> Unfit | None:
    """Why a side is no choice: by its answers to the benchmarks compared, and the `accuracy` that decides."""
    compared = [each for each in pairs if each.pairs]
    found = [failures(run.of(each.benchmark), each.rule) for each in compared]
    answers = sum(each.answers for each in found)
    constants = {
        each.benchmark: constant_answer(reference for _, reference in each.pairs) for each in compared
    }
    floor = floor_of(AVERAGE, constants, list(constants))
    return unfit(sum(each.truncated for each in found) / answers if answers else None, accuracy, floor)


def other_differences(candidate: Run, reference: Run) -> list[tuple[str, object, object]]:
    """Settings that differ and that the reader must know of, though they are no reason to refuse.

    Two files of one model may carry different chat templates, two engines may build different prompts from
    them, and other slots give other batches: all that belongs to what was run, and can explain a difference.

    Returns:
        The setting's name in run.json, the reference's value, the candidate's.
    """
    values = [
        (name, attrgetter(place)(reference.info), attrgetter(place)(candidate.info))
        for name, place in _WHAT_ELSE.items()
    ]
    depths = [
        (f"depth of {name}", theirs.depth or 0, ours.depth or 0)
        for name, theirs in reference.info.benchmarks.items()
        if (ours := candidate.info.benchmarks.get(name)) is not None
    ]
    return [each for each in [*values, *depths] if each[1] != each[2]]


def graded_pairs(paired: PairedBenchmark) -> list[tuple[GradedAnswer, GradedAnswer]]:
    """The reference's and the candidate's answer to each example with one, judged, on both sides."""
    found = [
        (only_answer(reference, paired.rule), only_answer(candidate, paired.rule))
        for candidate, reference in paired.pairs
    ]
    return [(before, after) for before, after in found if before is not None and after is not None]


_NOT_JUDGED = Verdict("unresolved")


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


def _benchmark(paired: PairedBenchmark, margin: float, wrong: bool) -> Comparison:
    pairs = paired.pairs
    clusters = [reference.group for _, reference in pairs]
    ours = [value for item, _ in pairs if (value := item.value(paired.rule)) is not None]
    theirs = [value for _, item in pairs if (value := item.value(paired.rule)) is not None]
    counted = count_flips(graded_pairs(paired), wrong=wrong)
    flips = counted if counted.n else None
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
            clusters.append(reference.group)
    if not ours or (not bounded and len(set(clusters)) < 2):
        return None
    return paired_difference(ours, theirs, clusters, bounded=bounded)


def _tokens(item: Item) -> float | None:
    """Tokens of the answer, the mean over its samples; None where the engine did not count them."""
    counts = [sample.completion_tokens for sample in item.samples if sample.error is None]
    known = [count for count in counts if count is not None]
    return statistics.fmean(known) if known and len(known) == len(counts) else None


def _truncated(item: Item) -> float | None:
    """The share of an item's answers that stopped at the token limit."""
    answered = [sample.cut_off for sample in item.samples if sample.error is None]
    return statistics.fmean(answered) if answered else None
