"""Whole checkpoints: found, hashed, and what they say of themselves."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from evalkit.schema import UserError
from evalkit.weights.fetch import Geometry, chat_template, geometry_of, read_config, resolve_checkpoint
from tests.settings import changed, model_settings


def test_a_folder(checkpoint: Path) -> None:
    (checkpoint / "pytorch_model.bin").write_bytes(b"a pickle")
    found = resolve_checkpoint(model_settings(path=str(checkpoint)))
    assert list(found.files) == ["config.json", "model.safetensors", "tokenizer_config.json"]
    assert found.files["model.safetensors"] == hashlib.sha256(b"weights").hexdigest()
    assert found.weights_bytes == len(b"weights")
    assert found.origin == f"path:{checkpoint}"


def test_the_hash_is_of_names_and_contents(checkpoint: Path) -> None:
    model = model_settings(path=str(checkpoint))
    first = resolve_checkpoint(model).sha256
    assert resolve_checkpoint(changed(model, sha256=first)).sha256 == first
    (checkpoint / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(UserError, match="expected"):
        resolve_checkpoint(changed(model, sha256=first))


def test_the_hubs_cache_is_not_hashed_again(checkpoint: Path, tmp_path: Path) -> None:
    """There, a big file's name is its sha256, and a link leads to it."""
    blob = tmp_path / "blobs" / ("ab" * 32)
    blob.parent.mkdir()
    (checkpoint / "model.safetensors").rename(blob)
    (checkpoint / "model.safetensors").symlink_to(blob)
    assert resolve_checkpoint(model_settings(path=str(checkpoint))).files["model.safetensors"] == "ab" * 32


def test_what_is_no_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        resolve_checkpoint(model_settings(path=str(tmp_path / "nowhere")))
    with pytest.raises(UserError, match="evalkit run"):
        resolve_checkpoint(model_settings(path=str(tmp_path / "x.gguf")))
    with pytest.raises(UserError, match="not a whole checkpoint"):
        resolve_checkpoint(model_settings(source={"hf": "a/b", "file": "x.gguf"}))
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"no \*\.safetensors"):
        resolve_checkpoint(model_settings(path=str(checkpoint)))
    (checkpoint / "config.json").unlink()
    with pytest.raises(UserError, match=r"no config\.json"):
        resolve_checkpoint(model_settings(path=str(checkpoint)))


def test_a_part_is_missing(checkpoint: Path) -> None:
    index = checkpoint / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model.safetensors", "b": "model-00002.safetensors"}}))
    with pytest.raises(UserError, match=r"incomplete: 1 files like model-00002\.safetensors"):
        resolve_checkpoint(model_settings(path=str(checkpoint)))
    (checkpoint / "model-00002.safetensors").write_bytes(b"more")
    assert resolve_checkpoint(model_settings(path=str(checkpoint))).weights_bytes == len(b"weightsmore")
    index.write_text("[1]")
    with pytest.raises(UserError, match="not an index"):
        resolve_checkpoint(model_settings(path=str(checkpoint)))


def test_offline_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError) as refused:
        resolve_checkpoint(model_settings(source={"hf": "nobody/nothing", "file": None}))
    assert "nobody/nothing" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_geometry(checkpoint: Path) -> None:
    assert geometry_of(read_config(checkpoint)) == Geometry(2, 2, 16, 2048)
    assert geometry_of({"num_hidden_layers": 2}) is None
    assert geometry_of({"num_hidden_layers": "2; DROP", "hidden_size": -1, "num_attention_heads": 0}) is None
    full = {"num_hidden_layers": 3, "num_attention_heads": 4, "head_dim": 5, "max_position_embeddings": 6}
    assert geometry_of(full) == Geometry(3, 4, 5, 6)


def test_the_chat_template(checkpoint: Path) -> None:
    assert chat_template(checkpoint) == "{{ messages }}"
    named = [{"name": "tools", "template": "b"}, {"name": "default", "template": "a"}]
    (checkpoint / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert chat_template(checkpoint) == "a"
    (checkpoint / "chat_template.jinja").write_text("its own file")
    assert chat_template(checkpoint) == "its own file"


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN'])
def test_a_damaged_config(checkpoint: Path, content: bytes) -> None:
    (checkpoint / "config.json").write_bytes(content)
    with pytest.raises(UserError):
        read_config(checkpoint)
