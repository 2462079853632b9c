"""A recipe against tensor tables that no quantizer made: sizes asked for, and files that are not as asked."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.weights.gguf import GGUFHeader, TensorInfo, read_header
from evalkit.weights.quantize import Recipe, contradiction, estimate_bytes, fallbacks, quantized_from


def header(shapes: dict[str, tuple[int, ...]], types: dict[str, str] | None = None) -> GGUFHeader:
    """A header without a file; F16 matrices and F32 vectors unless `types` says otherwise."""
    tensors = tuple(
        TensorInfo(
            name,
            shape,
            (types or {}).get(name, "F16" if len(shape) > 1 else "F32"),
            0,
            math.prod(shape) * (2 if len(shape) > 1 else 4),
        )
        for name, shape in shapes.items()
    )
    return GGUFHeader(Path("made-up.gguf"), 0, 3, 32, 0, {}, tensors)


def qwen_7b() -> GGUFHeader:
    """Qwen2.5-7B, of which Fin-R1 is made: 7,615,616,512 weights."""
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (3584, 152_064),
        "output.weight": (3584, 152_064),
        "output_norm.weight": (3584,),
    }
    block: dict[str, tuple[int, ...]] = {
        "attn_norm.weight": (3584,),
        "ffn_norm.weight": (3584,),
        "attn_q.weight": (3584, 3584),
        "attn_q.bias": (3584,),
        "attn_k.weight": (3584, 512),
        "attn_k.bias": (512,),
        "attn_v.weight": (3584, 512),
        "attn_v.bias": (512,),
        "attn_output.weight": (3584, 3584),
        "ffn_gate.weight": (3584, 18_944),
        "ffn_up.weight": (3584, 18_944),
        "ffn_down.weight": (18_944, 3584),
    }
    for layer in range(28):
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in block.items()}
    return header(shapes)


# Sizes in GB as computed for these recipes and this geometry.
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("bf16", 15.23),
        ("f16", 15.23),
        ("bf16-q8_0", 9.11),
        ("f16-q8_0", 9.11),
        ("q8_0", 8.10),
        ("q6_k", 6.51),
        ("q4_k", 5.08),
        ("q4_k_s", 4.45),
        ("q4_0", 4.29),
        ("iq3_m", 3.57),
        ("iq3_xs", 3.35),
    ],
)
def test_disk_asked_for_is_enough_and_not_much_more(name: str, size: float, card: dict[str, Recipe]) -> None:
    source = qwen_7b()
    assert sum(tensor.elements for tensor in source.tensors) == 7_615_616_512
    assert size <= estimate_bytes(source, card[name]) / 1e9 <= 1.09 * size


def test_rows_that_no_k_type_can_hold_ask_for_the_widest_fallback(card: dict[str, Recipe]) -> None:
    odd, even = (header({"blk.0.ffn_up.weight": (width, 1000)}) for width in (576, 768))
    assert estimate_bytes(odd, card["q4_k"]) / 576 > 1.7 * estimate_bytes(even, card["q4_k"]) / 768


def test_a_source_is_quantized_as_most_of_its_bytes_are(small: Path) -> None:
    assert quantized_from(read_header(small)) == "Q4_1"
    assert quantized_from(qwen_7b()) is None
    shapes: dict[str, tuple[int, ...]] = {"a": (256, 9), "b": (256, 8)}
    assert quantized_from(header(shapes, {"b": "Q8_0"})) == "Q8_0"


def test_a_type_asked_for_by_name_is_no_fallback(card: dict[str, Recipe]) -> None:
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (576, 9),
        "a.weight": (576, 9),
        "b.weight": (768, 9),
        "gate.weight": (576, 9),
        "norm.weight": (576,),
    }
    types = {"token_embd.weight": "Q8_0", "a.weight": "Q5_0", "b.weight": "Q4_K", "gate.weight": "F32"}
    made = header(shapes, types)
    assert fallbacks(made, card["q4_k"]) == {"Q5_0": 1}
    assert fallbacks(made, card["q4_k_s"]) == {"Q5_0": 1, "Q8_0": 1}
    assert fallbacks(made, card["bf16"]) == {}


def test_what_is_not_as_asked_is_named(card: dict[str, Recipe]) -> None:
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (256, 9), "a.weight": (256, 9)}
    source = header(shapes)

    def says(recipe: Recipe, **types: str) -> str | None:
        return contradiction(header(shapes, {f"{k}.weight": v for k, v in types.items()}), source, recipe)

    assert says(card["q4_k"], token_embd="Q8_0", a="Q6_K") is None
    assert says(card["q4_k"], token_embd="Q6_K", a="Q4_K") == "token_embd.weight is Q6_K, asked for was Q8_0"
    assert says(card["q4_0"], token_embd="Q4_0", a="Q4_1") == "a.weight is Q4_1, asked for was Q4_0"
    assert says(replace(card["q4_0"], pure=False), token_embd="Q4_0", a="Q4_1") is None
    lost = contradiction(header({"a.weight": (256, 9)}), source, card["q8_0"])
    assert lost == "its tensors are not those of the source"
    cut = contradiction(header({**shapes, "a.weight": (256, 8)}), source, card["q8_0"])
    assert cut == "a.weight has another shape than in the source"
