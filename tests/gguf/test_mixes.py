"""The quantizer's rules, checked against files that llama.cpp's quantizer made of Qwen2.5-7B-Instruct."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest

from bench.synthetic import Build, Geometry, file_bytes, write
from evalkit.weights.recipe import (
    FILE_TYPES,
    LayerCounts,
    base_type,
    fallbacks,
    is_type,
    layer_of,
    tensor_type,
)

# Bytes of the files in bartowski/Qwen2.5-7B-Instruct-GGUF on the Hub. The header (vocabulary, merges,
# template, tensor table) is 5.95 MB in each; it differs by what the file says about itself.
PUBLISHED = {
    "F16": 15_237_853_184,
    "Q8_0": 8_098_525_888,
    "Q6_K": 6_254_199_488,
    "Q5_K_M": 5_444_831_936,
    "Q5_K_S": 5_315_176_640,
    "Q4_1": 4_873_284_288,
    "Q4_K_M": 4_683_074_240,
    "Q4_K_S": 4_457_769_664,
    "Q4_0": 4_431_391_424,
    "Q3_K_L": 4_088_459_968,
    "Q3_K_M": 3_808_391_872,
    "Q3_K_S": 3_492_368_064,
    "IQ3_M": 3_574_012_608,
    "IQ3_XS": 3_346_256_576,
    "Q2_K": 3_015_940_800,
    "IQ2_M": 2_780_343_360,
}
HEADER = 5_954_240
MODEL = LayerCounts(layers=28, gqa=7, tied=False)


@pytest.mark.parametrize("mix", PUBLISHED)
def test_a_mix_has_the_published_size(mix: str) -> None:
    assert abs(file_bytes(Geometry(), Build(mix)) + HEADER - PUBLISHED[mix]) < 2_000


def down(mix: str, *, imatrix: bool) -> list[str]:
    layers = (0, 2, 3, 27)
    return [tensor_type(mix, MODEL, f"blk.{layer}.ffn_down.weight", imatrix=imatrix) for layer in layers]


def test_an_importance_matrix_decides_the_first_eighth_of_ffn_down() -> None:
    assert down("Q4_0", imatrix=False) == ["Q4_0", "Q4_0", "Q4_0", "Q4_0"]
    assert down("Q4_0", imatrix=True) == ["Q4_1", "Q4_1", "Q4_0", "Q4_0"]
    assert down("IQ4_XS", imatrix=False) == ["Q5_K", "Q5_K", "IQ4_XS", "IQ4_XS"]
    assert down("IQ4_XS", imatrix=True) == ["IQ4_XS"] * 4


def test_tied_embeddings_are_quantized_as_the_output() -> None:
    tied = LayerCounts(layers=28, gqa=7, tied=True)
    assert tensor_type("Q4_K_M", MODEL, "token_embd.weight") == "Q4_K"
    assert tensor_type("Q4_K_M", tied, "token_embd.weight") == "Q6_K"


def test_models_of_70b_get_more_bits_in_attn_v() -> None:
    large = LayerCounts(layers=80, gqa=8, tied=False, large=True)
    assert tensor_type("Q4_K_M", large, "blk.12.attn_v.weight") == "Q6_K"  # (12 - 10) % 3 == 2
    assert tensor_type("Q4_K_M", large, "blk.13.attn_v.weight") == "Q5_K"


def test_rows_that_do_not_fit_the_block_fall_back() -> None:
    assert fallbacks("Q4_K", 3584) == ()
    assert tuple(fallbacks("Q4_K", 576)) == ("Q5_0",)
    assert tuple(fallbacks("Q6_K", 576)) == ("Q8_0",)
    assert tuple(fallbacks("IQ3_S", 576)) == ("IQ4_NL",)
    assert tuple(fallbacks("Q4_K", 100)) == ("F16",)
    assert tuple(fallbacks("Q4_0", 576)) == ()


def test_numbers_and_types_are_those_of_the_gguf_package() -> None:
    named = {int(kind): kind.name.removeprefix("MOSTLY_").removeprefix("ALL_") for kind in gguf.LlamaFileType}
    assert {number: named[number] for number in FILE_TYPES} == FILE_TYPES
    assert all(is_type(base_type(mix)) for mix in FILE_TYPES.values())


def test_layer_numbers_of_hostile_names() -> None:
    names = ("blk.3.attn_v.weight", "blk.x.attn_v.weight", "blk.³.a", "blk.999999999.a", "blk.3", "")
    assert [layer_of(name) for name in names] == [3, None, None, None, None, None]


def test_what_is_written_is_what_was_asked_for(tmp_path: Path) -> None:
    """The gguf package's reader sees the tensors that `tensors` promised."""
    from bench.synthetic import tensors

    small = Geometry(layers=2, hidden=256, feed_forward=512, heads=4, kv_heads=1, head_dim=64, vocabulary=600)
    write(tmp_path / "x.gguf", small, Build("IQ3_XS"))
    read = gguf.GGUFReader(tmp_path / "x.gguf").tensors
    table = [(t.name, tuple(int(n) for n in t.shape), t.tensor_type.name) for t in read]
    assert table == list(tensors(small, Build("IQ3_XS")))
