"""Two files tokenize alike if and only if their hashes agree."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from evalkit.weights.gguf import read_header, tokenizer_sha256


def file_hash(path: Path, tokens: list[str] | None, bos: int = 0, weight: float = 0.0) -> str | None:
    writer = gguf.GGUFWriter(path, "llama")
    if tokens is not None:
        writer.add_token_list(tokens)
        writer.add_bos_token_id(bos)
    writer.add_tensor("x", np.full((1, 32), weight, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tokenizer_sha256(read_header(path))


def test_the_hash_is_of_the_tokenizer_and_nothing_else(tmp_path: Path) -> None:
    base = file_hash(tmp_path / "a.gguf", ["a", "b"])
    assert base == file_hash(tmp_path / "b.gguf", ["a", "b"], weight=1.0)
    assert base != file_hash(tmp_path / "c.gguf", ["a", "c"])
    assert base != file_hash(tmp_path / "d.gguf", ["a", "b"], bos=1)
    assert base != file_hash(tmp_path / "e.gguf", ["ab", ""])
    assert file_hash(tmp_path / "f.gguf", None) is None
