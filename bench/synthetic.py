"""GGUF files with an exact geometry and random weights: the memory and size of a model without the model.

llama.cpp loads and serves them; what they say is noise. Memory and file size depend on shapes and types only.

Random weights in every tensor type that llama.cpp's mixes need.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from evalkit.config.options import Arguments, read_arguments
from evalkit.schema import UserError, nearest
from evalkit.text import output_console
from evalkit.weights.recipe import (
    EMBEDDING,
    FILE_TYPES,
    OUTPUT,
    LayerCounts,
    base_type,
    fallbacks,
    is_weight,
    tensor_type,
)

if TYPE_CHECKING:
    from gguf import GGUFWriter


_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_NORMAL, _CONTROL, _UNUSED = 1, 3, 5  # llama.cpp's token types
_MIN_VOCABULARY = 256 + len(_SPECIAL)
_TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Geometry:
    """The shape of a dense Qwen2-like model; the defaults are Qwen2.5-7B's."""

    layers: int = 28
    hidden: int = 3584
    feed_forward: int = 18944
    heads: int = 28
    kv_heads: int = 4
    head_dim: int = 128
    vocabulary: int = 152_064
    context: int = 32_768
    tied: bool = False


@dataclass(frozen=True, slots=True)
class Build:
    """How a file is quantized: llama.cpp's mix or, if `pure`, its base type everywhere; overrides."""

    mix: str
    embeddings: str | None = None
    output: str | None = None
    pure: bool = False


# The eleven files of Fin-R1's card, and `q4_k-pure`: its "the rest Q4_K" read to the letter.
BUILDS = {
    "bf16": Build("BF16"),
    "f16": Build("F16"),
    "bf16-q8_0": Build("Q8_0", "BF16", "BF16"),
    "f16-q8_0": Build("Q8_0", "F16", "F16"),
    "q8_0": Build("Q8_0"),
    "q6_k": Build("Q6_K", "Q8_0", "Q8_0"),
    "q4_k": Build("Q4_K_M", "Q8_0", "Q8_0"),
    "q4_k-pure": Build("Q4_K_M", "Q8_0", "Q8_0", pure=True),
    "q4_k_s": Build("Q4_K_S"),
    "q4_0": Build("Q4_0", pure=True),
    "iq3_m": Build("IQ3_M"),
    "iq3_xs": Build("IQ3_XS"),
}


def build_named(name: str) -> Build:
    """Raises UserError for a recipe that `BUILDS` does not have."""
    if name not in BUILDS:
        raise UserError(f"no recipe '{name}'.{nearest(name, BUILDS)} Recipes: {', '.join(BUILDS)}")
    return BUILDS[name]


def tensors(geometry: Geometry, build: Build) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """Name, shape (row length first) and type of every tensor, in the file's order."""
    model = LayerCounts(geometry.layers, geometry.heads // geometry.kv_heads, geometry.tied)
    for name, shape in _shapes(geometry):
        yield name, shape, _type(build, model, name, shape)


def file_bytes(geometry: Geometry, build: Build) -> int:
    """The size of the tensors' data; the header adds a few MB, most of it vocabulary."""
    return sum(_bytes(shape, kind) for _, shape, kind in tensors(geometry, build))


def write(path: Path, geometry: Geometry, build: Build, name: str = "synthetic") -> None:
    """Write the file; needs its size on disk and some 100 MiB of memory.

    Raises:
        UserError: a geometry that llama.cpp could not load, or the file cannot be written.
    """
    import gguf
    import numpy as np

    _check(geometry)
    writer = gguf.GGUFWriter(path, "qwen2", use_temp_file=False)
    _metadata(writer, geometry, build, name)
    table = list(tensors(geometry, build))
    for tensor, shape, kind in table:
        quantization = gguf.GGMLQuantizationType[kind]
        writer.add_tensor_info(
            tensor, shape[::-1], np.dtype(np.float32), _bytes(shape, kind), raw_dtype=quantization
        )
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        assert writer.fout is not None
        _stream(writer.fout[0], table)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        writer.close()


def _shapes(geometry: Geometry) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden, wide = geometry.hidden, geometry.feed_forward
    query, kv = geometry.heads * geometry.head_dim, geometry.kv_heads * geometry.head_dim
    yield EMBEDDING, (hidden, geometry.vocabulary)
    for layer in range(geometry.layers):
        parts = {
            "attn_norm.weight": (hidden,),
            "attn_q.weight": (hidden, query),
            "attn_q.bias": (query,),
            "attn_k.weight": (hidden, kv),
            "attn_k.bias": (kv,),
            "attn_v.weight": (hidden, kv),
            "attn_v.bias": (kv,),
            "attn_output.weight": (query, hidden),
            "ffn_norm.weight": (hidden,),
            "ffn_gate.weight": (hidden, wide),
            "ffn_up.weight": (hidden, wide),
            "ffn_down.weight": (wide, hidden),
        }
        for part, shape in parts.items():
            yield f"blk.{layer}.{part}", shape
    yield "output_norm.weight", (hidden,)
    if not geometry.tied:
        yield OUTPUT, (hidden, geometry.vocabulary)


def _type(build: Build, model: LayerCounts, name: str, shape: tuple[int, ...]) -> str:
    if not is_weight(name, len(shape)):
        return "F32"
    given = {EMBEDDING: build.embeddings, OUTPUT: build.output}.get(name)
    wanted = given or (base_type(build.mix) if build.pure else tensor_type(build.mix, model, name))
    return next(iter(fallbacks(wanted, shape[0], output=model.is_output(name))), wanted)


def _check(geometry: Geometry) -> None:
    if geometry.vocabulary < _MIN_VOCABULARY:
        raise UserError(f"vocabulary={geometry.vocabulary}: at least {_MIN_VOCABULARY} tokens are needed")
    if geometry.heads * geometry.head_dim != geometry.hidden:
        raise UserError(
            f"heads={geometry.heads} of {geometry.head_dim} are not hidden={geometry.hidden}: "
            "heads times head_dim must be hidden"
        )
    if geometry.heads % geometry.kv_heads:
        raise UserError(f"heads={geometry.heads} is no multiple of kv_heads={geometry.kv_heads}")


def _metadata(writer: GGUFWriter, geometry: Geometry, build: Build, name: str) -> None:
    writer.add_name(name)
    writer.add_block_count(geometry.layers)
    writer.add_context_length(geometry.context)
    writer.add_embedding_length(geometry.hidden)
    writer.add_feed_forward_length(geometry.feed_forward)
    writer.add_head_count(geometry.heads)
    writer.add_head_count_kv(geometry.kv_heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    writer.add_file_type({mix: number for number, mix in FILE_TYPES.items()}[build.mix])
    writer.add_quantization_version(2)
    tokens, merges = _vocabulary(geometry.vocabulary)
    used = 256 + len(merges)
    kinds = [_NORMAL] * used + [_CONTROL] * len(_SPECIAL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds + [_UNUSED] * (geometry.vocabulary - len(kinds)))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(used)
    writer.add_eos_token_id(used + 2)
    writer.add_pad_token_id(used)
    writer.add_add_bos_token(False)
    writer.add_chat_template(_TEMPLATE)


def _vocabulary(size: int) -> tuple[list[str], list[str]]:
    """Tokens and merges of a byte-level BPE: bytes, then as many merges as Qwen2.5 has or fit, then the rest.

    A merge costs the server memory, so their number is Qwen2.5's (151,387 of 152,064 tokens) in proportion.
    """
    tokens = list(_byte_letters())
    merges: list[str] = []
    wanted = min(size - _MIN_VOCABULARY, size * 151_387 // 152_064)
    left = 0
    while len(merges) < wanted:
        # Each token so far, then each byte: no two merges give the same token.
        for byte in tokens[: min(256, wanted - len(merges))]:
            merges.append(f"{tokens[left]} {byte}")
            tokens.append(tokens[left] + byte)
        left += 1
    tokens += _SPECIAL
    return tokens + [f"[PAD{i}]" for i in range(len(tokens), size)], merges


def _byte_letters() -> Iterator[str]:
    """GPT-2's printable letter for each byte, as byte-level vocabularies write them."""
    extra = 256
    for byte in range(256):
        if 33 <= byte <= 126 or 161 <= byte <= 172 or byte >= 174:
            yield chr(byte)
        else:
            yield chr(extra)
            extra += 1


def _bytes(shape: tuple[int, ...], kind: str) -> int:
    from math import prod

    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    block, size = GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
    return prod(shape) // int(block) * int(size)


def _stream(file: BinaryIO, table: list[tuple[str, tuple[int, ...], str]]) -> None:
    """Tensor by tensor, from one buffer of random blocks per type."""
    buffers: dict[str, memoryview] = {}
    file.write(bytes(-file.tell() % 32))
    for _, shape, kind in table:
        if kind not in buffers:
            buffers[kind] = memoryview(random_blocks(kind))
        left = _bytes(shape, kind)
        while left:
            left -= file.write(buffers[kind][:left])
        file.write(bytes(-file.tell() % 32))


_BUFFER = 4 << 20  # bytes of random blocks of a type, repeated over every tensor of that type
# Where a block keeps its fp16 scales, and a scale that gives weights of a few hundredths.
_SCALES = {
    "Q8_0": ((0,), 3e-4),
    "Q4_0": ((0,), 5e-3),
    "Q4_1": ((0, 2), 3e-3),
    "Q5_0": ((0,), 2e-3),
    "Q5_1": ((0, 2), 1e-3),
    "Q2_K": ((80, 82), 1e-3),
    "Q3_K": ((108,), 5e-4),
    "Q4_K": ((0, 2), 1e-4),
    "Q5_K": ((0, 2), 5e-5),
    "Q6_K": ((208,), 2e-5),
    "IQ2_S": ((0,), 1e-4),
    "IQ3_XXS": ((0,), 1e-4),
    "IQ3_S": ((0,), 1e-4),
    "IQ4_NL": ((0,), 5e-4),
    "IQ4_XS": ((0,), 2e-5),
}


def random_blocks(kind: str) -> bytes:
    """Whole blocks of a type, about `_BUFFER` bytes: random, with finite weights of a few hundredths."""
    import numpy as np
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    rng = np.random.default_rng(20)
    size = int(GGML_QUANT_SIZES[GGMLQuantizationType[kind]][1])
    count = _BUFFER // size
    if kind in ("F32", "F16", "BF16"):
        values = rng.normal(0, 0.02, count).astype(np.float32)
        if kind == "BF16":  # its upper half is a bfloat16
            return (values.view(np.uint32) >> 16).astype("<u2").tobytes()
        return values.astype("<f4" if kind == "F32" else "<f2").tobytes()
    places, scale = _SCALES[kind]
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for place in places:
        scales = rng.uniform(scale / 2, scale, count).astype("<f2")
        blocks[:, place : place + 2] = scales.view(np.uint8).reshape(count, 2)
    return blocks.tobytes()


HELP = """
usage: python -m bench synthetic OUT.gguf [recipe=q4_0] [layers=28] [hidden=3584] [feed_forward=18944]
                      [heads=28] [kv_heads=4] [head_dim=128] [vocabulary=152064] [context=32768] [tied=false]

Write a file of random weights that llama.cpp loads and serves, by default in Qwen2.5-7B's geometry, to
measure memory and size without the model. Recipes: bf16, f16, bf16-q8_0, f16-q8_0, q8_0, q6_k, q4_k (the
Q4_K_M mix with Q8_0 embeddings and output), q4_k-pure, q4_k_s, q4_0, iq3_m, iq3_xs.

exit code: 0 done, 2 wrong request
"""

_NUMBERS = ("layers", "hidden", "feed_forward", "heads", "kv_heads", "head_dim", "vocabulary", "context")
SHAPE = {**dict.fromkeys(_NUMBERS, ""), "tied": "false"}


def shape(given: Arguments, without: Sequence[str] = ()) -> Geometry:
    """The geometry that the `SHAPE` settings give; Qwen2.5-7B's where they say nothing.

    Args:
        without: settings of these names mean something else.
    """
    numbers = {key: given.whole(key) for key in _NUMBERS if key not in without and given.text(key)}
    return Geometry(**numbers, tied=given.truth("tied"))


def main(arguments: Sequence[str]) -> int:
    given = read_arguments("synthetic", arguments, {"recipe": "q4_0", **SHAPE})
    if len(given.places) != 1:
        raise UserError("synthetic: give the file to write: python -m bench synthetic OUT.gguf recipe=q4_0")
    path, recipe = Path(given.places[0]).expanduser(), given.text("recipe")
    if path.exists():
        raise UserError(f"{path} exists already: remove it or give another name")
    write(path, shape(given), build_named(recipe), f"synthetic {recipe}")
    line = f"{path}: {path.stat().st_size / 1e9:.2f} GB of random weights, {recipe}"
    output_console().print(line, highlight=False, markup=False)
    return 0
