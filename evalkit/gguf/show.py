"""The tables of `evalkit gguf`. Strings of the file are untrusted: cleaned, and never read as markup."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_CHARACTERS = 200  # of one cell
_FALLBACKS = 3  # of them named


def clean(text: str) -> str:
    """`text` on one line without what a terminal could obey: controls, escapes, direction marks."""
    kept = ("\ufffd" if unicodedata.category(char).startswith("C") else char for char in text[:_CHARACTERS])
    return " ".join("".join(kept).split()) + ("…" if len(text) > _CHARACTERS else "")


def show(found: Mapping[str, Any], console: Console) -> None:
    """Print what `facts` gives."""
    _pairs(console, "file", _file(found))
    _pairs(console, "geometry", ((key, value) for key, value in found["geometry"].items()))
    _table(
        console,
        ("type", "tensors", "weights", "bytes", "bits per weight"),
        ((kind, *_amounts(row)) for kind, row in found["types"].items()),
    )
    _table(
        console,
        ("group", "tensors", "weights", "bytes", "bits per weight", "types"),
        ((group["name"], *_amounts(group), _types(group["types"])) for group in found["recipe"]["groups"]),
    )
    _pairs(console, "recipe", _recipe(found["recipe"]))
    _pairs(console, "quantization", found["quantization"].items())
    _memory(found, console)


def _file(found: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
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


def _types(types: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in types.items())


def _recipe(recipe: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    yield "found", recipe["found"]
    yield "claimed", recipe["claimed"] or "the file's name and general.file_type"
    fallbacks = recipe["fallbacks"]
    if fallbacks:
        more = " …" if len(fallbacks) > _FALLBACKS else ""
        yield "fallbacks", f"{len(fallbacks)} tensors: rows do not fit the type's blocks"
        yield "", ", ".join(fallbacks[:_FALLBACKS]) + more
    for line in recipe["contradictions"] or ["none"]:
        yield "contradiction", line


def _memory(found: Mapping[str, Any], console: Console) -> None:
    serving, memory = found["serving"], found["memory"]
    what = f"memory, {serving['slots']} x {serving['context']} tokens"
    flash = "with" if serving["flash_attention"] else "without"
    if memory is None:
        _pairs(console, what, [("predicted", found["memory_note"])])
        return
    rows = [(part, f"{size / 2**20:,.0f} MiB") for part, size in memory.items()]
    _pairs(console, f"{what}, {flash} flash attention, f16 KV cache, on a CPU (predicted)", rows)


def _pairs(console: Console, title: str, rows: Iterable[tuple[str, object]]) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(min_width=16)
    table.add_column(overflow="fold")
    for key, value in rows:
        table.add_row(_text(key), _text("-" if value is None else str(value)))
    if table.row_count:
        console.print(_text(title, "bold"))
        console.print(table)
        console.print()


def _table(console: Console, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in head:
        table.add_column(name, justify="left" if name in ("type", "group", "types") else "right")
    for row in rows:
        table.add_row(*(_text(cell) for cell in row))
    console.print(table)
    console.print()


def _text(text: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(clean(text), style=style)
