"""From scores to figures: the one place where accuracies, failures, breakdowns and flips are made.

Everything here takes the items of a run and the name of a rule. Accuracies and their differences are
`Estimate`s: fractions of 1 with a 95 % interval, clustered by the items' groups (pages, dialogues, files).
"""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from evalkit.flips import GradedAnswer, count_flips
from evalkit.run.info import Run
from evalkit.schema import DEFAULT, JUDGED, Estimate, Flips, Item, Outcome, Sample, Score
from evalkit.scoring.agreement import UNIT_DECIDED
from evalkit.scoring.answer import label_answer
from evalkit.stats.classification import (
    ClassScore,
    Pair,
    class_scores,
    confusion,
    macro_f1_estimate,
    majority_baseline,
)
from evalkit.stats.intervals import average_estimate
from evalkit.stats.paired import mean_estimate, paired_difference

PARTIAL = 0.9  # below this share of the reference's examples a rule judges another population
MOST_VALUES = 50


def accuracy(items: Iterable[Item], rule: str, *, clustered: bool = True) -> Estimate | None:
    """The mean score over the items that a rule scores; None if there are none.

    ``clustered=False`` is for items of one given group (a task's file): then its rows are the sample.
    """
    scored = [(value, item.group) for item in items if (value := item.value(rule)) is not None]
    if not scored:
        return None
    clusters = [group if clustered else str(number) for number, (_, group) in enumerate(scored)]
    return mean_estimate([value for value, _ in scored], clusters)


@dataclass(frozen=True, slots=True)
class Result:
    """One benchmark of a run under one `rule`. `estimate` is None where nothing is scored.

    ``covered`` items were asked: those scored (``n``), ``failed`` (the engine gave no answer), ``unscored``
    (no rule applies, and no judge's verdict is there) and ``left_out`` (a file of recorded outputs has none,
    or the run is partial). ``truncated`` items were cut off by the token limit. ``outcomes`` counts answers.
    """

    benchmark: str
    rule: str
    estimate: Estimate | None
    covered: int
    unscored: int
    failed: int
    left_out: int
    truncated: int
    outcomes: dict[str, int]

    @property
    def n(self) -> int:
        """Scored items."""
        return self.estimate.n if self.estimate else 0


def result(benchmark: str, items: Sequence[Item], rule: str, covered: int) -> Result:
    """One benchmark under one rule, of which `covered` items were asked."""
    unscored = [item for item in items if item.value(rule) is None]
    failed = sum(item.failed for item in unscored)
    scores = [score for item in items for sample in item.samples if (score := sample.scores.get(rule))]
    return Result(
        benchmark=benchmark,
        rule=rule,
        estimate=accuracy(items, rule),
        covered=covered,
        unscored=len(unscored) - failed,
        failed=failed,
        left_out=covered - len(items),
        truncated=sum(any(sample.cut_off for sample in item.samples) for item in items),
        outcomes=dict(sorted(Counter(score.outcome for score in scores).items())),
    )


def counting_rule(items: Iterable[Item], rule: str = DEFAULT) -> str:
    """The rule whose number counts: `rule`, or `judged` where that scores nothing and a judge does.

    Answers have a score under `judged` only where the judge is fit, or its scores were asked for by force.
    """
    scored = {
        name
        for item in items
        for sample in item.samples
        for name, score in sample.scores.items()
        if score.value is not None
    }
    return JUDGED if JUDGED in scored and rule not in scored else rule


def results(run: Run) -> dict[str, Result]:
    """Every benchmark of a run, in its order, under the rule that counts there."""
    found = {}
    for name, items in run.by_benchmark().items():
        info = run.info.benchmarks[name]
        found[name] = result(name, items, counting_rule(items, info.rule), info.covered)
    return found


def scored_benchmarks(run: Run) -> dict[str, tuple[list[Item], str]]:
    """The benchmarks that have a score, in the run's order: their items and the rule that counts."""
    found = {}
    for name, items in run.by_benchmark().items():
        rule = counting_rule(items, run.info.benchmarks[name].rule)
        if any(item.value(rule) is not None for item in items):
            found[name] = (items, rule)
    return found


def average(found: Iterable[Result]) -> Estimate | None:
    """The mean of the benchmarks' accuracies, each counting the same; None if none is scored."""
    scored = [each.estimate for each in found if each.estimate is not None]
    return average_estimate(scored) if scored else None


def missing_answers(run: Run) -> int:
    """How many answers of those that the run asked for it does not have."""
    samples = run.info.protocol.samples
    there = Counter(item.benchmark for item in run.items for _ in item.samples)
    return sum(max(0, of.covered * samples - there[name]) for name, of in run.info.benchmarks.items())


@dataclass(frozen=True, slots=True)
class Failures:
    """How the answers to one benchmark fail. ``tokens_*`` are of completions, reasoning included.

    Low-bit files can fail by rambling rather than by arithmetic, and a token cap can pass for a loss of
    accuracy: so accuracy, length and truncation stand together. ``truncated`` counts answers that hit the
    token limit or (made elsewhere) end inside their reasoning. ``abandoned`` is None where nobody looked.
    ``by_unit``: wrong only because the question names another unit than the answer.
    """

    answers: int
    outcomes: dict[str, int]
    truncated: int
    abandoned: int | None
    by_unit: int
    tokens_median: float | None
    tokens_p95: int | None
    all: Estimate | None
    untruncated: Estimate | None


def failures(items: Sequence[Item], rule: str) -> Failures:
    """The taxonomy of one benchmark under one rule; outcomes in the taxonomy's order."""
    scored = [
        (sample, score) for item in items for sample in item.samples if (score := sample.scores.get(rule))
    ]
    tokens = sorted(each.completion_tokens for each, _ in scored if each.completion_tokens is not None)
    marked = [sample.abandoned for sample, _ in scored if sample.abandoned is not None]
    kinds = Counter(score.outcome for _, score in scored)
    return Failures(
        answers=len(scored),
        outcomes={kind: kinds[kind] for kind in get_args(Outcome) if kinds[kind]},
        truncated=sum(_truncated(sample, score) for sample, score in scored),
        abandoned=sum(marked) if marked else None,
        by_unit=sum(UNIT_DECIDED in score.note for _, score in scored),
        tokens_median=statistics.median(tokens) if tokens else None,
        tokens_p95=nearest_rank(tokens, 0.95) if tokens else None,
        all=accuracy(items, rule),
        untruncated=accuracy(_untruncated(items, rule), rule),
    )


def _truncated(sample: Sample, score: Score) -> bool:
    return sample.cut_off or score.outcome in ("truncated", "loop")


def _untruncated(items: Iterable[Item], rule: str) -> Iterable[Item]:
    for item in items:
        whole = tuple(
            sample
            for sample in item.samples
            if (score := sample.scores.get(rule)) and not _truncated(sample, score)
        )
        if whole:
            yield item.with_samples(whole)


def nearest_rank(ordered: Sequence[int], quantile: float) -> int:
    """The quantile by nearest rank: the smallest value that at least that share does not exceed."""
    return ordered[max(0, math.ceil(quantile * len(ordered)) - 1)]


def facets_of(items: Iterable[Item]) -> list[str]:
    """What the items can be broken down by; not the label of a classification: recall says the same."""
    return [
        facet
        for facet in dict.fromkeys(facet for item in items for facet in item.facets)
        if not (facet == "label" and all(item.gold_kind == "label" for item in items))
    ]


def breakdown(items: Iterable[Item], rule: str, facet: str) -> dict[Any, Estimate]:
    """The accuracy of every value of `facet`, in order; nothing if it has one value or more than fifty."""
    parts: dict[Any, list[Item]] = defaultdict(list)
    for item in items:
        if item.value(rule) is not None:
            parts[_hashable(item.facets.get(facet))].append(item)
    if not 2 <= len(parts) <= MOST_VALUES:
        return {}
    # Where every line is one file, its rows are the sample: clustered by file nothing could be estimated.
    one_group_each = all(len({item.group for item in part}) == 1 for part in parts.values())
    found = {}
    for value, part in sorted(parts.items(), key=lambda entry: _order(entry[0])):
        estimate = accuracy(part, rule, clustered=not one_group_each)
        assert estimate is not None, "every part holds scored items"
        found[value] = estimate
    return found


def macro(parts: Mapping[Any, Estimate]) -> Estimate | None:
    """The mean over a facet's values, each counting the same; None where they are counts and no classes."""
    if not parts or not all(isinstance(value, str) for value in parts):
        return None
    return average_estimate(list(parts.values()))


def _hashable(value: object) -> object:
    return value if isinstance(value, int | float | str) or value is None else str(value)


def _order(value: object) -> tuple[bool, float, str]:
    """Numbers by size, then anything else by its text."""
    if isinstance(value, int | float):
        return False, float(value), ""
    return True, 0.0, str(value)


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule on one benchmark beside the rule that counts, over the examples of both.

    ``flips``: right→wrong are answers that only the rule that counts accepts. ``partial``: it judges so few
    of the examples that it stands for another population.
    """

    rule: str
    estimate: Estimate
    difference: Estimate | None
    flips: Flips
    partial: bool


def rule_lines(items: Sequence[Item], rules: Iterable[str], main: str) -> list[RuleLine]:
    """The rules that score anything, the most accurate first; those that judge only some examples last."""
    base = accuracy(items, main)
    lines = []
    for rule in rules:
        estimate = accuracy(items, rule)
        if estimate is not None:
            partial = base is not None and estimate.n < PARTIAL * base.n
            flips = count_flips(_both(items, rule, main))
            lines.append(RuleLine(rule, estimate, rule_difference(items, rule, main), flips, partial))
    return sorted(lines, key=lambda line: (line.partial, -line.estimate.value, line.rule != main, line.rule))


def rule_difference(items: Iterable[Item], rule: str, main: str) -> Estimate | None:
    """The paired difference `rule` - `main` over the items that both score; None if there are none."""
    both = [
        (ours, theirs, item.group)
        for item in items
        if (ours := item.value(rule)) is not None and (theirs := item.value(main)) is not None
    ]
    if not both:
        return None
    return paired_difference([a for a, _, _ in both], [b for _, b, _ in both], [c for _, _, c in both])


def _both(items: Iterable[Item], rule: str, main: str) -> Iterator[tuple[GradedAnswer, GradedAnswer]]:
    for item in items:
        for sample in item.samples:
            if rule in sample.scores and main in sample.scores:
                yield (
                    GradedAnswer(item, sample, sample.scores[main]),
                    GradedAnswer(item, sample, sample.scores[rule]),
                )


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One answer that some rules accept and others do not; ``verdicts`` and ``extracted`` are by rule."""

    benchmark: str
    id: str
    turn: int | None
    sample: int
    gold: str
    verdicts: dict[str, bool]
    extracted: dict[str, str]


def disagreements(items: Iterable[Item], rules: Sequence[str]) -> list[Disagreement]:
    """The answers on which the rules that judge them differ."""
    found = []
    for item in items:
        for sample in item.samples:
            scores = {rule: sample.scores[rule] for rule in rules if rule in sample.scores}
            verdicts = {rule: each.correct for rule, each in scores.items() if each.correct is not None}
            if len(set(verdicts.values())) > 1:
                extracted = {rule: scores[rule].extracted or "" for rule in verdicts}
                name = (item.benchmark, item.id, item.turn, sample.number)
                found.append(Disagreement(*name, item.gold, verdicts, extracted))
    return found


@dataclass(frozen=True, slots=True)
class Classification:
    """A benchmark with a closed set of labels. ``counts`` are (gold, answered label or None) pairs.

    ``macro_f1`` is the mean of the classes' F1; ``majority`` the most frequent label and its share.
    """

    labels: list[str]
    accuracy: Estimate
    macro_f1: Estimate | None
    majority: tuple[str, float] | None
    classes: dict[str, ClassScore]
    counts: Counter[Pair]


def classification(items: Iterable[Item], rule: str) -> Classification | None:
    """The labels that were given and answered; None unless all golds are labels and some are scored."""
    scored = [item for item in items if item.value(rule) is not None]
    found = accuracy(scored, rule)
    if found is None or any(item.gold_kind != "label" for item in scored):
        return None
    # Records that were made before choices were kept have none.
    labels = list(dict.fromkeys(label for item in scored for label in item.choices))
    labels = labels or sorted({item.gold for item in scored})
    pairs = [_pairs(item, rule, labels) for item in scored]
    counts = confusion(pair for each in pairs for pair in each)
    return Classification(
        labels=labels,
        accuracy=found,
        macro_f1=macro_f1_estimate(pairs, labels),
        majority=majority_baseline([item.gold for item in scored]),
        classes=class_scores(counts, labels),
        counts=counts,
    )


def _pairs(item: Item, rule: str, labels: Sequence[str]) -> list[Pair]:
    """Gold and answered label of every sample that was scored."""
    pairs: list[Pair] = []
    for sample in item.samples:
        score = sample.scores.get(rule)
        if score is not None and score.value is not None:
            said = label_answer(sample.output, labels)
            pairs.append((item.gold, said[1] if said else None))
    return pairs
