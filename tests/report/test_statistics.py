"""Items, paired differences and classification, against hand computation and scikit-learn's definitions."""

from __future__ import annotations

import math
import random

import pytest

from evalkit.metrics import accuracy, breakdown, macro, rule_difference
from evalkit.stats.classification import (
    class_scores,
    confusion,
    macro_f1,
    macro_f1_error,
    majority_baseline,
)

from .helpers import merged, score


def test_samples_are_averaged_before_anything_else() -> None:
    items = merged([score("a", 1), score("a", 0, sample=1), score("b", 1), score("c", None)])
    assert [item.value("financial") for item in items] == [0.5, 1.0, None]
    found = accuracy(items, "financial")
    assert found is not None
    assert (found.value, found.n) == (0.75, 2)
    assert accuracy(items, "pot") is None


def test_failed_is_not_unscored() -> None:
    items = [score("a", None, error="engine_error: x"), score("b", None)]
    assert [item.failed for item in items] == [True, False]


def test_paired_difference_is_clustered_and_on_common_examples() -> None:
    ours = [score(str(i), v, group=g) for i, v, g in [(0, 1, "p"), (1, 1, "p"), (2, 1, "q"), (3, 0, "q")]]
    other = [
        score(str(i), v, rule="x", group=g)
        for i, v, g in [(0, 0, "p"), (1, 0, "p"), (2, 1, "q"), (9, 0, "z")]
    ]
    found = rule_difference(merged([*ours, *other]), "x", "financial")
    assert found is not None
    # Differences -1, -1 | 0: mean -2/3; s² = 1/3, CLT² = 1/9; crossed 2·(1/9), over 9.
    assert found.value == pytest.approx(-2 / 3)
    assert found.error == pytest.approx(math.sqrt(1 / 9 + 2 / 81))
    assert found.n == 3


def test_macro_f1_by_hand() -> None:
    # a: 2 hits of 3 gold, 3 predicted; b: 1 hit of 2 gold, 1 predicted; c occurs nowhere.
    pairs = [("a", "a"), ("a", "a"), ("a", None), ("b", "a"), ("b", "b")]
    counts = confusion(pairs)
    scores = class_scores(counts, "abc")
    assert scores["a"].precision == scores["a"].recall == pytest.approx(2 / 3)
    assert (scores["b"].precision, scores["b"].recall, scores["b"].support) == (1.0, 0.5, 2)
    assert scores["c"].f1 is None
    assert macro_f1(counts, "abc") == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert macro_f1(confusion([]), "abc") is None


def test_macro_f1_error_is_the_jackknife() -> None:
    rng = random.Random(3)
    examples = [[(rng.choice("ab"), rng.choice(["a", "b", None])) for _ in range(2)] for _ in range(40)]
    n = len(examples)
    left_out = [
        macro_f1(confusion(pair for j, pairs in enumerate(examples) if j != i for pair in pairs), "ab") or 0.0
        for i in range(n)
    ]
    mean = sum(left_out) / n
    by_hand = math.sqrt((n - 1) / n * sum((value - mean) ** 2 for value in left_out))
    assert macro_f1_error(examples, "ab") == pytest.approx(by_hand)
    assert macro_f1_error(examples[:1], "ab") is None


def test_majority_baseline() -> None:
    assert majority_baseline(["x", "y", "y", "x", "z"]) == ("x", 0.4)
    assert majority_baseline([]) is None


def test_breakdown_within_one_file_takes_its_rows_as_the_sample() -> None:
    rows = [
        score(f"{task}{i}", float(right), group=task, facets={"task": task, "steps": i % 2, "one": "same"})
        for task, verdicts in {"t": [1, 1, 0, 1], "u": [0, 0, 1, 0]}.items()
        for i, right in enumerate(verdicts)
    ]
    parts = breakdown(rows, "financial", "task")
    assert {name: part.value for name, part in parts.items()} == {"t": 0.75, "u": 0.25}
    assert [part.error for part in parts.values()] == pytest.approx([0.25, 0.25])
    whole = macro(parts)
    assert whole is not None
    assert (whole.value, whole.n) == (0.5, 8)
    assert whole.error == pytest.approx(math.sqrt(2) * 0.25 / 2)
    assert list(breakdown(rows, "financial", "steps")) == [0, 1]
    assert breakdown(rows, "financial", "one") == {}
