"""The memory that llama.cpp's server will need for a GGUF file on a CPU, before it is started.

llama.cpp reserves everything at the start: weights, KV cache, one compute buffer that the layers share,
and the logits of each slot. The sizes follow from the graph (src/models/*.cpp, `build_attn_mha`,
`build_ffn`), the order in which ggml's allocator can reuse tensors, and the work buffer of
`ggml_graph_plan` (ggml-cpu.c). How many hidden-size tensors lie around at the peaks cannot be read off:
the counts below give what llama.cpp itself reserves ("CPU compute buffer size") within 0.5 % over some 50
random geometries, contexts and slot counts of dense models with a feed-forward wider than the hidden
size; narrower ones, which nobody builds, within 17 %. Models with sliding windows, latent attention or
experts need less KV cache or other buffers than this says.

`gguf_facts` joins this to everything else that `evalkit gguf` says of a file, and `show_facts` prints it.
Strings of the file are untrusted: cleaned, and never read as markup.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from evalkit.config.settings import ModelSettings
from evalkit.schema import Memory, UserError
from evalkit.weights.gguf import ArrayInfo, GGUFHeader, TensorInfo, geometry, kv_bytes_per_token, summary
from evalkit.weights.recipe import EMBEDDING, OUTPUT, all_claims, block, contradictions, found_recipe

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


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
    header: GGUFHeader,
    *,
    context: int,
    slots: int,
    flash_attention: bool,
    batch: int = 512,
    cache_types: tuple[str, str] = ("f16", "f16"),
    draft: GGUFHeader | None = None,
) -> Memory:
    """Peak resident bytes of the server's process with all slots full.

    The weights are read into memory (`backend.mmap: false`) and rearranged for the CPU.

    Args:
        context: tokens per slot.
        batch: tokens computed together (llama.cpp's n_ubatch).
        cache_types: of the KV cache's keys and values.
        draft: of the draft model, whose weights, cache (f16) and buffers are added to the model's.

    Raises:
        UserError: a header does not state the geometry.
    """
    # Loading needs no more: a tensor is read whole before it is rearranged, but those are loaded first,
    # and the embeddings, which are not rearranged, later take more than the freed buffer held.
    weights = sum(tensor.bytes for tensor in header.tensors) + _held_twice(header)
    shape = _shape(header)
    found = geometry(header)
    kv_bytes = _kv_bytes(shape.kv_bytes, cache_types, found["head_dim"], found["value_dim"])
    kept = replace(shape, kv_bytes=kv_bytes)
    alone = _memory(kept, weights, context, slots, flash_attention=flash_attention, batch=batch)
    if draft is None:
        return alone
    return _together(
        alone,
        predicted_memory(draft, context=context, slots=slots, flash_attention=flash_attention, batch=batch),
    )


def _together(model: Memory, draft: Memory) -> Memory:
    """A model and its draft in one process, which has a second vocabulary."""
    return Memory(
        weights=model.weights + draft.weights,
        kv=model.kv + draft.kv,
        compute=model.compute + draft.compute,
        process=model.process + draft.process - _PROCESS,
    )


def _kv_bytes(f16: int, types: tuple[str, str], key: int | None, value: int | None) -> int:
    """The KV cache's bytes for one token, from those with f16; `key` and `value` are the heads' widths."""
    widths = (key or 1, value or key or 1)
    bits = (width * block(kind.upper())[1] for width, kind in zip(widths, types, strict=True))
    return round(f16 * sum(bits) / sum(widths) / (8 * _F16))


def stated_memory(
    model: ModelSettings,
    *,
    context: int,
    slots: int,
    cache_types: tuple[str, str] = ("f16", "f16"),
    draft: GGUFHeader | None = None,
) -> Memory | None:
    """The same for a file that is not here yet, from its model's config: size and geometry.

    None where the config does not state them. Without flash attention, as runs are by default. The size is
    the file's: some megabytes of it are no weights. A file whose embeddings serve as output, too, and are
    rearranged for that holds these twice, which a config does not tell.
    """
    stated = model.geometry
    if stated is None or model.size_bytes is None:
        return None
    if not (stated.hidden and stated.feed_forward and stated.heads and stated.vocabulary):
        return None
    recipe = model.recipe if isinstance(model.recipe, dict) else {"rest": model.recipe}
    shape = _Shape(
        width=max(stated.hidden, stated.heads * stated.head_dim),
        feed_forward=stated.feed_forward,
        heads=stated.heads,
        kv_width=stated.kv_heads * stated.head_dim,
        kv_bytes=_kv_bytes(
            2 * stated.layers * stated.kv_heads * stated.head_dim * _F16, cache_types, None, None
        ),
        vocabulary=stated.vocabulary,
        quantized=recipe.get("rest") not in ("F16", "BF16"),
    )
    alone = _memory(shape, model.size_bytes, context, slots, flash_attention=False)
    if draft is None:
        return alone
    return _together(alone, predicted_memory(draft, context=context, slots=slots, flash_attention=False))


def largest_context(total: Callable[[int], int], memory: int, most: int) -> int:
    """The most tokens per slot whose need does not exceed `memory`, in llama.cpp's steps; 0: not even one.

    Args:
        total: bytes needed at so many tokens per slot; it grows with them.
        most: tokens that the model was trained for.
    """
    low, high = 0, most // _CONTEXT_STEP
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if total(middle * _CONTEXT_STEP) <= memory else (low, middle - 1)
    return low * _CONTEXT_STEP


def _memory(
    shape: _Shape, weights: int, context: int, slots: int, *, flash_attention: bool, batch: int = 512
) -> Memory:
    cells = -(-context // _CONTEXT_STEP) * _CONTEXT_STEP
    tokens = -(-min(batch, cells * slots) // slots) * slots  # llama.cpp rounds up to whole rows per slot
    kv = shape.kv_bytes * cells * slots
    compute = _graph(shape, cells, tokens, flash_attention=flash_attention)
    compute += _work(shape, cells, tokens, flash_attention=flash_attention)
    compute += shape.vocabulary * slots * _F32  # the logits that the server reads
    return Memory(
        weights=weights,
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


def gguf_facts(
    header: GGUFHeader,
    sha256: str,
    *,
    context: int,
    slots: int,
    flash_attention: bool,
    claimed: str | None,
) -> dict[str, Any]:
    """JSON-ready. Strings are the file's own, cut to a few hundred characters and otherwise as found.

    `memory` is None, with the reason in `memory_note`, if the geometry is not given.

    Raises:
        UserError: `claimed` is no recipe.
    """
    recipe = found_recipe(header)
    memory, note = _predicted(header, context, slots, flash_attention=flash_attention)
    return {
        "file": header.path.name,
        "sha256": sha256,
        **summary(header),
        "recipe": {
            "found": recipe.name,
            "layer_order": recipe.order,
            "claimed": claimed,
            "claims": [f"{c.source} {c.label}" for c in all_claims(header, claimed, header.path.name)],
            "contradictions": contradictions(header, claimed, header.path.name),
            "fallbacks": list(recipe.fallbacks),
            "groups": [{**asdict(g), "bits_per_weight": round(g.bits_per_weight, 4)} for g in recipe.groups],
        },
        "serving": {"context": context, "slots": slots, "flash_attention": flash_attention},
        "memory": memory,
        "memory_note": note,
    }


def _predicted(
    header: GGUFHeader, context: int, slots: int, *, flash_attention: bool
) -> tuple[dict[str, int] | None, str | None]:
    try:
        found = predicted_memory(header, context=context, slots=slots, flash_attention=flash_attention)
    except UserError as error:
        return None, str(error)
    return {**asdict(found), "total": found.total}, None


_CHARACTERS = 200  # of one cell
_ORDERS = {
    "numeric": "by number: 0, 1, 2, ..., as llama.cpp does today",
    "by name": "by name: 0, 1, 10, 11, ..., 2, 20, ..., as llama.cpp did until 2024",
}
_FALLBACKS = 3  # of them named


def clean(text: str) -> str:
    """`text` on one line without what a terminal could obey: controls, escapes, direction marks."""
    kept = ("\ufffd" if unicodedata.category(char).startswith("C") else char for char in text[:_CHARACTERS])
    return " ".join("".join(kept).split()) + ("…" if len(text) > _CHARACTERS else "")


def show_facts(found: Mapping[str, Any], console: Console) -> None:
    """Print what `facts` gives."""
    _show_pairs(console, "file", _file_rows(found))
    _show_pairs(console, "geometry", ((key, value) for key, value in found["geometry"].items()))
    _show_table(
        console,
        ("type", "tensors", "weights", "bytes", "bits per weight"),
        ((kind, *_amounts(row)) for kind, row in found["types"].items()),
    )
    _show_table(
        console,
        ("group", "tensors", "weights", "bytes", "bits per weight", "types"),
        (
            (group["name"], *_amounts(group), _types_text(group["types"]))
            for group in found["recipe"]["groups"]
        ),
    )
    _show_pairs(console, "recipe", _recipe_rows(found["recipe"]))
    _show_pairs(console, "quantization", found["quantization"].items())
    _show_memory(found, console)


def _file_rows(found: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    size = found["file_size"]
    template = found["chat_template_sha256"]
    return [
        ("name", found["file"]),
        ("size", f"{size:,} bytes = {size / 1e9:.2f} GB"),
        ("sha256", found["sha256"]),
        ("GGUF version", found["version"]),
        ("model", found["name"]),
        ("architecture", found["architecture"]),
        ("weights", f"{found['n_params']:,}"),
        ("bits per weight", found["bits_per_weight"]),
        ("chat template", f"sha256 {template}" if template else "none"),
    ]


def _amounts(row: Mapping[str, int]) -> tuple[str, str, str, str]:
    bits = 8 * row["bytes"] / row["weights"] if row["weights"] else 0.0
    return str(row["tensors"]), f"{row['weights']:,}", f"{row['bytes']:,}", f"{bits:.4f}"


def _types_text(types: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in types.items())


def _recipe_rows(recipe: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    yield "found", recipe["found"]
    if recipe["layer_order"]:
        yield "layers counted", _ORDERS[recipe["layer_order"]]
    for line in recipe["claims"] or ["none, neither by the file's name nor by general.file_type"]:
        yield "claim", line
    fallbacks = recipe["fallbacks"]
    if fallbacks:
        more = " …" if len(fallbacks) > _FALLBACKS else ""
        yield "fallbacks", f"{len(fallbacks)} tensors: rows do not fit the type's blocks"
        yield "", ", ".join(fallbacks[:_FALLBACKS]) + more
    for line in recipe["contradictions"] or ["none"]:
        yield "contradiction", line


def _show_memory(found: Mapping[str, Any], console: Console) -> None:
    serving, memory = found["serving"], found["memory"]
    what = f"memory, {serving['slots']} x {serving['context']} tokens"
    flash = "with" if serving["flash_attention"] else "without"
    if memory is None:
        _show_pairs(console, what, [("predicted", found["memory_note"])])
        return
    rows = [(part, f"{size / 2**20:,.0f} MiB") for part, size in memory.items()]
    _show_pairs(console, f"{what}, {flash} flash attention, f16 KV cache, on a CPU (predicted)", rows)


def _show_pairs(console: Console, title: str, rows: Iterable[tuple[str, object]]) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(min_width=16)
    table.add_column(overflow="fold")
    for key, value in rows:
        table.add_row(_cell(key), _cell("-" if value is None else str(value)))
    if table.row_count:
        console.print(_cell(title, "bold"))
        console.print(table)
        console.print()


def _show_table(console: Console, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in head:
        table.add_column(name, justify="left" if name in ("type", "group", "types") else "right")
    for row in rows:
        table.add_row(*(_cell(cell) for cell in row))
    console.print(table)
    console.print()


def _cell(text: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(clean(text), style=style)
