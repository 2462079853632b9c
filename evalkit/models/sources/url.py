"""`{url: "https://..."}`: a file from any web server."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from evalkit.errors import UserError
from evalkit.models.cache import human, install, require_space
from evalkit.models.digest import hash_file, remember
from evalkit.models.fetched import Fetched, check_sha256
from evalkit.paths import cache_dir

_TIMEOUT = 60.0  # seconds without a byte
_HEADERS = {"Accept-Encoding": "identity"}  # the length the server states is then the file's


def fetch(model: Mapping[str, Any]) -> Fetched:
    """Return the file from the cache or download it. Reads `source.url`, `sha256`, `size_bytes`.

    Raises:
        UserError: not http(s), unreachable, 404 and the like, no room, wrong hash.
    """
    url = str(model["source"]["url"])
    place = _parse(url)
    name = PurePosixPath(unquote(place.path)).name
    key = hashlib.sha256(url.encode()).hexdigest()[:16]
    target = cache_dir() / "url" / key / (name if name.strip(".") else "file")
    digest = ""

    def write(part: Path) -> None:
        nonlocal digest
        size = _content_length(url) or model.get("size_bytes")
        require_space(size, target.parent, _public(place), "EVALKIT_CACHE")
        sys.stderr.write(f"Downloading {_public(place)}{f' ({human(size)})' if size else ''} to {target}\n")
        _download(url, part)
        digest = hash_file(part)
        check_sha256(digest, model, "sha256", _public(place))

    install(target, write)
    if digest:
        remember(target, digest)
    return Fetched(target, f"url:{_public(place)}")


def _parse(url: str) -> SplitResult:
    try:
        place = urlsplit(url)
        host = place.hostname
    except ValueError:
        place, host = urlsplit(""), None
    if place.scheme not in ("http", "https") or not host:
        raise UserError(
            f"model.source.url={url} is not an http(s) address; for a local file give model.path=FILE."
        )
    return place


def _public(place: SplitResult) -> str:
    # User names, passwords and signed queries must not reach messages and run records.
    return f"{place.scheme}://{place.netloc.rpartition('@')[2]}{place.path}"


def _content_length(url: str) -> int | None:
    import requests

    try:
        reply = requests.head(url, timeout=_TIMEOUT, allow_redirects=True, headers=_HEADERS)
    except requests.RequestException as error:
        raise _unreachable(url, error) from error
    if reply.status_code in (401, 403, 404, 410):
        raise UserError(
            f"{_public(_parse(url))} answers {reply.status_code} {reply.reason}: check the address."
        )
    length = reply.headers.get("Content-Length", "")
    return int(length) if reply.ok and length.isascii() and length.isdigit() else None


def _download(url: str, part: Path) -> None:
    import pooch
    import requests

    downloader = pooch.HTTPDownloader(chunk_size=1 << 20, timeout=_TIMEOUT, headers=_HEADERS)
    try:
        downloader(url, str(part), None)
    except requests.RequestException as error:
        raise _unreachable(url, error) from error


def _unreachable(url: str, error: Exception) -> UserError:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        reason = f"{error.response.status_code} {error.response.reason}"
    else:
        reason = type(error).__name__  # its text would repeat the address with its secrets
    return UserError(
        f"Cannot download {_public(_parse(url))} ({reason}): check the address and the network, "
        "or give model.path=FILE."
    )
