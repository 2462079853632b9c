from __future__ import annotations

import random
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFWriter

from evalkit.schema import UserError
from evalkit.weights.gguf import ArrayInfo, read_header, summary


def write_small(path: Path, vocabulary: int = 100) -> bytes:
    """A valid file: two layers' worth of metadata, an F32, a Q8_0 and a Q4_K tensor."""
    writer = GGUFWriter(path, "qwen2")
    writer.add_name("Tiny")
    writer.add_context_length(4096)
    writer.add_block_count(28)
    writer.add_embedding_length(3584)
    writer.add_head_count(28)
    writer.add_head_count_kv(4)
    writer.add_quantized_by("someone")
    writer.add_string("quantize.imatrix.file", "calibration.dat")
    writer.add_token_list([f"token{i}" for i in range(vocabulary)])
    writer.add_token_scores([0.5] * vocabulary)
    writer.add_chat_template("{{ messages }}")
    writer.add_tensor("norm.weight", np.zeros(64, dtype=np.float32))
    writer.add_tensor("output.weight", np.zeros((4, 68), dtype=np.uint8), raw_dtype=GGMLQuantizationType.Q8_0)
    writer.add_tensor(
        "token_embd.weight", np.zeros((2, 144), dtype=np.uint8), raw_dtype=GGMLQuantizationType.Q4_K
    )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_small(tmp_path_factory.mktemp("gguf") / "small.gguf")


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_header(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def begin(tensors: int = 0, keys: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys)


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def tensor(name: bytes, shape: tuple[int, ...], kind: int, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def test_reads_what_the_writer_wrote(tmp_path: Path, small: bytes) -> None:
    path = tmp_path / "small.gguf"
    path.write_bytes(small)
    header = read_header(path)
    assert (header.version, header.architecture, header.name, header.n_ctx_train) == (
        3,
        "qwen2",
        "Tiny",
        4096,
    )
    assert header.chat_template == "{{ messages }}"
    assert header.metadata["tokenizer.ggml.tokens"] == ArrayInfo("STRING", 100)
    assert header.metadata["tokenizer.ggml.scores"] == ArrayInfo("FLOAT32", 100)
    table = [(t.name, t.shape, t.type, t.bytes) for t in header.tensors]
    assert table == [
        ("norm.weight", (64,), "F32", 256),
        ("output.weight", (64, 4), "Q8_0", 272),
        ("token_embd.weight", (256, 2), "Q4_K", 288),
    ]


def test_summary_in_the_geometry_of_qwen2_7b(tmp_path: Path, small: bytes) -> None:
    (tmp_path / "small.gguf").write_bytes(small)
    found = summary(read_header(tmp_path / "small.gguf"))
    assert found["kv_bytes_per_token_f16"] == 57_344
    assert found["geometry"]["head_dim"] == 128
    assert (found["embeddings_type"], found["output_type"]) == ("Q4_K", "Q8_0")
    assert found["types"]["Q8_0"] == {"tensors": 1, "weights": 256, "bytes": 272}
    assert found["bits_per_weight"] == round(8 * (256 + 272 + 288) / (64 + 256 + 512), 4)
    assert found["quantization"]["quantize.imatrix.file"] == "calibration.dat"
    assert found["quantization"]["general.quantized_by"] == "someone"


def test_version_2_is_read_and_others_are_named(tmp_path: Path, small: bytes) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(small[:4] + struct.pack("<I", 2) + small[8:])
    assert read_header(path).version == 2
    assert "big-endian" in refused(path, small[:4] + struct.pack(">I", 3) + small[8:])
    assert "version 1 " in refused(path, small[:4] + struct.pack("<I", 1) + small[8:])
    assert "version 9 " in refused(path, small[:4] + struct.pack("<I", 9) + small[8:])


def test_what_is_not_a_gguf(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    assert "too short" in refused(path, b"")
    assert "does not begin with GGUF" in refused(path, b"<!doctype html><html><body>not found</body></html>")
    assert "git lfs pull" in refused(path, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    for missing in (tmp_path, tmp_path / "no.gguf"):
        with pytest.raises(UserError, match="is not a file"):
            read_header(missing)


def test_cut_off_data_is_told_from_a_cut_off_header(tmp_path: Path, small: bytes) -> None:
    assert "cut off" in refused(tmp_path / "x.gguf", small[:-64])
    assert "header is cut off" in refused(tmp_path / "x.gguf", small[:200])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (begin(tensors=10**6 + 1), "tensors"),
        (begin(keys=2**63), "metadata keys"),
        (begin(keys=1) + struct.pack("<Q", 2**62), "string"),
        (begin(keys=1) + text(b"k") + struct.pack("<I", 8) + struct.pack("<Q", 17 << 20), "string"),
        (begin(keys=1) + text(b"k") + struct.pack("<I", 13), "unknown metadata type 13"),
        (begin(keys=1) + text(b"k") + struct.pack("<IIQ", 9, 9, 1), "array type 9"),
        (begin(keys=1) + text(b"k") + struct.pack("<IIQ", 9, 8, 2**40), "strings"),
        (begin(keys=1) + text(b"k") + struct.pack("<IIQ", 9, 8, 3), "cut off"),
        (begin(keys=1) + text(b"k") + struct.pack("<IIQ", 9, 12, 2**61), "cut off"),
        (begin(keys=2) + 2 * (text(b"k") + struct.pack("<IB", 0, 1)), "twice"),
        (begin(keys=1) + text(b"general.alignment") + struct.pack("<II", 4, 0), "alignment"),
        (begin(keys=1) + text(b"general.alignment") + struct.pack("<II", 4, 24), "alignment"),
        (begin(keys=1) + text(b"general.alignment") + struct.pack("<I", 8) + text(b"32"), "alignment"),
        (begin(1) + text(b"t") + struct.pack("<I", 5) + bytes(60), "5 dimensions"),
        (begin(1) + tensor(b"t", (32,), 99), "type 99"),
        (begin(1) + tensor(b"t", (33,), 8), "multiple of 32"),
        (begin(1) + tensor(b"t", (2**32, 2**32, 2**32, 2**32), 0), "absurd"),
        (begin(1) + tensor(b"t", (32,), 0, offset=2**64 - 32), "absurd"),
        (begin(1) + tensor(b"t", (32,), 0, offset=7), "not aligned"),
        (begin(1) + tensor(b"t", (2**40,), 0), "tensors need"),
        (begin(2) + tensor(b"t", (1,), 0) + tensor(b"t", (1,), 0) + bytes(64), "same name"),
        (begin(2) + tensor(b"a", (16,), 0) + tensor(b"b", (16,), 0, offset=32) + bytes(256), "overlaps"),
        (begin(2) + tensor(b"a", (16,), 0) + tensor(b"b", (16,), 0) + bytes(256), "overlaps"),
        (begin(1) + text(b"t" * 65_536) + bytes(64), "string"),
        (begin(1) + struct.pack("<Q", 2**64 - 1) + bytes(64), "string"),
        (begin(keys=1) + text(b"k" * 65_536) + bytes(64), "string"),
    ],
)
def test_absurd_claims(tmp_path: Path, content: bytes, message: str) -> None:
    assert message in refused(tmp_path / "x.gguf", content)


def test_every_cut_of_the_header_is_refused(tmp_path: Path, small: bytes) -> None:
    """Cut in magic, counts, keys, values, arrays, tensor table: always one line, never another exception."""
    (tmp_path / "whole.gguf").write_bytes(small)
    end = read_header(tmp_path / "whole.gguf").data_offset
    path = tmp_path / "x.gguf"
    for size in range(end):
        assert "not a usable GGUF file" in refused(path, small[:size])


def test_nested_arrays_do_not_recurse(tmp_path: Path) -> None:
    nested = struct.pack("<IQ", 9, 1) * 100_000
    content = begin(keys=1) + text(b"k") + struct.pack("<I", 9) + nested
    assert "array type 9" in refused(tmp_path / "x.gguf", content)


def test_large_vocabulary_costs_little(tmp_path: Path) -> None:
    entries = b"".join(text(f"token {i}".encode()) for i in range(150_000))
    keys = b"".join(
        text(name) + struct.pack("<IIQ", 9, 8, 150_000) + entries for name in (b"tokens", b"merges")
    )
    path = tmp_path / "x.gguf"
    path.write_bytes(begin(keys=2) + keys + bytes(64))
    read_header(path)  # the first one pays for imports
    tracemalloc.start()
    started = time.process_time()
    header = read_header(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - started < 5  # seconds of the processor, traced: a second when it is quiet
    assert peak < 8 << 20
    assert header.metadata["merges"] == ArrayInfo("STRING", 150_000)


def test_sparse_giants_stay_bounded(tmp_path: Path) -> None:
    """Strings spread over a huge sparse file would otherwise make it be read in full."""
    path = tmp_path / "x.gguf"
    step = 2 << 20
    count = 2_000
    with path.open("wb") as handle:
        handle.write(begin(keys=1) + text(b"k") + struct.pack("<IIQ", 9, 8, count))
        first = handle.tell()
        for index in range(count):
            handle.seek(first + index * (8 + step))
            handle.write(struct.pack("<Q", step))
        handle.truncate(first + count * (8 + step) + 64)
    started = time.process_time()
    with pytest.raises(UserError, match="MiB"):
        read_header(path)
    assert time.process_time() - started < 5


def test_mutations_end_in_a_header_or_a_user_error(tmp_path: Path, small: bytes) -> None:
    """Random damage: never another exception, never a hang; what is accepted has a summary."""
    rng = random.Random(20)
    path = tmp_path / "x.gguf"
    header_end = len(small) - 900
    accepted, messages = 0, list[str]()
    started = time.perf_counter()
    for _ in range(3_000):
        data = bytearray(small)
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(header_end)
            if rng.random() < 0.5:
                data[place] = rng.randrange(256)
            else:
                data[place : place + 8] = struct.pack(
                    "<Q", rng.choice((0, 1, 255, 2**31, 2**32, 2**63, 2**64 - 1))
                )
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        path.write_bytes(data)
        try:
            summary(read_header(path))
            accepted += 1
        except UserError as error:
            messages.append(str(error))
    assert "\n" not in "".join(messages)
    assert 0 < accepted < 3_000
    assert time.perf_counter() - started < 30
