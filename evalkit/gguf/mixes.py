"""Which tensor type llama.cpp's quantizer gives to each tensor of a named mix.

A mix such as Q4_K_M is a rule and not a type: some layers' `attn_v` and `ffn_down` get more bits. The
rules are `llama_tensor_get_type_impl`, `tensor_type_fallback` and `llama_ftype_get_default_type` in
llama.cpp's src/llama-quant.cpp, for dense models; Falcon and mixtures of experts have rules of their own,
not given here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

EMBEDDING, OUTPUT = "token_embd.weight", "output.weight"

# llama.cpp's `llama_ftype` (general.file_type) and the mix it names; removed numbers are left out.
FILE_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
}
MIXES = tuple(FILE_TYPES.values())
ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}  # as llama-quantize reads them

_BASE = {"IQ3_XS": "IQ3_S", "IQ3_M": "IQ3_S", "IQ2_S": "IQ2_XS", "IQ2_M": "IQ2_S"}
_IQ12 = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M")
_UNQUANTIZED = ("F32", "F16", "BF16")
# A row that is no multiple of the type's block: what llama.cpp takes instead (now, and in earlier
# versions).
_FALLBACK = {
    "Q4_K": ("Q5_0",),
    "Q5_K": ("Q5_1",),
    "Q6_K": ("Q8_0",),
    "Q2_K": ("Q4_0", "IQ4_NL"),
    "Q3_K": ("Q4_0", "IQ4_NL"),
}


@dataclass(frozen=True, slots=True)
class Model:
    """What the rules ask of a model: layers, query heads per KV head, whether it has no output of its own.

    `large`: llama.cpp counts it among the 70B models, where `attn_v` is small enough to get more bits.
    """

    layers: int
    gqa: int
    tied: bool
    large: bool = False


def base_type(mix: str) -> str:
    """The type of most tensors of a mix: Q4_K for Q4_K_M."""
    return _BASE.get(mix, mix[:4] if "_K_" in mix else mix)


def is_weight(name: str, dimensions: int) -> bool:
    """Whether the quantizer touches a tensor: matrices, but no norms, routers and small convolutions."""
    kept = ("_norm.weight", "ffn_gate_inp.weight", "ssm_conv1d", "shortconv.conv.weight", "altup", "laurel")
    return dimensions > 1 and name.endswith("weight") and not any(part in name for part in kept)


def tensor_type(mix: str, model: Model, name: str, *, imatrix: bool = False) -> str:
    """The type that `name` gets in `mix` if its rows fit; `imatrix`: quantized with an importance matrix."""
    base = base_type(mix)
    if mix in _UNQUANTIZED:
        return base
    if name == OUTPUT or (name == EMBEDDING and model.tied):
        if mix in _IQ12 or mix == "IQ3_XXS":
            return "Q5_K"
        return base if base == "Q8_0" else "Q6_K"
    if name == EMBEDDING:
        return _embedding(mix, base)
    layer = layer_of(name)
    if layer is None:
        return base
    part = name.split(".", 2)[2].removesuffix(".weight")
    if mix in _IQ12:
        return _small(mix, base, model, part, layer)
    if part in ("attn_v", "attn_qkv", "attn_kv_b"):
        chosen = _attn_v(mix, base, model, layer, imatrix=imatrix)
        return "Q5_K" if model.large and chosen in ("Q3_K", "Q4_K") else chosen
    if part in ("attn_q", "attn_k"):
        return {"IQ3_XS": "IQ3_XXS", "IQ3_XXS": "IQ2_S"}.get(mix, base)
    if part == "attn_output":
        wider = {"Q2_K": "Q3_K", "IQ3_XXS": "IQ3_S", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K", "IQ3_M": "Q4_K"}
        return wider.get(mix, base)
    if part == "ffn_down":
        return _ffn_down(mix, base, layer, model.layers, imatrix=imatrix)
    if part in ("ffn_gate", "ffn_up") and mix == "IQ3_XS":
        return "IQ3_XXS" if model.layers // 8 <= layer < 7 * model.layers // 8 else base
    return base


def fallbacks(wanted: str, row: int, *, output: bool = False) -> Collection[str]:
    """The types that stand in for `wanted` in a tensor with rows of `row` weights; empty if it fits."""
    if row % block_size(wanted) == 0:
        return ()
    if output:
        return ("Q8_0",)
    instead = _FALLBACK.get(wanted, ("IQ4_NL",) if wanted.startswith("IQ") else ())
    return instead if row % 32 == 0 else ("F16",)


@cache
def block_size(kind: str) -> int:
    """Weights in a block of a tensor type."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    return int(GGML_QUANT_SIZES[GGMLQuantizationType[kind]][0])


def is_type(name: str) -> bool:
    """Whether it names a tensor type."""
    from gguf.constants import GGMLQuantizationType

    return name in GGMLQuantizationType.__members__


def layer_of(name: str) -> int | None:
    """3 for blk.3.attn_v.weight."""
    parts = name.split(".", 2)
    number = parts[1] if len(parts) == 3 and parts[0] == "blk" else ""
    return int(number) if number.isascii() and number.isdigit() and len(number) < 6 else None


def _more_bits(layer: int, layers: int) -> bool:
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2


def _embedding(mix: str, base: str) -> str:
    if mix in ("IQ2_XXS", "IQ2_XS", "IQ1_S", "IQ1_M"):
        return "Q2_K"
    return "IQ3_S" if mix in ("IQ2_S", "IQ2_M", "IQ3_XXS") else base


def _small(mix: str, base: str, model: Model, part: str, layer: int) -> str:
    """IQ1 and IQ2."""
    better = "IQ3_S" if mix in ("IQ2_S", "IQ2_M") else "Q2_K"
    if part in ("attn_v", "attn_qkv", "attn_kv_b"):
        return "Q4_K" if model.gqa >= 4 else better
    if part == "ffn_down" and layer < model.layers // 8:
        return better
    if part == "attn_output":
        return {"IQ1_S": "IQ2_XXS", "IQ1_M": "IQ2_XXS", "IQ2_S": "IQ3_S", "IQ2_M": "IQ3_S"}.get(mix, base)
    return base


def _attn_v(mix: str, base: str, model: Model, layer: int, *, imatrix: bool) -> str:
    shared = model.gqa >= 4
    if mix == "Q2_K":
        return "Q4_K" if shared else "Q3_K"
    if mix == "IQ3_XXS":
        return "Q4_K" if shared else "IQ3_XXS" if imatrix else "IQ3_S"
    if mix == "IQ3_M" or (shared and mix in ("Q2_K_S", "IQ3_XS", "IQ3_S")):
        return "Q4_K"
    if mix == "Q3_K_M":
        return "Q5_K" if layer < 2 else "Q4_K"
    if mix == "Q3_K_L" or (shared and mix in ("IQ4_NL", "IQ4_XS")):
        return "Q5_K"
    if mix in ("Q4_K_M", "Q5_K_M") and _more_bits(layer, model.layers):
        return "Q6_K"
    return "Q5_K" if mix == "Q4_K_S" and layer < 4 else base


def _ffn_down(mix: str, base: str, layer: int, layers: int, *, imatrix: bool) -> str:
    first = layer < layers // 8
    if mix in ("Q4_K_M", "Q5_K_M"):
        return "Q6_K" if _more_bits(layer, layers) else base
    if mix == "Q3_K_M":
        return "Q5_K" if layer < layers // 16 else "Q4_K"
    if mix == "IQ3_XXS" and not imatrix:
        return "Q4_K" if first else "Q3_K"
    early = {"Q2_K_S": "Q4_K", "IQ3_M": "Q4_K", "Q4_K_S": "Q5_K"}
    early |= {"Q4_0": "Q4_1", "Q5_0": "Q5_1"} if imatrix else {"IQ4_NL": "Q5_K", "IQ4_XS": "Q5_K"}
    always = {"Q2_K": "Q3_K", "Q3_K_L": "Q5_K"}
    return always.get(mix) or (early.get(mix, base) if first else base)
