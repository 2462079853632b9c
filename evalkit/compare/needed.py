"""How many questions would probably settle what a comparison leaves open, and whether there are as many.

`evalkit.stats.paired.needed_n` says how many items a difference needs. A user can only raise `limit`, which
is the same for every benchmark, and no benchmark has more questions than it has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evalkit.run.info import Run
from evalkit.schema import AVERAGE, Comparison
from evalkit.text import mapping

_UNBOUNDED = 10**9


@dataclass(frozen=True, slots=True)
class Needed:
    """What an open comparison needs: a `limit`, which is `more` questions than now, all benchmarks together.

    `never`: all questions that the benchmarks have, `available` (None if that is not known), are too few.
    `unknown`: nothing can be estimated. `limit` and `more` are 0 in both.
    """

    kind: Literal["limit", "never", "unknown"]
    limit: int = 0
    more: int = 0
    available: int | None = None


def needed(
    decisive: Comparison, family: Sequence[Comparison], sizes: Mapping[str, int | None]
) -> Needed | None:
    """What would settle `decisive`; None if it is settled.

    With a limit of L a benchmark of N questions has min(L, N) instead of n. An average's variance is the mean
    of its parts' over the number of parts, and each part's goes with 1 / n. So the limit is the smallest with
    Σ v·n / min(L, N) <= Σ v·n₀ / needed_n, where v = error² + 1 / clusters² (as `needed_n` has it) and n₀ is
    the questions of all parts now.

    Args:
        family: all comparisons of the same two, of which an average takes the benchmarks.
        sizes: by benchmark, how many questions it has; None, or nothing: not known.
    """
    if decisive.verdict.kind != "unresolved":
        return None
    parts = (
        [each for each in family if each.benchmark != AVERAGE]
        if decisive.benchmark == AVERAGE
        else [decisive]
    )
    known = [size for each in parts if (size := sizes.get(each.benchmark)) is not None]
    available = sum(known) if len(known) == len(parts) else None
    items = decisive.verdict.needed_n
    if items is None or not parts:
        return Needed("unknown", available=available)
    variances = [_variance(each) for each in parts]
    target = sum(variances) * decisive.difference.n / items

    def enough(limit: int) -> bool:
        after = (
            v * each.difference.n / _asked(each, limit, sizes)
            for v, each in zip(variances, parts, strict=True)
        )
        return sum(after) <= target * (1 + 1e-9)

    largest = max(sizes.get(each.benchmark) or _UNBOUNDED for each in parts)
    if not enough(largest):
        return Needed("never", available=available)
    low, high = 0, largest  # too few, enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    limit = min(_rounded_up(high), largest)
    more = sum(_asked(each, limit, sizes) - each.difference.n for each in parts)
    return Needed("limit", limit, more, available)


def _variance(part: Comparison) -> float:
    """Of the part's mean; never 0, as what has not happened yet can happen."""
    found = part.difference
    return (found.error or 0.0) ** 2 + 1 / found.clusters**2


def _asked(part: Comparison, limit: int, sizes: Mapping[str, int | None]) -> int:
    """Questions of a benchmark under a limit; those that were asked already stay."""
    size = sizes.get(part.benchmark)
    return max(limit if size is None else min(limit, size), part.difference.n)


def _rounded_up(count: int) -> int:
    """To two digits: it is a guess."""
    unit: int = 10 ** max(0, len(str(count)) - 2)
    return math.ceil(count / unit) * unit


SAMPLE = "sample"
"""The data source of the bundled records, which are a few of each benchmark's."""


def size_of(source: str, here: int | None, whole: int | None, subset: int | None) -> int | None:
    """How many questions a benchmark has; None if nothing tells.

    Args:
        source: of the records, as in configs/data/.
        here: scored questions in the records that were read.
        whole: those of the whole benchmark, by its config.
        subset: what the benchmark is cut to, None for all of it.
    """
    found = whole if source == SAMPLE and whole is not None else here if here is not None else whole
    return min(found, subset) if found is not None and subset is not None else found


def sizes_of(run: Run) -> dict[str, int | None]:
    """By benchmark, how many questions it has."""
    settings = mapping(run.info.raw.get("benchmarks"))
    found: dict[str, int | None] = {}
    for name, data in run.info.data.items():
        block = mapping(settings.get(name))
        whole, subset = (_count(block.get(key)) for key in ("items", "subset"))
        found[name] = size_of(data.source, data.items, whole, subset)
    return found


def _count(value: object) -> int | None:
    """A count in a record that may be anybody's."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def seconds_per_question(run: Run) -> float | None:
    """What the engine took for a question; None where it was not measured.

    By tokens, as a run that took over earlier answers did not generate all that it has.
    """
    measured = run.info.measured
    counts = [
        sample.completion_tokens
        for item in run.items
        for sample in item.samples
        if sample.completion_tokens is not None
    ]
    if not measured.engine_seconds or not measured.completion_tokens or not run.items:
        return None
    return sum(counts) / len(run.items) * measured.engine_seconds / measured.completion_tokens
