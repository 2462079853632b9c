"""What a Hugging Face checkpoint says of itself: geometry, chat template, how it is quantized.

The files come from strangers: they are read as bounded JSON and text, and nothing in them is executed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import UserError

_LARGEST = 64 << 20  # bytes; a config has a few thousand, a tokenizer's config some megabytes


@dataclass(frozen=True, slots=True)
class Geometry:
    """What decides the size of the KV cache. ``context`` is the longest sequence in tokens."""

    layers: int
    kv_heads: int
    head_dim: int
    context: int

    def kv_bytes_per_token(self, bytes_per_value: int = 2) -> int:
        """Keys and values of all layers: 2 · layers · heads · dimension · bytes."""
        return 2 * self.layers * self.kv_heads * self.head_dim * bytes_per_value


def read_config(folder: Path) -> dict[str, Any]:
    """The checkpoint's config.json.

    Raises:
        UserError: it cannot be read.
    """
    config = _read_json(folder / "config.json")
    if not config:
        raise UserError(f"{folder / 'config.json'} is not a model's config")
    return config


def geometry_of(config: Mapping[str, Any]) -> Geometry | None:
    """The geometry that a config.json states, None if it does not in the usual words."""
    heads = config.get("num_attention_heads")
    width = config.get("hidden_size")
    head_dim = config.get("head_dim")
    if not head_dim and _whole(heads) and _whole(width):
        head_dim = width // heads  # type: ignore[operator]
    found = (
        config.get("num_hidden_layers"),
        config.get("num_key_value_heads") or heads,
        head_dim,
        config.get("max_position_embeddings"),
    )
    return Geometry(*found) if all(_whole(value) for value in found) else None  # type: ignore[arg-type]


def dtype_of(config: Mapping[str, Any]) -> str:
    """The dtype that a config.json states (`dtype`, before transformers 5 `torch_dtype`), else bfloat16."""
    found = config.get("dtype") or config.get("torch_dtype")
    return found if isinstance(found, str) else "bfloat16"


def stated_geometry(model: Mapping[str, Any]) -> Geometry | None:
    """The geometry in a model config (`geometry: {layers, kv_heads, head_dim, context}`)."""
    stated = model.get("geometry")
    return Geometry(**stated) if stated else None


def chat_template(folder: Path) -> str | None:
    """The Jinja source of the checkpoint's chat template; None if it has none.

    chat_template.jinja wins over tokenizer_config.json, and of several named ones `default` is in force:
    the order of `transformers`.
    """
    file = folder / "chat_template.jinja"
    if file.is_file():
        return _read_text(file)
    found = _read_json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(found, list):
        found = next((t.get("template") for t in found if t.get("name") == "default"), None)
    return found if isinstance(found, str) else None


def _whole(value: object) -> bool:
    return isinstance(value, int) and value > 0


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise UserError(f"{path} is larger than such a file can be")
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON") from error
    return content if isinstance(content, dict) else {}
