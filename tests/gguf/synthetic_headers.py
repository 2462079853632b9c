"""Headers of models that are never written: the tensor table of a synthetic file, with changes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from bench.synthetic import Build, Geometry, tensors
from evalkit.weights.gguf import ArrayInfo, GGUFHeader, Scalar, TensorInfo
from evalkit.weights.recipe import FILE_TYPES

# Widths that fit every block, and layers enough for every rule of the mixes.
SMALL = Geometry(layers=28, hidden=256, feed_forward=512, heads=4, kv_heads=1, head_dim=64, vocabulary=512)


def header_of(
    build: Build,
    geometry: Geometry = SMALL,
    changed: Mapping[str, str] | None = None,
    file_type: int | None = None,
) -> GGUFHeader:
    """`changed` gives tensors another type; `file_type` is general.file_type, by default the build's own."""
    rows, offset = [], 0
    for name, shape, kind in tensors(geometry, build):
        final = (changed or {}).get(name, kind)
        block, size = GGML_QUANT_SIZES[GGMLQuantizationType[final]]
        row = TensorInfo(name, shape, final, offset, 0)
        row = TensorInfo(name, shape, final, offset, row.elements // block * size)
        rows.append(row)
        offset += row.bytes
    mix = {name: number for number, name in FILE_TYPES.items()}[build.mix]
    metadata: dict[str, Scalar | ArrayInfo] = {
        "general.architecture": "qwen2",
        "general.file_type": mix if file_type is None else file_type,
        "qwen2.block_count": geometry.layers,
        "qwen2.embedding_length": geometry.hidden,
        "qwen2.feed_forward_length": geometry.feed_forward,
        "qwen2.attention.head_count": geometry.heads,
        "qwen2.attention.head_count_kv": geometry.kv_heads,
        "tokenizer.ggml.tokens": ArrayInfo("STRING", geometry.vocabulary),
    }
    return GGUFHeader(Path("x.gguf"), offset, 3, 32, 0, metadata, tuple(rows))
