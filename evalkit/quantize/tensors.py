"""A recipe against tensor tables: what its file will need, and whether it holds what was asked for."""

from __future__ import annotations

from collections import Counter

from evalkit.gguf.header import GGUFHeader, TensorInfo
from evalkit.quantize.ladder import Recipe
from evalkit.quantize.mixes import EMBEDDINGS, OUTPUT, block, is_quantized

_MARGIN = 1.03  # mixes were measured on one model, others differ a little
_WIDEST_FALLBACK = 8.5  # bits per weight of Q8_0, the widest common type that llama.cpp falls back to
_MIXES_OUTPUT = 6.5625  # of Q6_K, which most mixes use for the output, also where the embeddings serve as one


def quantized_from(source: GGUFHeader) -> str | None:
    """The quantized type with the most bytes in a source; None if every tensor has full precision."""
    sizes: Counter[str] = Counter()
    for tensor in source.tensors:
        if is_quantized(tensor.type):
            sizes[tensor.type] += tensor.bytes
    return sizes.most_common(1)[0][0] if sizes else None


def estimate_bytes(source: GGUFHeader, recipe: Recipe) -> int:
    """About how large the recipe's file will be, rather too much than too little."""
    tied = all(tensor.name != OUTPUT for tensor in source.tensors)
    size = sum(_estimated_bits(tensor, recipe, tied) for tensor in source.tensors) / 8
    return int(_MARGIN * size) + source.data_offset


def _estimated_bits(tensor: TensorInfo, recipe: Recipe, tied: bool) -> float:
    if len(tensor.shape) < 2:
        return 8 * tensor.bytes
    asked = recipe.asked(tensor.name)
    main_block, main_bits = block(recipe.mix.tensor)
    if asked:
        bits = block(asked)[1]
    elif tensor.shape[0] % main_block:
        bits = max(recipe.mix.bits, _WIDEST_FALLBACK)
    elif recipe.pure:
        bits = main_bits
    elif tied and tensor.name == EMBEDDINGS:
        bits = max(recipe.mix.bits, _MIXES_OUTPUT)
    else:
        bits = recipe.mix.bits
    return tensor.elements * bits


def fallbacks(made: GGUFHeader, recipe: Recipe) -> dict[str, int]:
    """Tensors that could not have the mix's type because of their row length, counted by the type they got.

    llama.cpp falls back when rows are not a multiple of the block: Q4_K to Q5_0, Q6_K to Q8_0, IQ3_S to
    IQ4_NL, and so on (`tensor_type_fallback` in src/llama-quant.cpp). Tensors left in F32 were not quantized.
    """
    weights = block(recipe.mix.tensor)[0]
    found = Counter(
        tensor.type
        for tensor in made.tensors
        if len(tensor.shape) > 1
        and tensor.shape[0] % weights
        and tensor.type != "F32"
        and recipe.asked(tensor.name) is None
    )
    return dict(sorted(found.items()))


def fallback_reason(recipe: Recipe) -> str:
    """Why tensors of `fallbacks` are not in the mix's type, in words."""
    weights = block(recipe.mix.tensor)[0]
    return f"their rows are not a multiple of {weights} weights, as {recipe.mix.tensor} needs"


def contradiction(made: GGUFHeader, source: GGUFHeader, recipe: Recipe) -> str | None:
    """Where a file is not what was asked for: tensors lost, or a type that the recipe names not used."""
    before = {tensor.name: tensor for tensor in source.tensors}
    if before.keys() != {tensor.name for tensor in made.tensors}:
        return "its tensors are not those of the source"
    main, (weights, _) = recipe.mix.tensor, block(recipe.mix.tensor)
    for tensor in made.tensors:
        asked = recipe.asked(tensor.name)
        if asked is None and recipe.pure and tensor.shape[0] % weights == 0 and is_quantized(tensor.type):
            asked = main
        if asked not in (None, tensor.type):
            return f"{tensor.name[:80]} is {tensor.type}, asked for was {asked}"
        if tensor.shape != before[tensor.name].shape:
            return f"{tensor.name[:80]} has another shape than in the source"
    return None
