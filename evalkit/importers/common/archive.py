"""Members of a zip file in bounded memory, Zstandard (method 93) included.

Python's zipfile reads Zstandard only from 3.14 on, so those members are decompressed by pyarrow, which comes
with `datasets`. Sizes that an archive states are not believed: what comes out is counted.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from evalkit.errors import UserError

MAX_MEMBER_BYTES = 64 * 2**20
MAX_DIRECTORY_BYTES = 16 * 2**20
# Over a whole archive: real logs shrink 20 to 50 times, overlapping members can state millions.
MAX_TOTAL_BYTES = 2**30
MAX_TOTAL_RATIO = 200

_ZSTANDARD = 93
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, length of the name, length of the extra field


def members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Name and content of each wanted member, in the archive's order.

    Raises:
        UserError: not a zip file, a damaged or encrypted member, or more data than a log can hold.
    """
    left = MAX_TOTAL_BYTES + MAX_TOTAL_RATIO * path.stat().st_size
    try:
        with _DirectoryBounded(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
            file.limit = None
            # A name that occurs again replaces what went before, as when an archive is unpacked.
            infos = {info.filename: info for info in archive.infolist() if wanted(info.filename)}
            for info in infos.values():
                content = _content(path, file, archive, info)
                left -= len(content)
                if left < 0:
                    raise UserError(f"{path}: its members hold too much data for a log; is it a zip bomb?")
                yield info.filename, content
    except zipfile.BadZipFile as error:
        raise UserError(f"{path}: not a complete zip file ({error}); is the log damaged?") from error


class _DirectoryBounded(io.BufferedReader):
    """A file that refuses to give zipfile, which reads it at once, a directory of any stated size."""

    limit: int | None = MAX_DIRECTORY_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        if self.limit is not None and size is not None and size > self.limit:
            raise zipfile.BadZipFile(f"a directory of more than {MAX_DIRECTORY_BYTES >> 20} MiB")
        return super().read(size)


def _content(path: Path, file: io.BufferedReader, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    where = f"{path}: member {shown(info.filename)}"
    try:
        if info.compress_type == _ZSTANDARD:
            content = _zstandard(file, info)
        elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise zipfile.BadZipFile(f"compression method {info.compress_type}, which no log uses")
        else:
            with archive.open(info) as stream:
                content = stream.read(MAX_MEMBER_BYTES + 1)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, zlib.error) as error:
        raise UserError(f"{where}: cannot read it ({shown(str(error))}); is the log damaged?") from error
    if len(content) > MAX_MEMBER_BYTES:
        raise UserError(f"{where}: larger than {MAX_MEMBER_BYTES >> 20} MiB; no sample of a log is")
    return content


def _zstandard(file: io.BufferedReader, info: zipfile.ZipInfo) -> bytes:
    """A member's content, at most MAX_MEMBER_BYTES + 1 of it; its CRC is checked if that is all."""
    import pyarrow  # type: ignore[import-untyped]

    if info.flag_bits & 1:
        raise zipfile.BadZipFile("encrypted")
    file.seek(info.header_offset)
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\3\4"):
        raise zipfile.BadZipFile("no local header")
    _, name, extra = _LOCAL_HEADER.unpack(header)
    file.seek(name + extra, io.SEEK_CUR)
    compressed = file.read(min(info.compress_size, MAX_MEMBER_BYTES))
    with pyarrow.CompressedInputStream(pyarrow.BufferReader(compressed), "zstd") as stream:
        content = bytes(stream.read(min(info.file_size, MAX_MEMBER_BYTES) + 1))
    if len(content) <= MAX_MEMBER_BYTES and zlib.crc32(content) != info.CRC:
        raise zipfile.BadZipFile("wrong checksum")
    return content


def shown(text: str) -> str:
    """A text from a hostile file on one short line without control characters."""
    line = text.encode("unicode_escape").decode() if not text.isprintable() else text
    return line if len(line) <= 120 else line[:117] + "..."
