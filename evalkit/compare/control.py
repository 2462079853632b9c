"""The difference of two runs of which the reference's has more answers: what these others add to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from evalkit.compare.pairs import PairedBenchmark
from evalkit.run.info import Run
from evalkit.schema import Item, Key
from evalkit.stats.control import ControlledDifference, controlled_difference

Chances = Mapping[Key, float]
"""Of a benchmark's questions: the chance that the candidate's answer leaves the reference's."""


def control(
    pairs: Sequence[PairedBenchmark],
    candidate: Run,
    reference: Run,
    chances: Mapping[str, Chances] | None = None,
) -> dict[str, ControlledDifference]:
    """By benchmark, the difference with the reference's other answers as a control variate.

    Args:
        chances: by benchmark, as fidelity foretold them; used where it has one of every question.

    Returns:
        Without benchmarks of which the candidate answered everything or almost nothing. And without those
        of which an answer failed or has no score: what is left is no sample of the whole.
    """
    found: dict[str, ControlledDifference] = {}
    for paired in pairs:
        if paired.failed or paired.unscored or not paired.only_reference or paired.only_candidate:
            continue
        theirs = reference.keyed(paired.benchmark)
        scores = {
            key: score for key, item in theirs.items() if (score := item.value(paired.rule)) is not None
        }
        if len(scores) < len(theirs):
            continue
        known = (chances or {}).get(paired.benchmark, {})
        foretold = bool(known) and all(key in known for key in scores)
        toward = {key: (1 - 2 * score) * (known[key] if foretold else 1.0) for key, score in scores.items()}
        asked = candidate.keyed(paired.benchmark)
        answered: list[tuple[Item, Item]] = paired.pairs
        others = [key for key in theirs if key not in asked]
        made = controlled_difference(
            [_gain(ours, item, paired.rule) for ours, item in answered],
            [toward[item.key] for _, item in answered],
            [item.group for _, item in answered],
            [toward[key] for key in others],
            [theirs[key].group for key in others],
        )
        if made is not None:
            found[paired.benchmark] = replace(made, foretold=foretold)
    return found


def control_of_planned(
    pairs: Sequence[PairedBenchmark], candidate: Run, reference: Run
) -> dict[str, ControlledDifference]:
    """As `control`, of two runs by themselves: where the candidate's questions are a planned, smaller draw.

    They are if both runs took theirs in the order of one seed, and the candidate up to a limit.
    """
    ours, theirs = candidate.info.selection, reference.info.selection
    drawn = (ours.seed, ours.sampling) == (theirs.seed, theirs.sampling) and ours.seed is not None
    return control(pairs, candidate, reference) if drawn and ours.limit is not None else {}


def narrower(made: ControlledDifference, low: float, high: float) -> bool:
    """Whether its interval is narrower than one from `low` to `high`."""
    return made.difference.high - made.difference.low < high - low


def _gain(ours: Item, theirs: Item, rule: str) -> float:
    mine, score = ours.value(rule), theirs.value(rule)
    assert mine is not None, "pairs are scored on both sides"
    assert score is not None, "pairs are scored on both sides"
    return mine - score
