"""sha256 of weight files, computed once per file and remembered in the cache."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from pathlib import Path

from evalkit.errors import UserError
from evalkit.paths import cache_dir

_CHUNK = 1 << 22
_BIG = 1 << 30  # from here on hashing takes long enough to say what is going on


def sha256_of(path: Path) -> str:
    """The file's sha256 (hex), from memory if the file did not change since it was computed.

    A 15 GB file takes about 20 s, so the result is kept in the cache, keyed by path, size and
    modification time; inode and change time are compared too, because a file copied over the old
    one can carry its modification time.
    """
    path = path.resolve()
    before = _identity(path)
    known = _remembered(path, before)
    if known is not None:
        return known
    digest = hash_file(path)
    if _identity(path) != before:
        raise UserError(f"{path} changed while it was read: wait until it is complete, then start again.")
    remember(path, digest)
    return digest


def hash_file(path: Path) -> str:
    """The file's sha256 (hex), computed, with a progress line on stderr for a big one."""
    size = path.stat().st_size
    live = size >= _BIG and sys.stderr.isatty()
    if size >= _BIG and not live:
        sys.stderr.write(f"Computing the sha256 of {path.name} ({size / 1e9:.1f} GB)\n")
    hasher = hashlib.sha256()
    done = 0
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            hasher.update(chunk)
            done += len(chunk)
            if live and (done // _CHUNK) % 64 == 0:
                sys.stderr.write(f"\rComputing the sha256 of {path.name}: {done / size:4.0%}")
    if live:
        sys.stderr.write("\r\033[K")
    return hasher.hexdigest()


def remember(path: Path, digest: str) -> None:
    """Keep the sha256 of the file as it is now."""
    path = path.resolve()
    record = {"path": str(path), **_identity(path), "sha256": digest}
    target = _record_file(path)
    # A read-only cache costs time at the next start and nothing else.
    with contextlib.suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(record), encoding="utf-8")
        part.replace(target)


def _remembered(path: Path, identity: dict[str, int]) -> str | None:
    try:
        record = json.loads(_record_file(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or record.get("path") != str(path):
        return None
    if any(record.get(key) != value for key, value in identity.items()):
        return None
    digest = record.get("sha256")
    return digest if isinstance(digest, str) and len(digest) == 64 else None


def _identity(path: Path) -> dict[str, int]:
    stat = path.stat()
    return {
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "ctime_ns": stat.st_ctime_ns,
        "inode": stat.st_ino,
    }


def _record_file(path: Path) -> Path:
    return cache_dir() / "sha256" / (hashlib.sha256(str(path).encode()).hexdigest()[:32] + ".json")
