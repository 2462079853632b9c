"""Whether two GGUF files tokenize alike."""

from __future__ import annotations

import hashlib

from evalkit.gguf.header import ArrayInfo, GGUFHeader

_PREFIX = "tokenizer.ggml."
_CHUNK = 1 << 20


def tokenizer_sha256(header: GGUFHeader) -> str | None:
    """A hash of all of `tokenizer.ggml.`: vocabulary, merges, special tokens. None if there is none.

    Files of one model that differ here do not see the same prompt, whatever their weights.
    """
    entries = sorted((key, value) for key, value in header.metadata.items() if key.startswith(_PREFIX))
    if not entries:
        return None
    digest = hashlib.sha256()
    with header.path.open("rb") as file:
        for key, value in entries:
            digest.update(f"{key}\0".encode())
            if not isinstance(value, ArrayInfo):
                digest.update(repr(value).encode())
                continue
            file.seek(value.offset)
            left = value.bytes
            while left and (chunk := file.read(min(left, _CHUNK))):
                digest.update(chunk)
                left -= len(chunk)
    return digest.hexdigest()
