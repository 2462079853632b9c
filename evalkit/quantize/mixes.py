"""llama.cpp's mixes: what `Q4_K_M` or `IQ3_XS` stands for.

A mix puts most tensors into one type and some into others. Names and default types: `QUANT_OPTIONS` in
llama.cpp's tools/quantize/quantize.cpp and `llama_ftype_get_default_type` in src/llama-quant.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass

EMBEDDINGS, OUTPUT = "token_embd.weight", "output.weight"
ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}


@dataclass(frozen=True, slots=True)
class Mix:
    """`tensor` is the type of most tensors; `bits` per weight over a whole 8B model."""

    tensor: str
    bits: float


# Bits: llama.cpp's tools/quantize/README.md, measured on Llama-3.1-8B; Q4_0 to Q5_1 from the sizes that
# quantize.cpp gives for that model; plain floats by definition.
MIXES = {
    "F32": Mix("F32", 32),
    "F16": Mix("F16", 16),
    "BF16": Mix("BF16", 16),
    "Q8_0": Mix("Q8_0", 8.5008),
    "Q6_K": Mix("Q6_K", 6.5633),
    "Q5_K_M": Mix("Q5_K", 5.7036),
    "Q5_K_S": Mix("Q5_K", 5.5704),
    "Q5_1": Mix("Q5_1", 6.04),
    "Q5_0": Mix("Q5_0", 5.57),
    "Q4_K_M": Mix("Q4_K", 4.8944),
    "Q4_K_S": Mix("Q4_K", 4.6672),
    "Q4_1": Mix("Q4_1", 5.11),
    "Q4_0": Mix("Q4_0", 4.64),
    "IQ4_NL": Mix("IQ4_NL", 4.6818),
    "IQ4_XS": Mix("IQ4_XS", 4.4597),
    "Q3_K_L": Mix("Q3_K", 4.2979),
    "Q3_K_M": Mix("Q3_K", 3.996),
    "Q3_K_S": Mix("Q3_K", 3.6429),
    "IQ3_M": Mix("IQ3_S", 3.7628),
    "IQ3_S": Mix("IQ3_S", 3.6606),
    "IQ3_XS": Mix("IQ3_S", 3.4977),
    "IQ3_XXS": Mix("IQ3_XXS", 3.2548),
    "Q2_K": Mix("Q2_K", 3.1593),
    "Q2_K_S": Mix("Q2_K", 2.9697),
    "IQ2_M": Mix("IQ2_S", 2.9294),
    "IQ2_S": Mix("IQ2_XS", 2.7403),
    "IQ2_XS": Mix("IQ2_XS", 2.5882),
    "IQ2_XXS": Mix("IQ2_XXS", 2.3824),
    "IQ1_M": Mix("IQ1_M", 2.146),
    "IQ1_S": Mix("IQ1_S", 2.0042),
}
TENSOR_TYPES = tuple(sorted({mix.tensor for mix in MIXES.values()}))


def block(tensor_type: str) -> tuple[int, float]:
    """Weights per block of a tensor type (rows must be a multiple), and bits per weight."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    weights, size = GGML_QUANT_SIZES[GGMLQuantizationType[tensor_type]]
    return weights, 8 * size / weights


def is_quantized(tensor_type: str) -> bool:
    """Whether the type stores blocks: everything but plain floats and integers."""
    return block(tensor_type)[0] > 1
