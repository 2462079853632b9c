"""What a run cost, added up over the sessions that it took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evalkit.runner.record import Generation

_ADDED_UP = ("wall_seconds", "engine_seconds", "load_seconds")


def measured(
    sessions: Sequence[Mapping[str, Any]], records: Iterable[Generation], distinct: int | None
) -> dict[str, Any]:
    """The `measured` block of run.json.

    Args:
        sessions: one mapping per session with its seconds and peak memory (bytes or None).
        records: all finished generations of the run.
        distinct: nodes of the trie of all prompts in tokens, None where the engine does not tell tokens.

    Returns:
        Sums over sessions for seconds, the maximum for memory, sums over records for tokens; speeds are
        tokens per second of one slot, averaged over the time that the engine says it spent. `probe` is the
        last session's that has one.
    """
    records = list(records)
    energies = [session["energy_joules"] for session in sessions if session.get("energy_joules")]
    probes = [session["probe"] for session in sessions if session.get("probe")]
    computed = sum(record.computed_tokens for record in records)
    generated = sum(record.completion_tokens or 0 for record in records)
    return {
        **{name: round(sum(s.get(name) or 0.0 for s in sessions), 3) for name in _ADDED_UP},
        "prompt_tokens_computed": computed,
        "prompt_tokens_distinct": distinct,
        "prompt_tokens_total": sum(record.prompt_tokens or 0 for record in records),
        "completion_tokens": generated,
        "peak_memory_bytes": _highest(sessions, "peak_memory_bytes"),
        "peak_gpu_memory_bytes": _highest(sessions, "peak_gpu_memory_bytes"),
        "energy_joules": round(sum(energies), 3) if energies else None,
        "probe": probes[-1] if probes else None,
        "prefill_tokens_per_second": _rate(
            sum(r.computed_tokens for r in records if r.prefill_s), sum(r.prefill_s or 0.0 for r in records)
        ),
        "decode_tokens_per_second": _rate(
            sum(r.completion_tokens or 0 for r in records if r.decode_s),
            sum(r.decode_s or 0.0 for r in records),
        ),
    }


def _highest(sessions: Sequence[Mapping[str, Any]], name: str) -> int | None:
    return max((session[name] for session in sessions if session.get(name)), default=None)


def _rate(tokens: int, seconds: float) -> float | None:
    return round(tokens / seconds, 2) if seconds > 0 else None


def cost_line(figures: Mapping[str, Any]) -> str:
    """One line for the end of a run: prompt work against its floor, and time outside the engine."""
    parts = []
    computed, distinct = figures["prompt_tokens_computed"], figures["prompt_tokens_distinct"]
    if distinct:
        parts.append(f"prompt tokens computed/distinct {computed}/{distinct} = {computed / distinct:.3f}")
    wall, engine = figures["wall_seconds"], figures["engine_seconds"]
    if wall:
        parts.append(f"{wall:.1f} s, {1 - engine / wall:.1%} of it outside the engine")
    if figures["peak_memory_bytes"]:
        parts.append(f"peak memory {figures['peak_memory_bytes'] / 2**20:.0f} MiB")
    return "; ".join(parts)
