"""What the curves show: members as points on an axis of cost, and which of them no other one beats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evalkit.compare.comparison import Estimate
from evalkit.report.curves.style import Kind, kind_of
from evalkit.report.curves.texts import short_labels
from evalkit.sweep.record import Member, Sweep


@dataclass(frozen=True, slots=True)
class Axis:
    """A cost, less of which is better unless `more_is_better`.

    `units` are (name, size in the value's own unit), largest first; a figure uses the largest that its
    largest value reaches.
    """

    file: str
    title: str
    units: tuple[tuple[str, float], ...]
    value: Callable[[Member], float | None]
    more_is_better: bool = False

    def unit(self, largest: float) -> tuple[str, float]:
        """The unit for values up to `largest`."""
        return next((unit for unit in self.units if largest >= unit[1]), self.units[-1])


@dataclass(frozen=True, slots=True)
class Point:
    """A member in one panel: `x` in the axis' own unit (bytes, tokens per second)."""

    name: str
    label: str
    x: float
    accuracy: Estimate
    kind: Kind


AXES = (
    Axis(
        "accuracy-memory",
        "peak memory",
        (("GiB", 2**30), ("MiB", 2**20)),
        lambda member: member.cost.peak_memory_bytes if member.cost else None,
    ),
    Axis(
        "accuracy-size",
        "file size",
        (("GB", 1e9), ("MB", 1e6)),
        lambda member: member.weights.size_bytes if member.weights else None,
    ),
    Axis(
        "accuracy-speed",
        "decode speed",
        (("tokens/s", 1.0),),
        lambda member: member.cost.decode_tokens_per_second if member.cost else None,
        more_is_better=True,
    ),
)


def points(sweep: Sweep, benchmark: str, axis: Axis) -> list[Point]:
    """The members with an accuracy on `benchmark` and a place on the axis, in their order; no failed ones."""
    labels = short_labels(sweep)
    found = []
    for member in sweep.members:
        x, accuracy = axis.value(member), member.accuracy.get(benchmark)
        if member.status != "failed" and x is not None and accuracy is not None:
            kind = kind_of(sweep, member, benchmark)
            found.append(Point(member.name, labels[member.name], float(x), accuracy, kind))
    return found


def front(found: Sequence[Point], axis: Axis) -> list[Point]:
    """The Pareto front of the point estimates, from cheap to dear: no other point is cheaper and as accurate,
    or as cheap and more accurate. Equal points are all on it."""
    cost = [-point.x if axis.more_is_better else point.x for point in found]
    value = [point.accuracy.value for point in found]
    kept = [
        (cost[i], value[i], point)
        for i, point in enumerate(found)
        if not any(
            cost[j] <= cost[i] and value[j] >= value[i] and (cost[j], value[j]) != (cost[i], value[i])
            for j in range(len(found))
        )
    ]
    return [point for *_, point in sorted(kept, key=lambda each: each[:2])]
