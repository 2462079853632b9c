"""inspect_ai logs, ``.eval`` (a zip file with one JSON member per sample and epoch) and ``.json``.

github.com/UKGovernmentBEIS/inspect_ai, src/inspect_ai/log/_log.py and log/_recorders/eval.py; read with logs
of 0.3.285, whose .eval members are Zstandard-compressed (earlier ones Deflate). A sample: ``{"id": ...,
"epoch": 1, "metadata": {...}, "output": {"choices": [{"message": {"content": "..."}, "stop_reason":
"stop"}]}, "error": null, ...}``.

Python's zipfile reads Zstandard (method 93) only from 3.14 on, so those members are decompressed by pyarrow,
which comes with `datasets`. Sizes that an archive states are not believed: what comes out is counted.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.benchmarks.sources import Record, describe
from evalkit.importers import LeftOut, Output, Settings, is_count, item_id, item_turn
from evalkit.schema import UserError

MAX_JSON_BYTES = 256 * 2**20  # read at once
# Opening ones. In memory an empty list is 20 times its three bytes; real logs have one in 30 bytes or fewer.
MAX_BRACKETS = 2**23

# inspect_ai's StopReason in the words of the OpenAI protocol; `unknown` says nothing.
_FINISH_REASONS = {
    "stop": "stop",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}


def outputs(path: Path, settings: Settings) -> Iterator[Output | LeftOut]:
    """The outputs of one log, an epoch of a sample as its next sample here.

    The id is the sample's, the turn ``metadata.turn`` where it is a whole number, unless the settings name
    other fields. Samples that ended in an error are left out.

    Raises:
        UserError: not such a log, or one larger than a log can be.
    """
    for record in _samples(path):
        problem = _problem(record)
        yield LeftOut(problem) if problem else _output(record, settings)


def _samples(path: Path) -> Iterator[Record]:
    try:
        with path.open("rb") as stream:
            zipped = stream.read(2) == b"PK"
        yield from _zipped(path) if zipped else _plain(path)
    except OSError as error:
        raise UserError(f"{path}: cannot read it: {error.strerror or error}") from error


def _zipped(path: Path) -> Iterator[Record]:
    def is_sample(name: str) -> bool:
        return name.startswith("samples/") and name.endswith(".json")

    for number, (name, content) in enumerate(members(path, is_sample), 1):
        where = f"{path}: member {shown(name)}"
        yield _record(where, number, _parse(where, content))


def _plain(path: Path) -> Iterator[Record]:
    with path.open("rb") as stream:
        content = stream.read(MAX_JSON_BYTES + 1)
    if len(content) > MAX_JSON_BYTES:
        raise UserError(
            f"{path}: larger than {MAX_JSON_BYTES >> 20} MiB; make it an .eval log first: "
            "inspect log convert --to eval --output-dir DIR"
        )
    log = _parse(str(path), content)
    samples = log.get("samples") if isinstance(log, dict) else None
    if not isinstance(samples, list):
        raise UserError(
            f"{path}: field samples: expected a list, got {describe(samples)}; is this an Inspect log?"
        )
    for number, sample in enumerate(samples, 1):
        yield _record(str(path), number, sample)


def _parse(where: str, content: bytes) -> Any:  # noqa: ANN401 - JSON is of any type
    if content.count(b"[") + content.count(b"{") > MAX_BRACKETS:
        raise UserError(
            f"{where}: more than {MAX_BRACKETS:,} lists and objects; no log of outputs is like that"
        )
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not JSON ({shown(str(error))}); is the log complete?") from error


def _record(where: str, number: int, sample: object) -> Record:
    if not isinstance(sample, dict):
        raise UserError(f"{where}: sample {number}: expected an object, got {describe(sample)}")
    return Record(where, "sample", number, sample)


def _problem(record: Record) -> str | None:
    """Why a sample has no output, or None."""
    if record.data.get("error") is not None:
        return "ended in an error"
    output = record.get("output")
    if not isinstance(output, Mapping):
        raise record.error("output", "an object")
    if output.get("error") is not None:
        return "refused by the provider"
    return None if output.get("choices") else "without a completion"


def _output(record: Record, settings: Settings) -> Output:
    choices = record.get("output.choices")
    if not isinstance(choices, list) or not isinstance(choices[0], Mapping):
        raise record.error("output.choices", "a list of objects")
    message, stop = choices[0].get("message"), choices[0].get("stop_reason")
    epoch = record.data.get("epoch", 1)
    if not is_count(epoch) or epoch == 0:
        raise record.error("epoch", "a whole number from 1")
    return Output(
        record.where,
        item_id(record, settings.id or "id"),
        item_turn(record, settings.turn, ("metadata.turn",)),
        epoch - 1,
        _text(record, message.get("content") if isinstance(message, Mapping) else None),
        _FINISH_REASONS.get(stop) if isinstance(stop, str) else None,
    )


def _text(record: Record, content: object) -> str:
    """A message's content, a text or a list of parts, with reasoning as a model would write it."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise _bad_content(record, content)
    reasoning, text = [], []
    for part in content:
        if not isinstance(part, Mapping):
            raise _bad_content(record, part)
        if part.get("type") == "reasoning":
            # What a provider hid is a blob for it alone; its summary is what there is to read.
            thought = part.get("summary") or "" if part.get("redacted") else part.get("reasoning")
            reasoning.append(f"<think>{_part(record, thought)}</think>\n")
        elif part.get("type") == "text":
            text.append(_part(record, part.get("text")))
    return "".join(reasoning) + "".join(text)


def _part(record: Record, value: object) -> str:
    if not isinstance(value, str):
        raise _bad_content(record, value)
    return value


def _bad_content(record: Record, value: object) -> UserError:
    return UserError(
        f"{record.where}: field output.choices[0].message.content: expected a text or a list of parts, "
        f"got {describe(value)}"
    )


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
