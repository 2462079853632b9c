"""Pinned raw files: downloaded once into evalkit's cache, checked against their hashes on every use."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from evalkit.errors import UserError
from evalkit.paths import cache_dir


@dataclass(frozen=True, slots=True)
class Pin:
    """A file of a repository at a commit. A git blob id is the sha1 of ``blob <size>\\0`` and the content."""

    path: str
    git_blob: str
    sha256: str | None = None


def fetch(pin: Pin, *, base_url: str, repo: str, revision: str) -> Path:
    """The file's path in the cache; downloaded from `<base_url>/<repo>/<revision>/<path>` if not there yet.

    Raises UserError where it cannot be had, and where its content is not the recorded one (it is then
    removed).
    """
    url = f"{base_url.rstrip('/')}/{repo}/{revision}/{quote(pin.path)}"
    path = cache_dir() / repo / revision / pin.path
    if not path.is_file():
        _download(url, path)
    if git_blob(path) != pin.git_blob or (pin.sha256 and sha256(path) != pin.sha256):
        path.unlink()
        raise UserError(
            f"{url}: the content is not the recorded one (git blob {pin.git_blob}); the file was removed, "
            "run again, or use data=local data.dir=PATH"
        )
    return path


def _download(url: str, path: Path) -> None:
    import pooch

    pooch.get_logger().setLevel("WARNING")
    folder: Any = pooch.create(
        path.parent, base_url="", registry={path.name: None}, urls={path.name: url}, retry_if_failed=1
    )
    try:
        folder.fetch(path.name)
    except (OSError, ValueError) as error:  # requests' errors are OSErrors
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
        raise UserError(
            f"{url}: cannot download ({reason}); check the network, or use data=local data.dir=PATH"
        ) from error


def git_blob(path: Path) -> str:
    """The git blob id of a file's content."""
    return _digest(path, hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False))


def sha256(path: Path) -> str:
    return _digest(path, hashlib.sha256())


def _digest(path: Path, digest: hashlib._Hash) -> str:
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
