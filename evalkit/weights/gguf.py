"""What a GGUF file really contains: its header, and the figures of it that decide about deployment.

The reader is evalkit's own, because the file may come from anywhere: whatever its bytes say, reading takes
bounded time and memory and ends in a header or in a UserError. The weights are not read, and arrays
(vocabularies, merges) are stepped over, but for the hash that says whether two files tokenize alike. Format:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from evalkit.files import sha256_of
from evalkit.schema import UserError

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
    """A GGUF file without its vocabulary and weights. `file_size` and `data_offset` are in bytes.

    Of a model in several files (see `read_model`) it is the first one's, with the tensors and bytes of all
    `parts`; a tensor's offset is then one in its own part.
    """

    path: Path
    file_size: int
    version: int
    alignment: int
    data_offset: int
    metadata: dict[str, Scalar | ArrayInfo]
    tensors: tuple[TensorInfo, ...]
    parts: tuple[Path, ...] = ()

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


# As llama.cpp's gguf-split names them, and as it looks for them.
_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf", re.DOTALL | re.ASCII)
_MAX_PARTS = 1_000  # the largest models have some 100


def read_model(path: Path) -> GGUFHeader:
    """Read and check the header of a model in one file or, from the first of its parts, in several.

    Raises:
        UserError: as `read_header`, of any part; a part is missing, is another's, or is not the first.
    """
    first = read_header(path)
    parts = parts_of(first)
    if len(parts) == 1:
        return first
    headers = [first, *map(read_header, parts[1:])]
    for number, header in enumerate(headers):
        if header.count("split.count") != len(parts) or header.metadata.get("split.no") != number:
            raise UserError(f"{header.path.name} is not part {number + 1} of {len(parts)}: fetch it again")
    tensors = tuple(tensor for header in headers for tensor in header.tensors)
    told = first.count("split.tensors.count")
    if told not in (None, len(tensors)) or len({tensor.name for tensor in tensors}) < len(tensors):
        raise UserError(f"the parts of {path.name} do not belong together: fetch all of them again")
    size = sum(header.file_size for header in headers)
    return replace(first, file_size=size, tensors=tensors, parts=parts)


def parts_of(header: GGUFHeader) -> tuple[Path, ...]:
    """All files of a model, in order; of most models the one.

    Raises:
        UserError: `header` is not the first part's, or others are not beside it.
    """
    path, count = header.path, header.count("split.count") or 1
    if count == 1:
        return (path,)
    found = _PART.fullmatch(path.name)
    if count > _MAX_PARTS or found is None or int(found[3]) != count:
        raise UserError(
            f"{path.name} says that it is one of {count} parts: give the first, under its own name, "
            "NAME-00001-of-0000N.gguf"
        )
    parts = tuple(path.with_name(name) for name in part_names(path.name))
    if int(found[2]) != 1:
        raise UserError(f"{path.name} is a part of a model: give the first, {parts[0].name}")
    missing = [part.name for part in parts if not part.is_file()]
    if missing:
        raise UserError(f"{path.name} is one of {count} parts, and {missing[0]} is not beside it: fetch all")
    return parts


def part_names(name: str) -> list[str]:
    """The names of all parts of a model, from the name of one; the name itself if it is no part's."""
    found = _PART.fullmatch(name)
    count = int(found[3]) if found else 1
    if found is None or not 1 < count <= _MAX_PARTS or not 1 <= int(found[2]) <= count:
        return [name]
    return [f"{found[1]}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]


def sha256_of_model(parts: Sequence[Path]) -> str:
    """One hash (hex) for a model: of its file or, of several, of lines `<sha256>  <number>`."""
    if len(parts) == 1:
        return sha256_of(parts[0])
    lines = "".join(f"{sha256_of(part)}  {number}\n" for number, part in enumerate(parts, 1))
    return hashlib.sha256(lines.encode()).hexdigest()


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


_F16_BYTES = 2
_EMBEDDINGS, _OUTPUT = "token_embd.weight", "output.weight"
_CHARACTERS = 500  # of a metadata string that goes into a run record


def summary(header: GGUFHeader) -> dict[str, Any]:
    """A JSON-ready summary of a header; a figure that the file does not give is None.

    `bits_per_weight` counts tensor data only. `types` maps each tensor type to its number of
    tensors, weights and bytes. `kv_bytes_per_token_f16` is the KV cache's cost of one token.
    """
    n_params = sum(tensor.elements for tensor in header.tensors)
    tensor_bytes = sum(tensor.bytes for tensor in header.tensors)
    shape = geometry(header)
    by_name = {tensor.name: tensor.type for tensor in header.tensors}
    template = header.chat_template
    return {
        "file_size": header.file_size,
        "version": header.version,
        "architecture": _short(header.architecture),
        "name": _short(header.name),
        "n_params": n_params,
        "tensor_bytes": tensor_bytes,
        "bits_per_weight": round(8 * tensor_bytes / n_params, 4) if n_params else None,
        "types": _types(header.tensors),
        "embeddings_type": by_name.get(_EMBEDDINGS),
        "output_type": by_name.get(_OUTPUT),  # None: the output shares the embeddings
        "geometry": shape,
        "kv_bytes_per_token_f16": kv_bytes_per_token(shape, _F16_BYTES),
        "chat_template_sha256": hashlib.sha256(template.encode()).hexdigest() if template else None,
        "quantization": _quantization(header),
    }


def geometry(header: GGUFHeader) -> dict[str, int | None]:
    """Layers, heads and widths (None where the file gives none, or one value per layer)."""
    arch = header.architecture
    heads = header.count(f"{arch}.attention.head_count")
    embedding = header.count(f"{arch}.embedding_length")
    even = embedding // heads if embedding and heads and embedding % heads == 0 else None
    head_dim = header.count(f"{arch}.attention.key_length") or even
    kv_key = f"{arch}.attention.head_count_kv"
    return {
        "layers": header.count(f"{arch}.block_count"),
        "embedding": embedding,
        "feed_forward": header.count(f"{arch}.feed_forward_length"),
        "heads": heads,
        # Without the key there is no grouping; an array of per-layer values is not one number.
        "kv_heads": header.count(kv_key) if kv_key in header.metadata else heads,
        "head_dim": head_dim,
        "value_dim": header.count(f"{arch}.attention.value_length") or head_dim,
        "context": header.n_ctx_train,
    }


def kv_bytes_per_token(shape: dict[str, int | None], bytes_per_value: float) -> int | None:
    """KV cache bytes of one token: layers x KV heads x (key + value width) x bytes per value.

    With equal widths this is the usual 2·L·n_kv·d_head·bytes. It overstates models that cache
    less than that (sliding windows, latent attention).
    """
    layers, kv_heads, key, value = (shape[name] for name in ("layers", "kv_heads", "head_dim", "value_dim"))
    if not (layers and kv_heads and key and value):
        return None
    return int(layers * kv_heads * (key + value) * bytes_per_value)


def _types(tensors: tuple[TensorInfo, ...]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for tensor in tensors:
        row = found.setdefault(tensor.type, {"tensors": 0, "weights": 0, "bytes": 0})
        row["tensors"] += 1
        row["weights"] += tensor.elements
        row["bytes"] += tensor.bytes
    return dict(sorted(found.items(), key=lambda item: (-item[1]["bytes"], item[0])))


def _quantization(header: GGUFHeader) -> dict[str, str | int | float | bool]:
    """What the file says about its own making: quantizer, declared mix, importance matrix."""
    prefixes = ("quantize.", "general.quantized_by", "general.quantization_version", "general.file_type")
    named = {
        key[:_CHARACTERS]: value[:_CHARACTERS] if isinstance(value, str) else value
        for key, value in sorted(header.metadata.items())
        if key.startswith(prefixes)
        and not isinstance(value, ArrayInfo)
        and (not isinstance(value, float) or math.isfinite(value))  # JSON has no NaN
    }
    return dict(list(named.items())[:50])


def _short(text: str | None) -> str | None:
    return text if text is None else text[:_CHARACTERS]


_PREFIX = "tokenizer.ggml."
_HASH_CHUNK = 1 << 20


def tokenizer_sha256(header: GGUFHeader) -> str | None:
    """A hash of all of `tokenizer.ggml.`: vocabulary, merges, special tokens. None if there is none.

    Files of one model that differ here do not see the same prompt, whatever their weights.
    """
    return _metadata_sha256(header, _PREFIX)


def vocabulary_sha256(header: GGUFHeader) -> str | None:
    """A hash of the vocabulary alone: where it is the same, a token's number means the same; None without."""
    return _metadata_sha256(header, f"{_PREFIX}tokens")


def _metadata_sha256(header: GGUFHeader, prefix: str) -> str | None:
    """Of the metadata whose keys begin with `prefix`."""
    entries = sorted((key, value) for key, value in header.metadata.items() if key.startswith(prefix))
    if not entries:
        return None
    digest = hashlib.sha256()
    with header.path.open("rb") as file:
        for key, value in entries:
            digest.update(f"{key}\0".encode())
            if not isinstance(value, ArrayInfo):
                digest.update(repr(value).encode())
                continue
            file.seek(value.offset)
            left = value.bytes
            while left and (chunk := file.read(min(left, _HASH_CHUNK))):
                digest.update(chunk)
                left -= len(chunk)
    return digest.hexdigest()
