"""What made each run, as names and values: data, engine, weights, hardware, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evalkit.site.runs import Run

_BLOCKS = ("model", "engine", "hardware", "measured", "protocol", "sampling", "settings", "evalkit")


@dataclass(frozen=True, slots=True)
class Part:
    """One run: blocks of its record's head, and one block per benchmark's data."""

    run: Run
    blocks: list[tuple[str, list[tuple[str, str]]]]
    data: list[tuple[str, list[tuple[str, str]]]]


def parts(runs: Sequence[Run]) -> list[Part]:
    """Every run, in the board's order."""
    return [_part(run) for run in runs]


def _part(run: Run) -> Part:
    head = run.record.head
    blocks = [(name, list(_flat(getattr(head, name)))) for name in _BLOCKS]
    blocks.append(("time", list(_flat({"started": head.started, "ended": head.ended}))))
    data = [(name, list(_flat(head.data.get(name, {})))) for name in head.benchmarks]
    return Part(run, [(name, values) for name, values in blocks if values], data)


def _flat(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested blocks as dotted names with text; what is not known is left out."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _flat(inner, f"{name}.{number}")
    elif value is not None:
        yield name, _text(value)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
