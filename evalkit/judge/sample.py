"""Which answers are judged or labelled: random, proportional to strata, in halves; all by a stable hash."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from evalkit.benchmarks.sampling import rank
from evalkit.judge.subject import Subject

_T = TypeVar("_T")


def shuffled(subjects: Sequence[Subject], seed: int) -> list[Subject]:
    """The subjects in an order that depends on their names and `seed` only.

    The first n of it are a simple random sample, and a larger n contains the smaller. What is estimated from
    such a sample needs no weights.
    """
    return sorted(subjects, key=lambda subject: rank(seed, f"judged\0{subject.name!r}"))


def proportional(
    subjects: Sequence[Subject], n: int, seed: int, stratum: Callable[[Subject], Hashable]
) -> list[Subject]:
    """A random sample in which every stratum has its share of `n`, in one random order.

    Shares are rounded by the largest remainder, so each answer is as likely to be taken as any other: plain
    means over the sample are right without weights, and never less precise than from a simple random one
    (Cochran, Sampling Techniques, 3rd ed., section 5.6). Because the order is random, so is what was
    labelled by somebody who stops half-way.
    """
    strata: dict[Hashable, list[Subject]] = defaultdict(list)
    for subject in shuffled(subjects, seed):
        strata[stratum(subject)].append(subject)
    sizes = [len(members) for members in strata.values()]
    taken = [members[:k] for members, k in zip(strata.values(), _shares(sizes, n), strict=True)]
    return shuffled([subject for members in taken for subject in members], seed)


def _shares(sizes: Sequence[int], n: int) -> list[int]:
    """`n` shared out in proportion to `sizes`, by the largest remainder; at most all."""
    total = sum(sizes)
    if n >= total:
        return list(sizes)
    exact = [n * size / total for size in sizes]
    shares = [math.floor(share) for share in exact]
    by_remainder = sorted(range(len(sizes)), key=lambda i: shares[i] - exact[i])
    for index in by_remainder[: n - sum(shares)]:
        shares[index] += 1
    return shares


def even(sizes: Sequence[int], n: int) -> list[int]:
    """`n` shared out evenly over benchmarks of these sizes; what a small one lacks goes to the others."""
    shares = [0] * len(sizes)
    left = n
    smallest_first = sorted(range(len(sizes)), key=lambda i: sizes[i])
    for position, index in enumerate(smallest_first):
        shares[index] = min(sizes[index], -(-left // (len(sizes) - position)))
        left -= shares[index]
    return shares


def halves(subjects: Sequence[Subject], seed: int) -> tuple[list[Subject], list[Subject]]:
    """Two parts with about the same number of groups and none in both, so that they are independent.

    Groups (pages, dialogues, files) alternate in hash order. With a single group the second part is empty.
    """
    groups = sorted({subject.group for subject in subjects}, key=lambda group: rank(seed, f"half\0{group}"))
    first = set(groups[::2])
    return (
        [subject for subject in subjects if subject.group in first],
        [subject for subject in subjects if subject.group not in first],
    )


def by(items: Sequence[_T], key: Callable[[_T], str]) -> dict[str, list[_T]]:
    """The items by a key, in the order of its first occurrence."""
    sorted_items: dict[str, list[_T]] = {}
    for item in items:
        sorted_items.setdefault(key(item), []).append(item)
    return sorted_items
