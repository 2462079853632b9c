"""What two runs cost, side by side, from the `measured` block of their run.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.compare.side import Side

_SHOWN = {
    "file_bytes": ("file, GB", 1e9),
    "peak_memory_bytes": ("peak memory, GiB", 2**30),
    "peak_gpu_memory_bytes": ("peak GPU memory, GiB", 2**30),
    "load_seconds": ("loading, s", 1),
    "prefill_tokens_per_second": ("prefill, tokens/s", 1),
    "decode_tokens_per_second": ("decoding, tokens/s", 1),
    "tokens_per_answer": ("tokens per answer", 1),
    "wall_seconds": ("whole run, s", 1),
}


def costs(side: Side) -> dict[str, float | None]:
    """The figures of a run, None where one could not be measured (outputs made elsewhere).

    Speeds are those of one slot over the run. Loading is that of the last start of the engine.
    """
    measured, engine = _mapping(side.run, "measured"), _mapping(side.run, "engine")
    answers = [score for items in side.items.values() for item in items.values() for score in item.scores]
    counted = [s.record.completion_tokens for s in answers if s.record.completion_tokens is not None]
    figures = {
        **{name: measured.get(name) for name in _SHOWN},
        "file_bytes": _mapping(engine, "weights").get("size_bytes"),
        "load_seconds": engine.get("load_seconds"),
        "tokens_per_answer": sum(counted) / len(counted) if counted else None,
    }
    # An engine that never served has 0 seconds behind it: that is no measurement.
    return {
        name: figure if isinstance(figure, int | float) and figure else None
        for name, figure in figures.items()
    }


def cost_rows(reference: Side, candidate: Side) -> list[tuple[str, str, str]]:
    """Name, the reference's figure, the candidate's; without figures that neither has."""
    ours, theirs = costs(candidate), costs(reference)
    return [
        (label, _text(theirs[name], unit), _text(ours[name], unit))
        for name, (label, unit) in _SHOWN.items()
        if theirs[name] is not None or ours[name] is not None
    ]


def _mapping(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = of.get(name)
    return found if isinstance(found, Mapping) else {}


def _text(figure: float | None, unit: float) -> str:
    if figure is None:
        return "-"
    return f"{figure / unit:,.0f}" if figure / unit >= 1000 else f"{figure / unit:.2f}"
