"""What made each run: where the runs differ first, then everything that each recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evalkit.board.board import SiteRun
from evalkit.text import mapping

_BLOCKS = ("model", "engine", "hardware", "measured", "protocol", "sampling", "settings", "evalkit")


@dataclass(frozen=True, slots=True)
class ProvenancePart:
    """One run: blocks of its record's head as they are, and one block per benchmark's data."""

    run: SiteRun
    blocks: list[tuple[str, list[tuple[str, str]]]]
    data: list[tuple[str, list[tuple[str, str]]]]


SETTINGS = ("engine", "protocol", "sampling", "settings", "hardware", "evalkit")
"""Blocks in which runs that are compared should be alike; in the others each run is itself."""

_OF_THE_FILE = (
    "engine.weights.",
    "engine.weights_sha256",
    "engine.load",
    "engine.predicted_memory",
    "engine.model",
    "engine.outputs",
    "engine.path",
)
CAP = 80


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that is not the same in all runs: its dotted name, and by value the runs that have it."""

    name: str
    values: dict[str, list[SiteRun]]


def differences(runs: Sequence[SiteRun]) -> list[Difference]:
    """The settings in which the runs differ, apart from the file that each served and what it cost."""
    known = [_settings(run) for run in runs]
    names = dict.fromkeys(name for each in known for name in each)
    found = []
    for name in names:
        values: dict[str, list[SiteRun]] = {}
        for run, each in zip(runs, known, strict=True):
            text = each.get(name, "–")
            values.setdefault(text if len(text) <= CAP else f"{text[:CAP]}…", []).append(run)
        if len(values) > 1:
            found.append(Difference(name, values))
    return found


def _settings(run: SiteRun) -> dict[str, str]:
    raw = run.run.info.raw
    pairs = (pair for block in SETTINGS for pair in _flat(raw.get(block), block))
    return {name: value for name, value in pairs if not name.startswith(_OF_THE_FILE)}


def provenance_parts(runs: Sequence[SiteRun]) -> list[ProvenancePart]:
    """Every run, in the board's order."""
    return [_provenance_part(run) for run in runs]


def _provenance_part(run: SiteRun) -> ProvenancePart:
    info = run.run.info
    blocks = [(name, list(_flat(info.raw.get(name)))) for name in _BLOCKS]
    blocks.append(("time", list(_flat({"started": info.started, "ended": info.ended}))))
    data = [(name, list(_flat(mapping(info.raw.get("data")).get(name)))) for name in info.benchmarks]
    return ProvenancePart(run, [(name, values) for name, values in blocks if values], data)


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
