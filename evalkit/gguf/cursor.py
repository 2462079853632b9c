"""A bounded reader over the first part of a file that may hold anything."""

from __future__ import annotations

import struct
from typing import BinaryIO

from evalkit.errors import UserError

MAX_STRING = 16 << 20  # bytes; the longest real ones are chat templates of some 20 kB
MAX_READ = 128 << 20  # bytes of header really read; real headers have at most some 30 MB
_CHUNK = 1 << 20
_U64 = struct.Struct("<Q")


class Cursor:
    """Reads forward in chunks; memory stays at about one chunk, the bytes read at `MAX_READ`.

    Every method raises UserError where the file ends too early or a bound is passed.
    """

    def __init__(self, handle: BinaryIO, size: int, name: str) -> None:
        self._handle = handle
        self._size = size
        self._name = name
        self._chunk = b""
        self._start = 0  # of the chunk in the file
        self._at = 0  # in the chunk; beyond its end after a long skip
        self._read = 0

    @property
    def position(self) -> int:
        """Bytes from the start of the file."""
        return self._start + self._at

    @property
    def remaining(self) -> int:
        """Bytes up to the end of the file."""
        return self._size - self.position

    def fail(self, what: str) -> UserError:
        """The error to raise for this file."""
        return UserError(f"{self._name} is not a usable GGUF file: {what}. Download or build it again.")

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        if count > self.remaining:
            raise self.fail(f"the header is cut off at byte {self._size}")
        if self._at + count > len(self._chunk):
            self._fill(count)
        piece = self._chunk[self._at : self._at + count]
        self._at += count
        return piece

    def skip(self, count: int) -> None:
        """Go forward without reading."""
        if count > self.remaining:
            raise self.fail(f"the header is cut off at byte {self._size}")
        self._at += count

    def unsigned(self, form: struct.Struct = _U64) -> int:
        """The next unsigned number, 64 bits unless told."""
        value: int = form.unpack(self.take(form.size))[0]
        return value

    def text(self, limit: int = MAX_STRING) -> str:
        """The next string: a 64-bit length, then UTF-8; what is not UTF-8 is replaced."""
        length = self.unsigned()
        if length > limit:
            raise self.fail(f"a string of {length} bytes where {limit} is the most")
        return self.take(length).decode("utf-8", errors="replace")

    def skip_texts(self, count: int) -> None:
        """Go past `count` strings: a vocabulary of 150,000 of them takes some 50 ms."""
        unpack = _U64.unpack_from
        while count:
            chunk, at, last = self._chunk, self._at, len(self._chunk) - 8
            while count and at <= last:
                (length,) = unpack(chunk, at)
                if length > MAX_STRING:
                    raise self.fail(f"a string of {length} bytes where {MAX_STRING} is the most")
                at += 8 + length
                count -= 1
            self._at = at
            if self.remaining < 8 * count:
                raise self.fail(f"the header is cut off at byte {self._size}")
            if count:
                self._fill(8)
        self.skip(0)

    def _fill(self, count: int) -> None:
        """Load a chunk that begins here and holds `count` bytes; the caller knows that the file has them."""
        self._start, self._at = self.position, 0
        want = max(count, _CHUNK)
        self._read += want
        if self._read > MAX_READ:
            raise self.fail(f"its header has more than {MAX_READ >> 20} MiB")
        self._handle.seek(self._start)
        self._chunk = self._handle.read(want)
        if len(self._chunk) < count:
            raise self.fail("it became shorter while it was read")
