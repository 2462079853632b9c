"""Files really made by llama.cpp's quantizer, and what their tensor tables say."""

from __future__ import annotations

import json
import resource
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from gguf import GGUFReader, GGUFWriter

from evalkit.files import hash_file
from evalkit.schema import UserError
from evalkit.weights.gguf import TensorInfo, read_header
from evalkit.weights.quantize import LadderFile, QuantizeFailed, Recipe, build
from tests.quantize.conftest import library, real_quantizer, write_model

pytestmark = real_quantizer


def make(source: Path, out: Path, recipe: Recipe, **more: object) -> LadderFile:
    options: dict[str, object] = {"prefix": "Tiny", "allow_requantize": False, **more}
    return build(source, out, recipe, **options)  # type: ignore[arg-type]


def table(path: Path) -> dict[str, TensorInfo]:
    return {tensor.name: tensor for tensor in read_header(path).tensors}


# Embeddings, output, and the other matrices of two layers. Q4_K_M: attn_v and ffn_down of layer 1 in Q6_K.
TINY = {
    "bf16": ("BF16", "BF16", {"BF16": 14}),
    "f16": ("F16", "F16", {"F16": 14}),
    "bf16-q8_0": ("BF16", "BF16", {"Q8_0": 14}),
    "f16-q8_0": ("F16", "F16", {"Q8_0": 14}),
    "q8_0": ("Q8_0", "Q8_0", {"Q8_0": 14}),
    "q6_k": ("Q8_0", "Q8_0", {"Q6_K": 14}),
    "q4_k": ("Q8_0", "Q8_0", {"Q4_K": 12, "Q6_K": 2}),
    "q4_k_s": ("Q4_K", "Q6_K", {"Q4_K": 12, "Q5_K": 2}),
    "q4_0": ("Q4_0", "Q4_0", {"Q4_0": 14}),
    "iq3_m": ("IQ3_S", "Q6_K", {"IQ3_S": 10, "Q4_K": 4}),
}


@pytest.mark.parametrize("name", TINY)
def test_each_recipe_gives_the_types_of_the_card(
    name: str, card: dict[str, Recipe], tiny: Path, tmp_path: Path
) -> None:
    built = make(tiny, tmp_path, card[name])
    assert built.path == tmp_path / f"Tiny-{name}.gguf"
    tensors = table(built.path)
    embeddings, output = tensors.pop("token_embd.weight").type, tensors.pop("output.weight").type
    rest = Counter(tensor.type for tensor in tensors.values() if len(tensor.shape) > 1)
    assert (embeddings, output, rest) == TINY[name]
    assert {tensor.type for tensor in tensors.values() if len(tensor.shape) == 1} == {"F32"}
    assert (built.size_bytes, built.sha256) == (built.path.stat().st_size, hash_file(built.path))
    assert (built.source, built.source_sha256) == ("Tiny-f32.gguf", hash_file(tiny))
    assert (built.requantized_from, built.fallbacks, built.fallback_reason) == (None, {}, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == [built.path.name, "ladder.json", "ladder.lock"]


def test_the_record_says_how_a_file_was_made(card: dict[str, Recipe], tiny: Path, tmp_path: Path) -> None:
    built = make(tiny, tmp_path, card["q4_0"])
    other = make(tiny, tmp_path, card["f16"])
    first, second = json.loads((tmp_path / "ladder.json").read_text())
    assert (first["path"], second["path"]) == (other.path.name, built.path.name)
    assert second["recipe"] == {
        "name": "q4_0",
        "type": "Q4_0",
        "embeddings": None,
        "output": None,
        "pure": True,
    }
    assert (second["sha256"], second["size_bytes"]) == (built.sha256, built.size_bytes)
    assert second["quantizer"] == built.quantizer
    assert any(figure.isdigit() for figure in built.quantizer)
    assert second["seconds"] > 0


def test_requantizing_and_fallbacks_are_said(card: dict[str, Recipe], small: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        make(small, tmp_path / "none", card["q4_k"])
    assert "already quantized (Q4_1)" in str(caught.value)
    assert "allow_requantize=true" in str(caught.value)
    assert not (tmp_path / "none").exists()

    built = make(small, tmp_path, card["q4_k"], allow_requantize=True)
    tensors = table(built.path)
    assert built.requantized_from == "Q4_1"
    assert tensors["token_embd.weight"].type == "Q8_0"
    assert {t.type for t in tensors.values() if t.shape[0] == 1536} == {"Q4_K", "Q6_K"}
    odd = [t for name, t in tensors.items() if t.shape[0] == 576 and len(t.shape) > 1 and "embd" not in name]
    assert built.fallbacks == Counter(t.type for t in odd) == {"Q5_0": 166, "Q8_0": 14}
    assert built.fallback_reason == "their rows are not a multiple of 256 weights, as Q4_K needs"


def test_what_is_there_as_recorded_is_kept(card: dict[str, Recipe], tiny: Path, tmp_path: Path) -> None:
    built = make(tiny, tmp_path, card["q8_0"])
    before = built.path.stat()
    assert make(tiny, tmp_path, card["q8_0"]) == built
    assert built.path.stat().st_mtime_ns == before.st_mtime_ns

    built.path.write_bytes(built.path.read_bytes()[:-1] + b"x")  # same size, other bytes
    again = make(tiny, tmp_path, card["q8_0"])
    assert again.sha256 == built.sha256 == hash_file(built.path)

    built.path.unlink()
    assert make(tiny, tmp_path, card["q8_0"]).sha256 == built.sha256


def test_another_recipe_or_source_of_the_same_name_is_built_again(
    card: dict[str, Recipe], tiny: Path, tmp_path: Path
) -> None:
    make(tiny, tmp_path, card["q8_0"])
    changed = replace(card["q8_0"], embeddings="F16")
    assert table(make(tiny, tmp_path, changed).path)["token_embd.weight"].type == "F16"
    other = write_model(tmp_path / "other.gguf", width=512)
    built = make(other, tmp_path, changed)
    assert built.source_sha256 == hash_file(other)
    assert table(built.path)["token_embd.weight"].shape[0] == 512


def test_other_peoples_files_are_never_written_over(
    card: dict[str, Recipe], tiny: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "Tiny-q8_0.gguf"
    precious.write_bytes(b"precious")
    with pytest.raises(UserError, match=r"not in ladder\.json"):
        make(tiny, tmp_path, card["q8_0"])
    assert precious.read_bytes() == b"precious"

    built = make(tiny, tmp_path, card["f16"])
    with pytest.raises(UserError, match="is the source itself"):
        make(built.path, tmp_path, card["f16"])
    assert hash_file(built.path) == built.sha256


@pytest.mark.parametrize("content", ["[{}]", "{", "[]x", '[{"path": "x"}]'])
def test_a_record_of_something_else(
    content: str, card: dict[str, Recipe], tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / "ladder.json").write_text(content)
    with pytest.raises(UserError, match="is not a ladder's record") as caught:
        make(tiny, tmp_path, card["q8_0"])
    assert "\n" not in str(caught.value)


def test_rows_that_do_not_fit_a_type_are_told_before(
    card: dict[str, Recipe], small: Path, tmp_path: Path
) -> None:
    """Rows of 576 cannot be Q6_K, and llama.cpp does not fall back where a type was asked for by name."""
    recipe = replace(card["q4_0"], embeddings="Q6_K")
    with pytest.raises(QuantizeFailed) as caught:
        make(small, tmp_path, recipe, allow_requantize=True)
    assert str(caught.value) == (
        "token_embd.weight cannot be Q6_K: its rows of 576 weights are not in blocks of 256; "
        "leave that out of recipe q4_0"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["ladder.lock"]


def test_a_disk_that_fills_up(card: dict[str, Recipe], small: Path, tmp_path: Path) -> None:
    """The quantizer's own file reaches a limit, as on a disk that others fill in the meantime."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000_000, hard))
    try:
        with pytest.raises(QuantizeFailed, match="is the disk full"):
            make(small, tmp_path, card["q4_0"], allow_requantize=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.glob("*.gguf*part"))


def test_a_model_that_llama_cpp_does_not_know(card: dict[str, Recipe], tmp_path: Path) -> None:
    source = write_model(tmp_path / "odd.gguf", architecture="nosucharch")
    with pytest.raises(
        QuantizeFailed, match=r"exit code 1: .*unknown model architecture: 'nosucharch'"
    ) as caught:
        make(source, tmp_path / "out", card["q8_0"])
    assert "(log: " in str(caught.value)
    assert "\n" not in str(caught.value)


def write_imatrix(path: Path, source: Path) -> Path:
    """An importance matrix for every matrix of a model but the embeddings; one was never called."""
    import numpy as np

    writer = GGUFWriter(path, "none")
    writer.add_type("imatrix")
    for name, tensor in table(source).items():
        if len(tensor.shape) > 1 and name != "token_embd.weight":
            calls = 0.0 if "blk.1.attn_k" in name else 4.0
            sums = np.linspace(1, 5, tensor.shape[0], dtype=np.float32)
            writer.add_tensor(f"{name}.in_sum2", sums[None, :])
            writer.add_tensor(f"{name}.counts", np.full((1, 1), calls, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_mix_that_needs_an_importance_matrix(card: dict[str, Recipe], tiny: Path, tmp_path: Path) -> None:
    recipe = Recipe("iq2_xs", "IQ2_XS", None, None, False)
    with pytest.raises(UserError) as caught:
        make(tiny, tmp_path, recipe)
    assert str(caught.value).startswith("IQ2_XS needs an importance matrix for this model: give imatrix=FILE")
    assert not list(tmp_path.glob("*.gguf"))

    matrix = write_imatrix(tmp_path / "imatrix.gguf", tiny)
    built = make(tiny, tmp_path, recipe, imatrix=matrix)
    assert "IQ2_XS" in {tensor.type for tensor in table(built.path).values()}
    assert built.imatrix_sha256 == hash_file(matrix)
    assert read_header(built.path).metadata["quantize.imatrix.entries_count"] == 15
    assert make(tiny, tmp_path, recipe, imatrix=matrix) == built


def test_an_importance_matrix_is_used(card: dict[str, Recipe], tiny: Path, tmp_path: Path) -> None:
    plain = make(tiny, tmp_path, card["q4_k"])
    before = {t.name: bytes(t.data) for t in GGUFReader(plain.path).tensors}
    matrix = write_imatrix(tmp_path / "imatrix.gguf", tiny)
    weighed = make(tiny, tmp_path, card["q4_k"], imatrix=matrix)
    after = {t.name: bytes(t.data) for t in GGUFReader(weighed.path).tensors}
    assert before["token_embd.weight"] == after["token_embd.weight"]
    assert before["blk.0.attn_q.weight"] != after["blk.0.attn_q.weight"]


@library
def test_values_of_an_importance_matrix(tiny: Path, tmp_path: Path) -> None:
    from evalkit.children.quantize import importance

    found = importance(write_imatrix(tmp_path / "imatrix.gguf", tiny))
    assert len(found) == 15
    assert found["blk.0.ffn_down.weight"].shape == (512,)
    assert found["output.weight"][[0, -1]].tolist() == [0.25, 1.25]
    assert set(found["blk.1.attn_k.weight"].tolist()) == {1.0}
    with pytest.raises(UserError, match="holds no importance matrix"):
        importance(tiny)


def test_the_librarys_file_is_that_of_any_number_of_threads(
    card: dict[str, Recipe], tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make(tiny, tmp_path / "a", card["q4_k"])
    monkeypatch.setattr("psutil.cpu_count", lambda logical: 3)
    shutil.copy(tiny, tmp_path / "copy.gguf")
    assert make(tmp_path / "copy.gguf", tmp_path / "b", card["q4_k"]).sha256 == one.sha256
