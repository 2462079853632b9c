"""Which records are used: a stable hash order, of which a limit takes the first.

The order is by a hash of (seed, id) and of nothing else, so that a larger limit contains the smaller one and
neither the file order nor the size of the split matters.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from evalkit.errors import UserError
from evalkit.example import Example

Sampling = Literal["item", "group"]


@dataclass(frozen=True, slots=True)
class Unit:
    """What is selected or left as a whole: one example, or a dialogue with all its turns.

    ``size`` counts its scored items. ``build`` renders its examples; it is called for selected units only.
    """

    id: str
    group: str
    size: int
    build: Callable[[], list[Example]]


def rank(seed: int, name: str) -> int:
    """The place of `name` in the order under `seed`: 128 bits, uniform."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{name}".encode()).digest()[:16])


def select(units: Iterable[Unit], *, limit: int | None, seed: int, sampling: Sampling) -> list[Unit]:
    """The first units in hash order until `limit` scored items are reached (None: all of them).

    `sampling="item"` takes unit after unit; "group" takes whole groups (pages, files), ordered by the hash of
    their names. The last unit or group stays whole, so the count may pass the limit. `units` is consumed as a
    stream and only candidates are kept. Raises UserError for a limit below 1 or an unknown sampling.
    """
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise UserError(f"limit={limit}: expected a number of at least 1, or null for all")
    if sampling not in ("item", "group"):
        raise UserError(f"sampling={sampling}: choose item or group")
    buckets: dict[int, list[Unit]] = {}
    worst_first: list[int] = []
    total = 0
    closed: int | None = None  # ranks from here on can no longer be needed
    for unit in units:
        key = rank(seed, unit.id if sampling == "item" else unit.group)
        if closed is not None and key >= closed:
            continue
        if key not in buckets:
            buckets[key] = []
            heapq.heappush(worst_first, -key)
        buckets[key].append(unit)
        total += unit.size
        while limit is not None and total - _size(buckets[-worst_first[0]]) >= limit:
            closed = -heapq.heappop(worst_first)
            total -= _size(buckets.pop(closed))
    return [
        unit for key in sorted(buckets) for unit in sorted(buckets[key], key=lambda unit: rank(seed, unit.id))
    ]


def _size(bucket: list[Unit]) -> int:
    return sum(unit.size for unit in bucket)
