"""The memory that llama.cpp's server will need for a GGUF file on a CPU, before it is started.

llama.cpp reserves everything at the start: weights, KV cache, one compute buffer that the layers share,
and the logits of each slot. The sizes follow from the graph (src/models/*.cpp, `build_attn_mha`,
`build_ffn`), the order in which ggml's allocator can reuse tensors, and the work buffer of
`ggml_graph_plan` (ggml-cpu.c). How many hidden-size tensors lie around at the peaks cannot be read off:
the counts below give what llama.cpp itself reserves ("CPU compute buffer size") within 0.5 % over some 50
random geometries, contexts and slot counts of dense models with a feed-forward wider than the hidden
size; narrower ones, which nobody builds, within 17 %. Models with sliding windows, latent attention or
experts need less KV cache or other buffers than this says.
"""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.errors import UserError
from evalkit.gguf.header import ArrayInfo, GGUFHeader, TensorInfo
from evalkit.gguf.mixes import EMBEDDING, OUTPUT
from evalkit.gguf.summary import geometry, kv_bytes_per_token

_F32, _F16 = 4, 2  # bytes
_CONTEXT_STEP = 256  # llama.cpp pads each slot's KV cache to this many tokens
# Bytes of an activation in the work buffer: a product with quantized weights quantizes it to Q8_K (292
# per 256).
_QUANTIZED_ACTIVATION = 292 / 256
# The types that llama.cpp rearranges for AVX2 (`ggml_repack_get_optimal_repack_type`). A file without an
# output tensor then holds its embeddings twice: rearranged for the output, plain for looking tokens up.
_REPACKED = frozenset({"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"})
_REPACKED_ROWS = 8

# The server process without model and buffers, as resident memory: Python, the library, its threads, and
# the tokenizer (tokens, merges and their tables). Measured with xllamacpp 2026.10 on Linux, Python 3.11:
# tiny models with vocabularies of 1,024, 32,000 and 152,064 tokens and 1 and 4 slots lie on this plane
# within 2 MiB.
_PROCESS = 34 << 20
_PROCESS_PER_TOKEN = 390
_PROCESS_PER_SLOT = 1 << 18
_PROCESS_PER_SLOT_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Memory:
    """Predicted resident memory in bytes: weights, KV cache, compute buffers, and the process itself."""

    weights: int
    kv: int
    compute: int
    process: int

    @property
    def total(self) -> int:
        """The sum, in bytes."""
        return self.weights + self.kv + self.compute + self.process


@dataclass(frozen=True, slots=True)
class _Shape:
    """What decides about the buffers. `width` is the wider of hidden size and all query heads together."""

    width: int
    feed_forward: int
    heads: int
    kv_width: int
    kv_bytes: int
    vocabulary: int
    quantized: bool


def predicted_memory(
    header: GGUFHeader, *, context: int, slots: int, flash_attention: bool, batch: int = 512
) -> Memory:
    """Peak resident bytes of the server's process with f16 KV cache and all slots full.

    The weights are read into memory (`backend.mmap: false`) and rearranged for the CPU.

    Args:
        context: tokens per slot.
        batch: tokens computed together (llama.cpp's n_ubatch).

    Raises:
        UserError: the header does not state the geometry.
    """
    shape = _shape(header)
    cells = -(-context // _CONTEXT_STEP) * _CONTEXT_STEP
    tokens = -(-min(batch, cells * slots) // slots) * slots  # llama.cpp rounds up to whole rows per slot
    kv = shape.kv_bytes * cells * slots
    compute = _graph(shape, cells, tokens, flash_attention=flash_attention)
    compute += _work(shape, cells, tokens, flash_attention=flash_attention)
    compute += shape.vocabulary * slots * _F32  # the logits that the server reads
    return Memory(
        # Loading needs no more: a tensor is read whole before it is rearranged, but those are loaded first,
        # and the embeddings, which are not rearranged, later take more than the freed buffer held.
        weights=sum(tensor.bytes for tensor in header.tensors) + _held_twice(header),
        kv=kv,
        compute=compute,
        process=_PROCESS
        + _PROCESS_PER_TOKEN * shape.vocabulary
        + slots * (_PROCESS_PER_SLOT + _PROCESS_PER_SLOT_TOKEN * shape.vocabulary),
    )


def _graph(shape: _Shape, cells: int, tokens: int, *, flash_attention: bool) -> int:
    """The compute buffer: the larger of attention and feed-forward, and the mask that outlives both."""
    hidden = shape.width * tokens * _F32
    wide = shape.feed_forward * tokens * _F32
    if flash_attention:
        # The product of gate and up fits where attention was, unless the model is wide.
        feed_forward = 5 * hidden + (3 if wide >= 2 * hidden else 2) * wide
        return max(feed_forward, 7 * hidden) + cells * tokens * _F16
    kv = 2 * shape.kv_width * tokens * _F32
    scores = cells * tokens * shape.heads * _F32
    return max(scores + 6 * hidden, 3 * wide + 5 * hidden) + kv + cells * tokens * _F32


def _work(shape: _Shape, cells: int, tokens: int, *, flash_attention: bool) -> int:
    """The CPU's work buffer: the right side of a product in the type that the left side's kernel reads.

    Without flash attention the scores are turned to f16 whole, to be multiplied with the f16 values.
    """
    scores = 0 if flash_attention else cells * tokens * shape.heads * _F16
    activation = _QUANTIZED_ACTIVATION if shape.quantized else _F16
    return max(scores, int(shape.feed_forward * tokens * activation))


def _shape(header: GGUFHeader) -> _Shape:
    found = geometry(header)
    kv_bytes = kv_bytes_per_token(found, _F16)
    hidden, wide, heads = (found[name] for name in ("embedding", "feed_forward", "heads"))
    kv_heads, head_dim = found["kv_heads"], found["head_dim"]
    if not (kv_bytes and hidden and wide and heads and kv_heads and head_dim):
        raise UserError(
            f"{header.path.name} does not state its layers, heads and widths as single numbers: "
            "its memory cannot be predicted"
        )
    down = [tensor.type for tensor in header.tensors if ".ffn_down" in tensor.name]
    return _Shape(
        width=max(hidden, heads * head_dim),
        feed_forward=wide,
        heads=heads,
        kv_width=kv_heads * head_dim,
        kv_bytes=kv_bytes,
        vocabulary=_vocabulary(header),
        quantized=not any(kind in ("F16", "BF16") for kind in down),
    )


def _vocabulary(header: GGUFHeader) -> int:
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, ArrayInfo):
        return tokens.length
    embedding = _named(header, EMBEDDING)
    return embedding.shape[1] if embedding and len(embedding.shape) > 1 else 0


def _named(header: GGUFHeader, name: str) -> TensorInfo | None:
    return next((tensor for tensor in header.tensors if tensor.name == name), None)


def _held_twice(header: GGUFHeader) -> int:
    """Bytes of the embeddings if they serve as output too and are rearranged for that, else 0."""
    embedding = _named(header, EMBEDDING)
    if embedding is None or _named(header, OUTPUT) is not None or len(embedding.shape) != 2:
        return 0
    rearranged = embedding.type in _REPACKED and embedding.shape[1] % _REPACKED_ROWS == 0
    return embedding.bytes if rearranged else 0
