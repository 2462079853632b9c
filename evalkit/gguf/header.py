"""The header of a GGUF file: metadata and tensor table, never the weights.

Own reader, because the file may come from anywhere: whatever its bytes say, reading takes bounded
time and memory and ends in a header or in a UserError. Arrays (vocabularies, merges) are stepped over.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from pathlib import Path

from evalkit.errors import UserError
from evalkit.gguf.cursor import Cursor

MAX_TENSORS = 100_000  # the largest models have some 2,000
MAX_KEYS = 100_000  # a file has some 40
MAX_ARRAY_STRINGS = 4_000_000  # in all arrays together; the largest vocabularies with merges have 800,000
_MAX_DIMENSIONS = 4
_MAX_NAME = 65_535  # bytes, from the format's description
_MAX_ELEMENTS = 2**63 - 1
_STRING, _ARRAY, _BOOL = 8, 9, 7
_U32 = struct.Struct("<I")
_SCALARS = {
    0: ("UINT8", struct.Struct("<B")),
    1: ("INT8", struct.Struct("<b")),
    2: ("UINT16", struct.Struct("<H")),
    3: ("INT16", struct.Struct("<h")),
    4: ("UINT32", _U32),
    5: ("INT32", struct.Struct("<i")),
    6: ("FLOAT32", struct.Struct("<f")),
    _BOOL: ("BOOL", struct.Struct("<?")),
    10: ("UINT64", struct.Struct("<Q")),
    11: ("INT64", struct.Struct("<q")),
    12: ("FLOAT64", struct.Struct("<d")),
}


@dataclass(frozen=True, slots=True)
class ArrayInfo:
    """What is kept of a metadata array: its element type and length, and where its bytes are in the file."""

    type: str
    length: int
    offset: int = field(default=0, compare=False)
    bytes: int = field(default=0, compare=False)


Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One row of the tensor table.

    `shape` is in ggml's order (the row length first), `offset` counts from `GGUFHeader.data_offset`.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    bytes: int

    @property
    def elements(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class GGUFHeader:
    """A GGUF file without its vocabulary and weights. `file_size` and `data_offset` are in bytes."""

    path: Path
    file_size: int
    version: int
    alignment: int
    data_offset: int
    metadata: dict[str, Scalar | ArrayInfo]
    tensors: tuple[TensorInfo, ...]

    @property
    def architecture(self) -> str:
        """As llama.cpp names it, e.g. `qwen2`; '' if the file does not say."""
        return self.text("general.architecture") or ""

    @property
    def name(self) -> str | None:
        """The model's name as the file gives it."""
        return self.text("general.name")

    @property
    def n_ctx_train(self) -> int | None:
        """Tokens of context that the model was trained for."""
        return self.count(f"{self.architecture}.context_length")

    @property
    def chat_template(self) -> str | None:
        """The default chat template (Jinja source: untrusted)."""
        return self.text("tokenizer.chat_template")

    def text(self, key: str) -> str | None:
        """A metadata string, None if there is none of that type."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def count(self, key: str) -> int | None:
        """A positive metadata integer, None if there is none of that type."""
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def read_header(path: Path) -> GGUFHeader:
    """Read and check a GGUF header.

    Raises:
        UserError: not a readable file, not a GGUF, an unsupported version or byte order, cut off,
            absurd counts, an unknown tensor type, or fewer bytes of data than the tensor table says.
    """
    if not path.is_file():  # opening a pipe would wait for ever
        raise UserError(f"{path} is not a file.")
    try:
        with path.open("rb") as handle:
            size = path.stat().st_size
            return _parse(Cursor(handle, size, path.name), path, size)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error


def _parse(cursor: Cursor, path: Path, size: int) -> GGUFHeader:
    version = _version(cursor)
    n_tensors, n_keys = cursor.unsigned(), cursor.unsigned()
    if n_tensors > MAX_TENSORS or n_keys > MAX_KEYS:
        raise cursor.fail(f"it claims {n_tensors} tensors and {n_keys} metadata keys")
    metadata = _metadata(cursor, n_keys)
    alignment = metadata.get("general.alignment", 32)
    if (
        not isinstance(alignment, int)
        or isinstance(alignment, bool)
        or alignment < 1
        or alignment & (alignment - 1)
    ):
        raise cursor.fail(f"its alignment is {str(alignment)[:40]!r}, not a power of two")
    tensors = _tensors(cursor, n_tensors, alignment)
    data_offset = -(-cursor.position // alignment) * alignment
    end = max((data_offset + tensor.offset + tensor.bytes for tensor in tensors), default=0)
    if end > size:
        raise cursor.fail(f"its tensors need {end} bytes and it has {size}: the download was cut off")
    return GGUFHeader(path, size, version, alignment, data_offset, metadata, tensors)


def _version(cursor: Cursor) -> int:
    if cursor.remaining < 24:
        raise cursor.fail("it is too short")
    magic = cursor.take(4)
    if magic != b"GGUF":
        hint = " (a Git LFS pointer: run `git lfs pull`)" if magic == b"vers" else ""
        raise cursor.fail(f"it does not begin with GGUF{hint}")
    version = cursor.unsigned(_U32)
    if version in (2, 3):
        return version
    if version & 0xFFFF == 0:
        raise cursor.fail(
            "it is big-endian; evalkit reads little-endian files, which all common machines use"
        )
    raise cursor.fail(f"version {version} of the format; evalkit reads 2 and 3")


def _metadata(cursor: Cursor, count: int) -> dict[str, Scalar | ArrayInfo]:
    found: dict[str, Scalar | ArrayInfo] = {}
    strings_left = MAX_ARRAY_STRINGS
    for _ in range(count):
        key = cursor.text(_MAX_NAME)
        if key in found:
            raise cursor.fail(f"metadata key {key[:80]!r} twice")
        kind = cursor.unsigned(_U32)
        value = _array(cursor, strings_left) if kind == _ARRAY else _scalar(cursor, kind)
        if isinstance(value, ArrayInfo) and value.type == "STRING":
            strings_left -= value.length
        found[key] = value
    return found


def _scalar(cursor: Cursor, kind: int) -> Scalar:
    if kind == _STRING:
        return cursor.text()
    if kind not in _SCALARS:
        raise cursor.fail(f"unknown metadata type {kind}")
    form = _SCALARS[kind][1]
    value: Scalar = form.unpack(cursor.take(form.size))[0]
    return value


def _array(cursor: Cursor, strings_left: int) -> ArrayInfo:
    kind, length = cursor.unsigned(_U32), cursor.unsigned()
    start = cursor.position
    if kind == _STRING:
        if length > strings_left:
            raise cursor.fail(f"more than {MAX_ARRAY_STRINGS} strings in metadata arrays")
        cursor.skip_texts(length)
        return ArrayInfo("STRING", length, start, cursor.position - start)
    if kind not in _SCALARS:  # arrays of arrays as well: llama.cpp refuses them too
        raise cursor.fail(f"unknown metadata array type {kind}")
    name, form = _SCALARS[kind]
    cursor.skip(length * form.size)
    return ArrayInfo(name, length, start, length * form.size)


def _tensors(cursor: Cursor, count: int, alignment: int) -> tuple[TensorInfo, ...]:
    from gguf.constants import GGML_QUANT_SIZES

    layouts = {int(kind): (str(kind.name), block, size) for kind, (block, size) in GGML_QUANT_SIZES.items()}
    tensors = [_tensor(cursor, layouts) for _ in range(count)]
    if len({tensor.name for tensor in tensors}) < count:
        raise cursor.fail("two tensors of the same name")
    crooked = next((tensor for tensor in tensors if tensor.offset % alignment), None)
    if crooked is not None:
        raise cursor.fail(f"tensor {crooked.name[:80]!r} is not aligned to {alignment} bytes")
    _require_apart(cursor, tensors)
    return tuple(tensors)


def _require_apart(cursor: Cursor, tensors: list[TensorInfo]) -> None:
    """No byte belongs to two tensors: else a small file could claim any size."""
    end = 0
    for tensor in sorted(tensors, key=lambda t: (t.offset, t.bytes)):
        if tensor.offset < end:
            raise cursor.fail(f"tensor {tensor.name[:80]!r} overlaps another")
        end = tensor.offset + tensor.bytes


def _tensor(cursor: Cursor, layouts: dict[int, tuple[str, int, int]]) -> TensorInfo:
    name = cursor.text(_MAX_NAME)
    dimensions = cursor.unsigned(_U32)
    if dimensions > _MAX_DIMENSIONS:
        raise cursor.fail(f"tensor {name[:80]!r} has {dimensions} dimensions")
    shape = tuple(cursor.unsigned() for _ in range(dimensions))
    kind, offset = cursor.unsigned(_U32), cursor.unsigned()
    if kind not in layouts:
        raise cursor.fail(
            f"tensor {name[:80]!r} has type {kind}, unknown to this version of the gguf package"
        )
    type_name, block, block_bytes = layouts[kind]
    elements = math.prod(shape)
    if elements > _MAX_ELEMENTS or offset > _MAX_ELEMENTS:
        raise cursor.fail(f"tensor {name[:80]!r} has an absurd size")
    if (shape[0] if shape else 1) % block:
        raise cursor.fail(f"tensor {name[:80]!r}: rows of {type_name} must be a multiple of {block} long")
    return TensorInfo(name, shape, type_name, offset, elements // block * block_bytes)
