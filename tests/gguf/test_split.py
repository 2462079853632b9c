"""Models in several GGUF files: all parts are the model, by one hash and one size."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter

from evalkit.files import sha256_of
from evalkit.schema import UserError
from evalkit.weights.fetch import Weights, resolve_weights
from evalkit.weights.gguf import part_names, read_header, read_model, summary
from tests.settings import model_settings

ROWS = {"token_embd.weight": 10, "blk.0.attn_norm.weight": 20, "output.weight": 30}


def write(folder: Path, rows: Mapping[str, int] = ROWS, value: float = 1.0, per_part: int = 1) -> Path:
    """A model of F32 tensors with rows of 32, `per_part` in each file (0: all in one); the first file."""
    folder.mkdir(exist_ok=True)
    writer = GGUFWriter(folder / "tiny.gguf", "qwen2", split_max_tensors=per_part)
    writer.add_token_list(["a", "b"])
    for name, count in rows.items():
        writer.add_tensor(name, np.full((count, 32), value, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return min(folder.iterdir())


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return write(tmp_path / "split")


def resolved(path: Path) -> Weights:
    return resolve_weights(model_settings(path=str(path)))


def refused(path: Path) -> str:
    with pytest.raises(UserError) as error:
        read_model(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_all_parts_are_the_model(first: Path, tmp_path: Path) -> None:
    whole = write(tmp_path / "whole", per_part=0)
    split, single = read_model(first), read_model(whole)
    assert [part.name for part in split.parts] == sorted(part.name for part in first.parent.iterdir())
    assert len(split.parts) == 3
    assert {(t.name, t.shape, t.bytes) for t in split.tensors} == {
        (t.name, t.shape, t.bytes) for t in single.tensors
    }
    assert summary(split)["n_params"] == summary(single)["n_params"] == 60 * 32
    size = sum(part.stat().st_size for part in first.parent.iterdir())
    assert split.file_size == resolved(first).size_bytes == size


def test_every_part_counts_in_the_hash(first: Path) -> None:
    before = resolved(first).sha256
    for part in sorted(first.parent.iterdir()):
        content = part.read_bytes()
        part.write_bytes(content[:-1] + b"\x7f")
        assert resolved(first).sha256 != before
        part.write_bytes(content)
    assert resolved(first).sha256 == before


def test_the_hash_is_the_same_under_other_names_and_that_of_one_file_its_own(
    first: Path, tmp_path: Path
) -> None:
    for part in first.parent.iterdir():
        shutil.copy(part, tmp_path / part.name.replace("tiny", "other"))
    assert resolved(tmp_path / first.name.replace("tiny", "other")).sha256 == resolved(first).sha256
    whole = write(tmp_path / "whole", per_part=0)
    assert resolved(whole).sha256 == sha256_of(whole)


def test_a_missing_part_is_named(first: Path) -> None:
    second, third = sorted(first.parent.iterdir())[1:]
    third.unlink()
    assert f"{third.name} is not beside it" in refused(first)
    with pytest.raises(UserError, match="is not beside it"):
        resolved(first)
    assert "give the first" in refused(second)


def test_a_part_under_a_name_of_its_own_is_refused(first: Path) -> None:
    assert "NAME-00001-of-0000N.gguf" in refused(first.rename(first.with_name("model.gguf")))


def test_parts_of_another_model_are_refused(first: Path, tmp_path: Path) -> None:
    names = sorted(part.name for part in first.parent.iterdir())
    shutil.copy(first.with_name(names[1]), first.with_name(names[2]))
    assert f"{names[2]} is not part 3 of 3" in refused(first)
    other = write(tmp_path / "other", {"a.weight": 1, "token_embd.weight": 2, "b.weight": 3})
    shutil.copy(other.with_name(names[1]), first.with_name(names[2]))
    shutil.copy(other.with_name(names[2]), first.with_name(names[1]))
    assert "is not part 2 of 3" in refused(first)
    shutil.copy(other.with_name(names[1]), first.with_name(names[1]))
    shutil.copy(other.with_name(names[2]), first.with_name(names[2]))
    assert "do not belong together" in refused(first)


def test_one_part_is_read_alone_where_that_is_asked_for(first: Path) -> None:
    assert len(read_header(first).tensors) < len(ROWS)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("a.gguf", ["a.gguf"]),
        ("a-00001-of-00001.gguf", ["a-00001-of-00001.gguf"]),
        ("a-00003-of-00002.gguf", ["a-00003-of-00002.gguf"]),
        ("a-00000-of-00002.gguf", ["a-00000-of-00002.gguf"]),
        ("a-00001-of-99999.gguf", ["a-00001-of-99999.gguf"]),
        ("a-1-of-2.gguf", ["a-1-of-2.gguf"]),
        ("a-00002-of-00002.gguf", ["a-00001-of-00002.gguf", "a-00002-of-00002.gguf"]),
    ],
)
def test_names_of_parts(name: str, names: list[str]) -> None:
    assert part_names(name) == names
