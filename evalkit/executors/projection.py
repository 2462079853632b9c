"""What a run would take on many GPUs, from the shape of its groups and measured costs of the driver."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.executors.groups import longest_share

_SPREAD = 0.5  # σ of the logarithm of an answer's seconds: reasoning lengths differ that much

_NOTICEABLE = 1.1


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds. ``record``: of the driver's processor for one answer (message, key, line); ``call``: for one
    call to a worker; ``sync``: of one write to disk."""

    record: float
    call: float
    sync: float


@dataclass(frozen=True, slots=True)
class Setup:
    """A cluster's GPUs: answers at once on each, seconds of one answer, seconds until a worker serves."""

    slots: int
    answer_seconds: float
    load_seconds: float
    pending: int


@dataclass(frozen=True, slots=True)
class Projection:
    """Seconds of a whole run, and the largest of the bounds below which it could not go."""

    gpus: int
    seconds: float
    work_seconds: float
    bound: str

    @property
    def efficiency(self) -> float:
        """The share of the slots' time in which they answer."""
        return self.work_seconds / self.seconds


def answer_times(group_sizes: Sequence[int], requests: int, mean: float, seed: int = 0) -> list[list[float]]:
    """Seconds of every answer of every group: `group_sizes` again and again until there are `requests`.

    Lognormal with mean `mean`, so that there are long answers; the longest groups come first, as in a run.
    """
    rng = random.Random(seed)
    center = math.log(mean) - _SPREAD**2 / 2
    groups: list[list[float]] = []
    left = requests
    for size in itertools.cycle(group_sizes):
        if left <= 0:
            break
        groups.append([rng.lognormvariate(center, _SPREAD) for _ in range(min(size, left))])
        left -= size
    return sorted(groups, key=lambda group: -len(group))


def project(groups: Sequence[Sequence[float]], gpus: int, setup: Setup, costs: Costs) -> Projection:
    """The run on `gpus` GPUs: each slot takes the next group, or part of a long one, when it is free.

    Args:
        groups: seconds of each answer of each group, in the order in which they are taken.
    """
    longest = longest_share(sum(map(len, groups)), gpus * setup.slots)
    groups = [group[at : at + longest] for group in groups for at in range(0, len(group), longest)]
    workers = min(gpus, len(groups))
    lengths = [sum(group) for group in groups]
    at_once = _makespan(lengths, [setup.load_seconds] * workers, setup.slots)
    placed = [setup.load_seconds * (1 + number // setup.pending) for number in range(workers)]
    end = _makespan(lengths, placed, setup.slots)
    work = sum(lengths) / (gpus * setup.slots)
    requests = sum(map(len, groups))
    bounds = {
        "work": setup.load_seconds + work,
        "longest group": setup.load_seconds + max(lengths),
        "driver": setup.load_seconds + requests * costs.record + len(groups) * costs.call,
        "start of workers": end if end > _NOTICEABLE * at_once else 0.0,
    }
    return Projection(gpus, max(end, *bounds.values()), work, max(bounds, key=lambda name: bounds[name]))


def _makespan(lengths: Sequence[float], arrivals: Sequence[float], slots: int) -> float:
    """When all groups are done, each taken by the slot that is free first."""
    free = [arrival for arrival in arrivals for _ in range(slots)]
    heapq.heapify(free)
    end = 0.0
    for length in lengths:
        finished = heapq.heappop(free) + length
        end = max(end, finished)
        heapq.heappush(free, finished)
    return end


def driver_rate(costs: Costs, requests_per_group: float) -> float:
    """Answers per second that one driver takes at most."""
    return 1 / (costs.record + costs.call / requests_per_group)
