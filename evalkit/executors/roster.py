"""Who works on a run: where each worker is, that it is the same model as the others, and what it costs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from evalkit import __version__
from evalkit.errors import UserError
from evalkit.executors.worker import Facts, Figures


class Roster:
    """All workers that a run has had. A worker that is made anew keeps its number.

    Args:
        reference: the worker whose identity is the run's.
    """

    def __init__(self, reference: Facts) -> None:
        self._reference = reference
        self._facts: dict[int, Facts] = {}
        self._figures: dict[int, Figures] = {}
        self._past_seconds: dict[int, float] = {}
        self._starts: dict[int, int] = {}
        self._present: set[int] = set()

    @property
    def present(self) -> frozenset[int]:
        """The workers that have started and are not known to be lost."""
        return frozenset(self._present)

    def arrived(self, number: int, facts: Facts) -> None:
        """A worker has started.

        Raises:
            UserError: its answers would not be those of the run's model.
        """
        check_same(self._reference, facts)
        self._present.add(number)
        self._facts[number] = facts
        self._starts[number] = self._starts.get(number, 0) + 1
        figures = self._figures.get(number, Figures())
        self._past_seconds[number] = self._past_seconds.get(number, 0.0) + figures.engine_seconds
        self._figures[number] = Figures(figures.peak_memory_bytes, figures.peak_gpu_memory_bytes)

    def cost(self, number: int, figures: Figures) -> None:
        """What the worker has cost since it was last made; its peaks stay those of its whole life."""
        before = self._figures.get(number, Figures())
        self._figures[number] = Figures(
            _highest([before.peak_memory_bytes, figures.peak_memory_bytes]),
            _highest([before.peak_gpu_memory_bytes, figures.peak_gpu_memory_bytes]),
            figures.engine_seconds,
        )

    def lost(self, number: int) -> None:
        self._present.discard(number)

    def peak_memory_bytes(self) -> int | None:
        """The highest of any one worker."""
        return _highest(figures.peak_memory_bytes for figures in self._figures.values())

    def peak_gpu_memory_bytes(self) -> int | None:
        return _highest(figures.peak_gpu_memory_bytes for figures in self._figures.values())

    def description(self) -> dict[str, Any]:
        """For run.json: the workers, the machines, and the workers' peaks of memory added up."""
        workers = [
            {
                "node": facts.node,
                "starts": self._starts[number],
                "load_seconds": facts.engine.get("load_seconds"),
                "peak_memory_bytes": self._figures[number].peak_memory_bytes,
                "peak_gpu_memory_bytes": self._figures[number].peak_gpu_memory_bytes,
                "engine_seconds": round(self._past_seconds[number] + self._figures[number].engine_seconds, 3),
            }
            for number, facts in sorted(self._facts.items())
        ]
        return {
            "workers": workers,
            "nodes": {facts.node: facts.hardware for facts in self._facts.values()},
            "peak_memory_bytes_sum": sum(w["peak_memory_bytes"] or 0 for w in workers) or None,
        }


def check_same(reference: Facts, other: Facts) -> None:
    """Raises UserError if `other` is not the reference's model, engine and harness."""
    if other.version != __version__:
        raise UserError(
            f"the worker on {other.node} has evalkit {other.version}, this machine {__version__}: "
            "install the same version there"
        )
    ours, theirs = reference.identity, other.identity
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            raise UserError(
                f"the worker on {other.node} is not the same model: {key} is {theirs.get(key)!r} there and "
                f"{ours.get(key)!r} on {reference.node}: make the machines the same"
            )


def _highest(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value), default=None)
