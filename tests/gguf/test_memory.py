"""Predicted memory against what llama.cpp logs that it reserves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.synthetic import BUILDS, Geometry
from evalkit.schema import UserError
from evalkit.weights.memory import predicted_memory
from tests.gguf.synthetic_headers import SMALL, header_of

MIB = 2**20
TOKENS = 512  # computed together


@pytest.mark.parametrize(
    ("context", "slots", "flash", "kv", "compute"),
    [
        (4096, 1, False, 224, 276.01),
        (4096, 4, False, 896, 276.01),
        (8192, 1, False, 448, 508.01),
        (8192, 4, False, 1792, 508.01),
        (4096, 1, True, 224, 150.02),
        (4096, 4, True, 896, 150.02),
        (8192, 1, True, 448, 154.02),
    ],
)
def test_qwen_7b_as_llama_cpp_logs_it(context: int, slots: int, flash: bool, kv: int, compute: float) -> None:
    """`compute`: "CPU compute buffer size", MiB. Beside it: the logits, and the CPU's work buffer."""
    header = header_of(BUILDS["q8_0"], Geometry())
    found = predicted_memory(header, context=context, slots=slots, flash_attention=flash)
    logits = 152_064 * slots * 4 / MIB
    work = 18_944 * TOKENS * 292 / 256 / MIB if flash else context * TOKENS * 28 * 2 / MIB
    assert found.kv == kv * MIB
    assert found.compute / MIB == pytest.approx(compute + logits + work, rel=1e-3)
    assert found.weights == header.file_size
    assert found.total == found.weights + found.kv + found.compute + found.process


@pytest.mark.parametrize(
    ("geometry", "context", "slots", "flash", "compute"),
    [
        (Geometry(2, 1024, 25_600, 8, 8, 128, 2_000), 8192, 3, False, 180.37),
        (Geometry(2, 512, 5_120, 4, 1, 128, 2_000), 1000, 2, False, 37.51),
        (Geometry(3, 2048, 5_120, 32, 8, 64, 2_000), 256, 1, False, 26.26),  # a batch of 256 is all there is
        (Geometry(2, 1792, 10_240, 28, 1, 64, 2_000), 8192, 4, True, 85.52),
        (Geometry(3, 512, 25_600, 8, 8, 64, 2_000), 8192, 8, True, 163.02),
        (Geometry(2, 3584, 5_120, 28, 4, 128, 2_000), 4096, 3, True, 59.13),
    ],
)
def test_other_shapes(geometry: Geometry, context: int, slots: int, flash: bool, compute: float) -> None:
    header = header_of(BUILDS["f16"], geometry)
    found = predicted_memory(header, context=context, slots=slots, flash_attention=flash)
    cells, tokens = -(-context // 256) * 256, -(-min(512, context * slots) // slots) * slots
    scores = 0 if flash else cells * tokens * geometry.heads * 2
    work = max(scores, geometry.feed_forward * tokens * 2)
    reserved = found.compute - work - geometry.vocabulary * slots * 4
    assert reserved / MIB == pytest.approx(compute, rel=5e-3)


def test_tied_embeddings_count_twice_only_if_rearranged() -> None:
    tied = replace(SMALL, tied=True)
    for recipe, twice in (("q4_0", True), ("q8_0", False)):
        header = header_of(BUILDS[recipe], tied)
        weights = predicted_memory(header, context=512, slots=1, flash_attention=True).weights
        embeddings = next(t.bytes for t in header.tensors if t.name == "token_embd.weight")
        assert weights == header.file_size + (embeddings if twice else 0)


def test_a_header_without_a_geometry_is_refused() -> None:
    header = header_of(BUILDS["q8_0"])
    for key in ("qwen2.block_count", "qwen2.feed_forward_length", "qwen2.attention.head_count"):
        lacking = replace(header, metadata={k: v for k, v in header.metadata.items() if k != key})
        with pytest.raises(UserError, match="memory cannot be predicted"):
            predicted_memory(lacking, context=4096, slots=1, flash_attention=False)
