"""Classification beyond accuracy: confusion matrix, precision, recall, macro-F1, the majority baseline.

F1 per class is 2·TP / (2·TP + FP + FN); macro-F1 is its plain mean over the classes that occur as gold or as
prediction (scikit-learn's default), so that the rare classes count as much as the frequent one. An answer
that names no class (None) is a miss for its gold class and a false alarm for none.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evalkit.schema import Estimate
from evalkit.stats.intervals import quantile

Pair = tuple[str, str | None]
"""Gold class and predicted class; None: no answer."""


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class. Precision is None where it was never predicted, recall where it never was gold."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


def confusion(pairs: Iterable[Pair]) -> Counter[Pair]:
    """How often each pair of gold and predicted class occurs."""
    return Counter(pairs)


def class_scores(counts: Mapping[Pair, int], classes: Sequence[str]) -> dict[str, ClassScore]:
    """Precision, recall and F1 of every class; fractions of 1."""
    scores = {}
    for name in classes:
        hits = counts.get((name, name), 0)
        support = sum(count for (gold, _), count in counts.items() if gold == name)
        predicted = sum(count for (_, said), count in counts.items() if said == name)
        scores[name] = ClassScore(
            precision=hits / predicted if predicted else None,
            recall=hits / support if support else None,
            f1=2 * hits / (support + predicted) if support + predicted else None,
            support=support,
        )
    return scores


def macro_f1(counts: Mapping[Pair, int], classes: Sequence[str]) -> float | None:
    """The mean F1 of the classes that occur; None if none does."""
    values = [score.f1 for score in class_scores(counts, classes).values() if score.f1 is not None]
    return math.fsum(values) / len(values) if values else None


def macro_f1_error(examples: Sequence[Sequence[Pair]], classes: Sequence[str]) -> float | None:
    """Standard error of macro-F1 by the jackknife over examples: √((n - 1)/n · Σ (θ₍ᵢ₎ - θ̄)²).

    Efron & Stein (1981), Ann. Stat. 9: 586-596. An example is the pairs of all its samples. Examples with
    equal pairs leave out the same thing, so the cost does not grow with their number.

    Returns:
        None for fewer than two examples.
    """
    kinds = Counter(tuple(sorted(pairs, key=str)) for pairs in examples)
    n = len(examples)
    if n < 2:
        return None
    whole = confusion(pair for pairs in examples for pair in pairs)
    left_out: list[tuple[float, int]] = []
    for pairs, count in kinds.items():
        rest = whole.copy()
        rest.subtract(pairs)
        left_out.append((macro_f1(rest, classes) or 0.0, count))
    mean = math.fsum(value * count for value, count in left_out) / n
    squares = math.fsum(count * (value - mean) ** 2 for value, count in left_out)
    return math.sqrt((n - 1) / n * squares)


def macro_f1_estimate(examples: Sequence[Sequence[Pair]], classes: Sequence[str]) -> Estimate | None:
    """Macro-F1 with its jackknife error and the 95 % interval that follows from it by Student's t, in [0, 1].

    Returns:
        None if no class occurs; with fewer than two examples no error and the interval [0, 1].
    """
    value = macro_f1(confusion(pair for pairs in examples for pair in pairs), classes)
    if value is None:
        return None
    n, error = len(examples), macro_f1_error(examples, classes)
    if error is None:
        return Estimate(value, None, 0.0, 1.0, n, n)
    half = quantile(n) * error
    return Estimate(value, error, max(0.0, value - half), min(1.0, value + half), n, n)


def majority_baseline(golds: Sequence[str]) -> tuple[str, float] | None:
    """The most frequent gold class (of equals the first by name) and its share: always saying it."""
    if not golds:
        return None
    name, count = min(Counter(golds).items(), key=lambda entry: (-entry[1], entry[0]))
    return name, count / len(golds)
