"""Files with the shape of a model and random weights."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize
from omegaconf import OmegaConf

from bench.synthetic import BUILDS, Geometry, build_named, file_bytes, random_blocks, tensors, write
from evalkit.files import CONFIGS
from evalkit.schema import UserError
from evalkit.weights.gguf import read_header
from tests.gguf.synthetic_headers import SMALL

# Of these the recorded size is not of the recipe that the card names: see the configs' comments.
OTHER_RECIPE = {"q4_0": 4.29e9, "q4_k_s": 4.45e9}


def test_the_default_has_qwen_7b_s_parameters() -> None:
    assert sum(prod(shape) for _, shape, _ in tensors(Geometry(), BUILDS["bf16"])) == 7_615_616_512


@pytest.mark.parametrize("name", [name for name in BUILDS if name != "q4_k-pure"])
def test_sizes_are_those_of_fin_r1(name: str) -> None:
    recorded = OmegaConf.load(CONFIGS / "model" / f"fin-r1-{name}.yaml").size_bytes
    expected = OTHER_RECIPE.get(name, recorded)
    assert file_bytes(Geometry(), BUILDS[name]) == pytest.approx(expected, rel=0.01)


def test_weights_are_small_and_finite() -> None:
    kinds = {kind for build in BUILDS.values() for *_, kind in tensors(SMALL, build)}
    narrow = replace(SMALL, hidden=576, feed_forward=1536, heads=9, kv_heads=3)  # brings the fallback types
    kinds |= {kind for build in BUILDS.values() for *_, kind in tensors(narrow, build)}
    assert len(kinds) > 10
    for kind in kinds:
        quantization = GGMLQuantizationType[kind]
        blocks = np.frombuffer(random_blocks(kind), np.uint8).reshape(-1, GGML_QUANT_SIZES[quantization][1])
        weights = dequantize(blocks[:1_000], quantization)
        assert np.isfinite(weights).all(), kind
        assert 1e-3 < np.abs(weights).mean() < 0.5, kind


def test_the_same_request_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, SMALL, BUILDS["iq3_m"])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_vocabulary_is_whole_and_without_doubles(tmp_path: Path) -> None:
    write(tmp_path / "x.gguf", replace(SMALL, vocabulary=70_000, layers=1), BUILDS["q4_0"])
    header = read_header(tmp_path / "x.gguf")
    reader = GGUFReader(tmp_path / "x.gguf")
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    assert len(tokens) == len(set(tokens)) == 70_000
    merges = reader.fields["tokenizer.ggml.merges"].contents()
    assert {merge.replace(" ", "") for merge in merges} <= set(tokens)
    assert header.chat_template


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocabulary": 100}, "at least 259"),
        ({"heads": 3}, "must be hidden"),
        ({"kv_heads": 3}, "no multiple"),
    ],
)
def test_geometries_that_nothing_could_load(tmp_path: Path, change: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        write(tmp_path / "x.gguf", replace(SMALL, **change), BUILDS["q4_0"])  # type: ignore[arg-type]
    assert not (tmp_path / "x.gguf").exists()


def test_unknown_recipe() -> None:
    with pytest.raises(UserError, match="Did you mean q4_0"):
        build_named("q4_00")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        write(tmp_path / "no" / "x.gguf", SMALL, BUILDS["q8_0"])
