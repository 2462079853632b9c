"""Messages of a JSON line and arrays, for pipes between us and a child and for append-only files.

A message is one line of JSON, `{"head": ..., "arrays": [[name, dtype, shape], ...], "crc": ...}`, and then
the arrays' bytes one after the other, in C order. What is read is checked against the line and bounded, so
that a file that was cut off, or a child gone mad, ends in `Broken` and not in a wrong number.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_LINE = 16 << 20  # bytes
MAX_BYTES = 2 << 30  # of one message's arrays
_TYPES = {"<i4": 4, "<f4": 4, "<f8": 8}


class Broken(Exception):
    """What was read is no whole message."""


@dataclass(frozen=True, slots=True)
class Content:
    """A message: plain facts, and arrays of 32-bit whole numbers or of floats by name."""

    head: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def write(stream: IO[bytes], content: Content) -> None:
    """Append one message and flush."""
    import numpy as np

    packed = {name: np.ascontiguousarray(array) for name, array in content.arrays.items()}
    table = [[name, array.dtype.str, list(array.shape)] for name, array in packed.items()]
    parts = [array.tobytes() for array in packed.values()]
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    line = json.dumps({"head": content.head, "arrays": table, "crc": crc}, ensure_ascii=False)
    stream.write(line.encode() + b"\n")
    for part in parts:
        stream.write(part)
    stream.flush()


def read(stream: IO[bytes]) -> Content | None:
    """The next message; None at the end of the stream.

    Raises:
        Broken: the stream ends within a message, or it is none.
    """
    import numpy as np

    line = stream.readline(MAX_LINE)
    if not line:
        return None
    head, table, crc = _parsed(line)
    arrays: dict[str, NDArray[Any]] = {}
    found = 0
    for name, kind, shape in table:
        raw = _exactly(stream, math.prod(shape) * _TYPES[kind])
        found = zlib.crc32(raw, found)
        arrays[name] = np.frombuffer(raw, dtype=kind).reshape(shape)
    if found != crc:
        raise Broken("its checksum is another")
    return Content(head, arrays)


def _parsed(line: bytes) -> tuple[dict[str, Any], list[tuple[str, str, list[int]]], int]:
    try:
        fields = json.loads(line)
        head, crc = fields["head"], fields["crc"]
        table = [(str(name), str(kind), [int(n) for n in shape]) for name, kind, shape in fields["arrays"]]
        sizes = [math.prod(shape) * _TYPES[kind] for _, kind, shape in table]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Broken("it has no line of JSON where a message begins") from error
    if not line.endswith(b"\n") or not isinstance(head, dict) or not isinstance(crc, int):
        raise Broken("it has no line of JSON where a message begins")
    if any(n < 0 for _, _, shape in table for n in shape) or sum(sizes) > MAX_BYTES:
        raise Broken("it claims an absurd size")
    return head, table, crc


def _exactly(stream: IO[bytes], count: int) -> bytes:
    parts, left = [], count
    while left:
        part = stream.read(left)
        if not part:
            raise Broken("it ends within a message")
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
