"""What a member cost, out of its run.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from evalkit.gguf.memory import Memory
from evalkit.runner.record import Generation
from evalkit.sweep.record import Cost, Weights


def cost_of(run: Mapping[str, Any], records: list[Generation]) -> Cost:
    """The cost of the run that `run` (run.json) and `records` describe."""
    measured, engine = run["measured"], run["engine"]
    probe = measured.get("probe") or {}
    predicted = engine.get("predicted_memory")
    answered = [r.completion_tokens for r in records if r.completion_tokens is not None]
    busy, generated = measured["engine_seconds"], measured["completion_tokens"]
    return Cost(
        context=engine.get("context_per_slot"),
        slots=engine.get("slots", 1),
        peak_memory_bytes=measured["peak_memory_bytes"],
        gpu_memory_bytes=measured["peak_gpu_memory_bytes"],
        predicted=Memory(**predicted) if predicted else None,
        load_seconds=engine.get("load_seconds"),
        prefill_tokens_per_second=probe.get("prefill_tokens_per_second"),
        decode_tokens_per_second=probe.get("decode_tokens_per_second"),
        first_token_seconds=probe.get("first_token_seconds"),
        probe_prompt_tokens=probe.get("prompt_tokens"),
        probe_answer_tokens=probe.get("answer_tokens"),
        throughput_tokens_per_second=round(generated / busy, 2) if busy else None,
        tokens_per_answer=round(sum(answered) / len(answered), 2) if answered else None,
        energy_joules=measured["energy_joules"],
        wall_seconds=measured["wall_seconds"],
    )


def weights_of(run: Mapping[str, Any]) -> Weights | None:
    """The file that was served; None for an engine without one."""
    weights = run["engine"].get("weights")
    if weights is None:
        return None
    recipe = weights["recipe"]
    return Weights(
        file=PurePath(weights["path"]).name,
        sha256=weights["sha256"],
        size_bytes=weights["size_bytes"],
        bits_per_weight=weights["gguf"]["bits_per_weight"],
        claimed=recipe["claimed"],
        found=recipe["found"],
        requantized_from=weights["requantized_from"],
        warnings=tuple(recipe["warnings"]),
    )
