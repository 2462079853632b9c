"""Files on this machine: where evalkit's own are, the cache of downloads, hashes, atomic writes.

configs/, benchmarks/ and results/published/ are at the top level of a checkout, or package data of a wheel.
A download or a built file gets to its place whole or not at all, and only where the disk has space for it.
The sha256 of a weight file is computed once and remembered in the cache; pinned raw files are small, and
checked on every use.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from evalkit.schema import UserError
from evalkit.text import file_size, one_line

_PACKAGE = Path(__file__).resolve().parent
_WHEEL_DATA = _PACKAGE / "_data"
ROOT = _WHEEL_DATA if _WHEEL_DATA.is_dir() else _PACKAGE.parent

CONFIGS = ROOT / "configs"
BENCHMARKS = ROOT / "benchmarks"
PUBLISHED = ROOT / "results" / "published"


# `evalkit` on PyPI is somebody else's project: ours is called this there. Command and import are `evalkit`.
DISTRIBUTION = "evalkit-finance"


def install_extra(extra: str) -> str:
    """The command that adds one of our optional parts to this Python: from a checkout, or by its name."""
    place = "." if (ROOT / "pyproject.toml").is_file() else DISTRIBUTION
    return f"pip install {'-e ' if place == '.' else ''}'{place}[{extra}]'"


def cache_dir() -> Path:
    """Where downloads are kept: `$EVALKIT_CACHE`, else the user's cache folder. It need not exist yet."""
    given = os.environ.get("EVALKIT_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("evalkit"))


_RESERVE = 64 << 20  # left free on the disk, so that a download does not fill it to the last byte


def require_space(needed: int | None, folder: Path, what: str, variable: str) -> None:
    """Refuse a download that does not fit, before it starts.

    Args:
        needed: bytes that will be written; None if unknown, then nothing is checked.
        folder: where they will be written; it need not exist yet.
        what: what is downloaded, for the message.
        variable: the environment variable that moves the folder.

    Raises:
        UserError: fewer than `needed` bytes are free there.
    """
    if not needed:
        return
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if free < needed + _RESERVE:
        raise UserError(
            f"Not enough disk for {what}: it needs {file_size(needed)}, {folder} has {file_size(free)} free; "
            f"free some, or set {variable} to a folder on a bigger disk."
        )


def install(target: Path, write: Callable[[Path], None], *, keep_part: bool = False) -> Path:
    """Return `target`, made by `write` if it is not there yet.

    `write` fills a temporary file beside it, which takes its name only when complete. Of several
    processes that want the same file, one writes and the others wait for it.

    Args:
        keep_part: leave that file where `write` fails, which will go on with it.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    if target.is_file():
        return target
    from filelock import FileLock

    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if not target.is_file():
                try:
                    write(part)
                    part.replace(target)
                finally:
                    if not keep_part:
                        part.unlink(missing_ok=True)
    except OSError as error:
        where = f"{target.parent}: {error.strerror or one_line(error)}"
        raise UserError(f"Cannot write to {where}; set EVALKIT_CACHE to a folder with room.") from error
    return target


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


def discard(path: Path) -> int:
    """Remove a cached file; returns the bytes freed, 0 if it is not there.

    The Hugging Face cache links a name to a file elsewhere: both go, or the link would look like a broken
    download.
    """
    try:
        size = path.stat().st_size
    except OSError:
        return 0
    target = path.resolve()
    path.unlink(missing_ok=True)
    target.unlink(missing_ok=True)
    return size


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this machine and, for the run record, where it came from (no secrets in it).

    ``requantized_from``: the tensor type of the already quantized file that it was made from, if it was.
    """

    path: Path
    origin: str
    requantized_from: str | None = None


def check_sha256(found: str, expected: str | None, key: str, what: str) -> None:
    """Compare a hash (hex) with what the setting `key` of a model expects; None accepts any.

    Raises:
        UserError: they differ, or what is expected is not a sha256.
    """
    if expected is None:
        return
    wanted = str(expected).lower()
    if len(wanted) != 64 or not set(wanted) <= set("0123456789abcdef"):
        raise UserError(f"model.{key}={expected} is not a sha256 (64 hex digits); null accepts any file.")
    if found != wanted:
        raise UserError(
            f"{what} has sha256 {found}, expected {wanted}: damaged, or another file. "
            f"Remove it and fetch it again, or accept it with model.{key}={found}"
        )


def git_blob(path: Path) -> str:
    """The git blob id of a file's content."""
    return _digest(path, hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False))


def sha256(path: Path) -> str:
    return _digest(path, hashlib.sha256())


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


def _digest(path: Path, digest: hashlib._Hash) -> str:
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old or the new content and never a part.

    A link stays one: what it points to is written. Of several writers at once the last one's content stays.
    """
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, text: str) -> None:
    """`write_bytes` for a text, in UTF-8."""
    write_bytes(path, text.encode())


_TEMPORARY = re.compile(r"\..+?(?:\.(\d{1,19})\.\d{1,19})?\.tmp", re.DOTALL | re.ASCII)


def is_temporary(name: str) -> bool:
    """Whether a file is one of `write_bytes`, which a kill leaves behind."""
    return _TEMPORARY.fullmatch(name) is not None


def remove_temporaries(folder: Path) -> None:
    """Remove what writers that were killed left behind."""
    import psutil

    for path in folder.glob(".*.tmp"):
        found = _TEMPORARY.fullmatch(path.name)
        if found and not (found[1] and psutil.pid_exists(int(found[1]))):
            with contextlib.suppress(OSError):
                path.unlink()


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from `path`; {} if the file is not there.

    Raises:
        UserError: the file is there and not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {type(error).__name__}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a JSON object")
    return content
