from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from evalkit import files as digest
from evalkit.files import require_space
from evalkit.schema import UserError
from evalkit.weights.fetch import resolve_weights, source_kinds
from tests.settings import model_settings


def refused(**model: object) -> str:
    with pytest.raises(UserError) as error:
        resolve_weights(model_settings(**model))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_path_wins_over_source(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.gguf"
    file.write_bytes(b"GGUF and so on")
    found = resolve_weights(model_settings(path=str(file), source={"url": "http://127.0.0.1:1/never"}))
    assert (found.path, found.size_bytes) == (file, 14)
    assert found.sha256 == hashlib.sha256(b"GGUF and so on").hexdigest()
    assert found.origin == f"path:{file}"


def test_local_refusals(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    assert "does not exist" in refused(path=str(tmp_path / "no.gguf"))
    assert "x.gguf" in refused(path=str(tmp_path))
    assert "model.path=FILE" in refused(path="???")
    wrong = refused(path=str(tmp_path / "x.gguf"), sha256="0" * 64)
    assert hashlib.sha256(b"GGUF").hexdigest() in wrong
    assert "0" * 64 in wrong
    assert "not a sha256" in refused(path=str(tmp_path / "x.gguf"), sha256="abc")


def test_nothing_to_run(cache: Path) -> None:
    sft = refused(name="fin-r1-sft", title="Fin-R1-SFT", published_only=True)
    assert sft == "Fin-R1-SFT's weights were not released; only its published row exists."
    assert "hf or ladder or pypi or url" in refused()
    assert "exactly one" in refused(source={"hf": "a/b", "url": "http://x/y"})
    checkpoint = refused(source={"hf": "a/b", "file": None, "revision": "main"})
    assert "whole checkpoint" in checkpoint
    assert source_kinds() == ["hf", "ladder", "pypi", "url"]


def test_hash_is_remembered_until_the_file_changes(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.gguf"
    file.write_bytes(b"one")
    stat = file.stat()
    first = digest.sha256_of(file)
    hashed: list[Path] = []
    real = digest.hash_file

    def counted(path: Path) -> str:
        hashed.append(path)
        return real(path)

    monkeypatch.setattr(digest, "hash_file", counted)
    assert digest.sha256_of(file) == first
    assert not hashed
    # Same path, size and modification time, other bytes: as `rsync -t` or `cp -p` can leave it.
    file.write_bytes(b"two")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert digest.sha256_of(file) == hashlib.sha256(b"two").hexdigest()
    assert len(hashed) == 1


def test_damaged_memory_is_ignored(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.gguf"
    file.write_bytes(b"one")
    digest.sha256_of(file)
    (record,) = (cache / "sha256").glob("*.json")
    for damage in ('{"sha', "[]", '"x"', "{}"):
        record.write_text(damage)
        assert digest.sha256_of(file) == hashlib.sha256(b"one").hexdigest()


def test_space_is_checked_where_the_folder_will_be(tmp_path: Path) -> None:
    require_space(1, tmp_path / "not" / "there" / "yet", "a file", "EVALKIT_CACHE")
    with pytest.raises(UserError, match=r"needs 1000000000\.00 GB.*free.*EVALKIT_CACHE"):
        require_space(10**18, tmp_path / "not", "a file", "EVALKIT_CACHE")


def test_cache_that_cannot_be_written(tmp_path: Path, web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "file" / "cache"))
    assert "Cannot write" in refused(source={"url": f"{web}/files/a.gguf"})
