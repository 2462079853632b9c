"""Checkpoints that are compared: tokens as bytes of a text, what is refused, tokens without a name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from evalkit.config.settings import run_settings
from evalkit.engines.needs import VllmSettings
from evalkit.engines.vllm import Installation
from evalkit.fidelity.checkpoint import ReferenceCheckpoint, token_sizes
from evalkit.fidelity.divergence import divergence
from evalkit.schema import UserError
from evalkit.weights.fetch import Checkpoint


def test_names_of_byte_level_tokens_are_bytes() -> None:
    assert token_sizes("a €5\n", ["a", "Ġ", "âĤ", "¬", "5", "Ċ"]) == (1, 1, 2, 1, 1, 1)
    assert token_sizes("营收", ["èĲ¥", "æĶ¶"]) == (3, 3)
    assert token_sizes("", []) == ()


def test_names_of_sentencepiece_tokens_are_text() -> None:
    assert token_sizes("up 3 %\n", ["up", "▁3", "▁%", "<0x0A>"]) == (2, 2, 2, 1)
    assert token_sizes("<0xZZ>", ["<0xZZ>"]) == (6,)


def test_tokens_of_another_text_have_no_sizes() -> None:
    assert token_sizes("profit", ["pro", "fits"]) is None
    assert token_sizes("x", []) is None


def test_a_token_that_is_not_known_is_one_of_the_others() -> None:
    p, q = np.array([0.5, 0.3, 0.15, 0.05]), np.array([0.4, 0.1, 0.3, 0.2])
    known = divergence(np.log(p[None, :2]), p[2:].sum()[None], np.log(q[None, :2]), q[2:].sum()[None])
    three = np.log(np.array([[0.4, 0.1, np.nan]]))
    merged = divergence(np.log(p[None, :3]), p[3:], three, q[2:].sum()[None])
    assert merged == pytest.approx(known, abs=1e-12)
    whole = divergence(np.log(p[None, :3]), p[3:], np.log(q[None, :3]), q[3:])
    assert merged < whole


CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "hidden_size": 64,
    "max_position_embeddings": 100,
}


def folder(path: Path, vocabulary: dict[str, int], **changed: object) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps({**CONFIG, **changed}))
    tokenizer = {"added_tokens": [], "model": {"vocab": vocabulary}, "comment": path.name}
    (path / "tokenizer.json").write_text(json.dumps(tokenizer))
    (path / "model.safetensors").write_bytes(path.name.encode())
    return path


@pytest.fixture
def reference(tmp_path: Path) -> ReferenceCheckpoint:
    from evalkit.files import sha256_of

    ours = folder(tmp_path / "ours", {"a": 0, "b": 1})
    backend = run_settings(["+model=fin-r1", "data=sample"]).backend
    assert isinstance(backend, VllmSettings)
    files = {file.name: sha256_of(file) for file in sorted(ours.iterdir())}
    installation = Installation(tmp_path / "vllm", None, "vllm", "0")
    return ReferenceCheckpoint(Checkpoint(ours, "path:ours", files, 4), backend, installation, (1,))


def test_a_quantized_checkpoint_of_the_same_model_is_compared(
    reference: ReferenceCheckpoint, tmp_path: Path
) -> None:
    file = folder(tmp_path / "awq", {"a": 0, "b": 1}, quantization_config={"quant_method": "awq"})
    found = reference.compared(file, 90, None)
    assert found.path == file
    assert found.size_bytes == 3
    assert found.sha256 != reference.sha256
    assert found.notes == ("its tokenizer's settings differ: deployed, it may see other prompts",)


@pytest.mark.parametrize(
    ("vocabulary", "changed", "longest", "said"),
    [
        ({"a": 0, "b": 1}, {"architectures": ["LlamaForCausalLM"]}, 9, "architecture LlamaForCausalLM"),
        ({"a": 1, "b": 0}, {}, 9, "another vocabulary than ours"),
        (
            {"a": 0, "b": 1},
            {},
            99,
            "was trained for 100 tokens, the longest prompt and answer have 99, and the engine needs 2",
        ),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line(
    reference: ReferenceCheckpoint,
    tmp_path: Path,
    vocabulary: dict[str, int],
    changed: dict[str, object],
    longest: int,
    said: str,
) -> None:
    file = folder(tmp_path / "theirs", vocabulary, **changed)
    with pytest.raises(UserError, match=said) as error:
        reference.compared(file, longest, None)
    assert "\n" not in str(error.value)


def test_a_gguf_file_is_no_checkpoint(reference: ReferenceCheckpoint, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    with pytest.raises(UserError, match=r"model\.gguf is a GGUF file, and the run is of a checkpoint"):
        reference.compared(file, 9, None)
