"""A file from a web server: an interrupted download goes on where it stopped.

What has arrived stays beside the target as `NAME.part`, and `NAME.part.json` says of which file it is a part
(RFC 9110, 13.1.5 and 14): the server's validator (a strong ETag, else Last-Modified) goes into `If-Range`, so
that a server whose file has changed sends all of it. Where a server has no ranges or no validator, the
download starts at the beginning. Whether what came together is the file, its hash decides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import requests

from evalkit.files import write_atomically

_TIMEOUT = 60.0  # seconds without a byte
HEADERS = {"Accept-Encoding": "identity"}  # the length the server states is then the file's
_CHUNK = 1 << 16  # bytes; what of one has arrived is lost with it
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Origin:
    """Of which version of a file there is a part: what `If-Range` is given, and its size in bytes."""

    validator: str
    size: int


def size_of_part(part: Path) -> int:
    """How many bytes of a download are there that can be gone on with."""
    try:
        return part.stat().st_size if _origin(part) else 0
    except OSError:
        return 0


def download(url: str, part: Path) -> int:
    """Fetch `url` into `part`, from where an earlier attempt stopped.

    Returns:
        How many bytes of it were there before.

    Raises:
        requests.RequestException: it cannot be had, or breaks off; what has arrived stays.
        OSError: it cannot be written.
    """
    origin = _origin(part)
    there = size_of_part(part)
    if origin is not None and there == origin.size:
        return there
    reply = _get(url, origin, there)
    if origin is not None and _goes_on(reply, there, origin.size):
        _write(reply, part, "ab", origin.size)
        return there
    if reply.status_code in (206, 416):  # not the part that was asked for
        reply.close()
        reply = _get(url, None, 0)
    reply.raise_for_status()
    discard_part(part)
    size = _size(reply.headers)
    if reply.status_code == 200 and size is not None and (validator := _validator(reply.headers)):
        write_atomically(_note(part), json.dumps(asdict(_Origin(validator, size))))
    _write(reply, part, "wb", size)
    return 0


def discard_part(part: Path) -> None:
    """Remove what has arrived: it is no part of the file that is wanted."""
    _note(part).unlink(missing_ok=True)
    part.unlink(missing_ok=True)


def complete_part(part: Path) -> None:
    """It is all there, and no part any more."""
    _note(part).unlink(missing_ok=True)


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _origin(part: Path) -> _Origin | None:
    try:
        noted = json.loads(_note(part).read_text(encoding="utf-8"))
        validator, size = noted["validator"], noted["size"]
        there = part.stat().st_size
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    known = isinstance(validator, str) and isinstance(size, int)
    return _Origin(validator, size) if known and 0 < there <= size else None


def _get(url: str, origin: _Origin | None, there: int) -> requests.Response:
    headers = dict(HEADERS)
    if origin is not None:
        headers |= {"Range": f"bytes={there}-", "If-Range": origin.validator}
    return requests.get(url, stream=True, timeout=_TIMEOUT, headers=headers)


def _goes_on(reply: requests.Response, there: int, size: int) -> bool:
    """Whether it is the rest of a file of `size` bytes from byte `there` on."""
    found = _CONTENT_RANGE.fullmatch(reply.headers.get("Content-Range", ""))
    wanted = (there, size - 1, size)
    return reply.status_code == 206 and found is not None and tuple(map(int, found.groups())) == wanted


def _write(reply: requests.Response, part: Path, mode: str, size: int | None) -> None:
    with reply, part.open(mode) as file:
        for chunk in reply.iter_content(_CHUNK):
            file.write(chunk)
        there = file.tell()
    if size is not None and there != size:
        raise requests.ConnectionError(f"{there} of {size} bytes arrived")


def _size(headers: Mapping[str, str]) -> int | None:
    length = headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 19 else None


def _validator(headers: Mapping[str, str]) -> str | None:
    """What tells this version of the file from others: a weak ETag does not."""
    etag = headers.get("ETag", "")
    if etag.startswith('"'):
        return etag
    return headers.get("Last-Modified") or None
