"""Accuracies with clustered intervals, by whatever the tables know of answers and runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from evalkit.compare.comparison import Estimate
from evalkit.errors import UserError, nearest
from evalkit.frames.runs import Runs
from evalkit.scorers import DEFAULT
from evalkit.stats.average import average_estimate
from evalkit.stats.paired import mean_estimate

_EXAMPLE = ["run", "benchmark", "id", "turn"]
_ESTIMATE = ["accuracy", "error", "low", "high", "n", "clusters"]
_COUNTS = ["unscored", "failed"]
_NO_GROUPS = ("messages", *_ESTIMATE, *_COUNTS)

_Key = tuple[object, ...]


def accuracy(runs: Runs, by: Sequence[str] = ("label", "benchmark"), rule: str = DEFAULT) -> pd.DataFrame:
    """Mean scores of examples, with 95 % intervals clustered by page, dialogue or file.

    An example's score is the mean over its samples. Where each row of the result is one cluster (a task of
    Ant_Finance is one file), its examples are the sample.

    Args:
        by: columns of `runs.answers` or `runs.runs`, such as `facet_steps`; answers without a value are
            left out.
        rule: which rule's verdicts.

    Returns:
        The `by` columns and: accuracy, error (standard error), low, high (float64, fractions of 1; NaN where
        unknown), n (scored examples), clusters, unscored (no rule can tell), failed (no answer) (Int64).

    Raises:
        UserError: no such column or rule.
    """
    by = _columns(by)
    items = _items(runs, by, rule)
    found = [(key, *_row(estimate, part)) for key, part, estimate in _estimates(items, by)]
    return _table(by, _COUNTS, found)


def average(runs: Runs, by: Sequence[str] = ("label",), rule: str = DEFAULT) -> pd.DataFrame:
    """The plain mean over benchmarks, whatever their sizes, of `accuracy` by `by` and benchmark.

    Returns:
        As `accuracy`, with `benchmarks` (how many were averaged, Int64) in place of unscored and failed.

    Raises:
        UserError: no such column or rule.
    """
    by = _columns(by)
    parts: dict[_Key, list[Estimate]] = {}
    for (*key, _), _, estimate in _estimates(_items(runs, [*by, "benchmark"], rule), [*by, "benchmark"]):
        parts.setdefault(tuple(key), []).extend([estimate] if estimate else [])
    found = [(key, _fields(average_estimate(some)), (len(some),)) for key, some in parts.items() if some]
    return _table(by, ["benchmarks"], found)


def _columns(by: Sequence[str]) -> list[str]:
    if isinstance(by, str):
        by = [by]
    if not by:
        raise UserError('by: give at least one column, such as by=["label"]')
    return list(dict.fromkeys(by))


def _items(runs: Runs, by: Sequence[str], rule: str) -> pd.DataFrame:
    """One row per example: the `by` columns, its score (NaN without one), cluster, whether it failed."""
    rules = sorted(runs.scores["rule"].unique())
    if rule not in rules:
        raise UserError(f"no verdicts of a rule {rule!r}; rules: {', '.join(rules)}.{nearest(rule, rules)}")
    known = [str(name) for name in (*runs.answers, *runs.runs) if name not in _NO_GROUPS]
    unknown = [name for name in by if name not in known]
    if unknown:
        raise UserError(f"by: no column {unknown[0]!r}.{nearest(unknown[0], known)}")
    judged = runs.scores.loc[runs.scores["rule"] == rule].set_index("answer")["score"]
    answers = runs.answers.assign(score=judged, failed=runs.answers["error"].notna())
    of_runs = [name for name in by if name not in runs.answers]
    if of_runs:
        answers = answers.merge(runs.runs[["run", *of_runs]], on="run")
    # Pages of two benchmarks may have the same name.
    answers["cluster"] = answers["benchmark"] + "\0" + answers["group"]
    keys = list(dict.fromkeys([*by, *_EXAMPLE]))
    examples = answers.dropna(subset=list(by)).groupby(keys, sort=False, dropna=False)
    return examples.agg(
        score=("score", "mean"), failed=("failed", "any"), cluster=("cluster", "first")
    ).reset_index()


def _estimates(items: pd.DataFrame, by: list[str]) -> Iterator[tuple[_Key, pd.DataFrame, Estimate | None]]:
    """Every combination of the `by` columns, in the order of its first example, with its examples."""
    parts = list(items.groupby(by, sort=False))
    scored = [part.dropna(subset="score") for _, part in parts]
    alone = all(part["cluster"].nunique() <= 1 for part in scored)
    for (key, part), some in zip(parts, scored, strict=True):
        clusters = [str(at) for at in some.index] if alone else list(some["cluster"])
        yield key, part, mean_estimate(list(some["score"]), clusters) if len(some) else None


def _row(estimate: Estimate | None, part: pd.DataFrame) -> tuple[_Key, _Key]:
    without = part["score"].isna()
    failed = int((without & part["failed"]).sum())
    return _fields(estimate), (int(without.sum()) - failed, failed)


def _fields(estimate: Estimate | None) -> _Key:
    if estimate is None:
        return (None, None, None, None, 0, 0)
    return estimate.value, estimate.error, estimate.low, estimate.high, estimate.n, estimate.clusters


def _table(by: list[str], counts: list[str], found: Sequence[tuple[_Key, _Key, _Key]]) -> pd.DataFrame:
    rows: list[_Key] = [(*key, *estimate, *rest) for key, estimate, rest in found]
    dtypes: dict[str, Any] = dict.fromkeys(_ESTIMATE[:4], "float64") | dict.fromkeys(
        [*_ESTIMATE[4:], *counts], "Int64"
    )
    return pd.DataFrame(rows, columns=[*by, *_ESTIMATE, *counts]).astype(dtypes)
