"""Random weights in every tensor type that llama.cpp's mixes need."""

from __future__ import annotations

_BUFFER = 4 << 20  # bytes of random blocks of a type, repeated over every tensor of that type
# Where a block keeps its fp16 scales, and a scale that gives weights of a few hundredths.
_SCALES = {
    "Q8_0": ((0,), 3e-4),
    "Q4_0": ((0,), 5e-3),
    "Q4_1": ((0, 2), 3e-3),
    "Q5_0": ((0,), 2e-3),
    "Q5_1": ((0, 2), 1e-3),
    "Q2_K": ((80, 82), 1e-3),
    "Q3_K": ((108,), 5e-4),
    "Q4_K": ((0, 2), 1e-4),
    "Q5_K": ((0, 2), 5e-5),
    "Q6_K": ((208,), 2e-5),
    "IQ2_S": ((0,), 1e-4),
    "IQ3_XXS": ((0,), 1e-4),
    "IQ3_S": ((0,), 1e-4),
    "IQ4_NL": ((0,), 5e-4),
    "IQ4_XS": ((0,), 2e-5),
}


def random_blocks(kind: str) -> bytes:
    """Whole blocks of a type, about `_BUFFER` bytes: random, with finite weights of a few hundredths."""
    import numpy as np
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    rng = np.random.default_rng(20)
    size = int(GGML_QUANT_SIZES[GGMLQuantizationType[kind]][1])
    count = _BUFFER // size
    if kind in ("F32", "F16", "BF16"):
        values = rng.normal(0, 0.02, count).astype(np.float32)
        if kind == "BF16":  # its upper half is a bfloat16
            return (values.view(np.uint32) >> 16).astype("<u2").tobytes()
        return values.astype("<f4" if kind == "F32" else "<f2").tobytes()
    places, scale = _SCALES[kind]
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for place in places:
        scales = rng.uniform(scale / 2, scale, count).astype("<f2")
        blocks[:, place : place + 2] = scales.view(np.uint8).reshape(count, 2)
    return blocks.tobytes()
