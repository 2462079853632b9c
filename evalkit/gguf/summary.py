"""What a GGUF header says, in the figures that decide about deployment."""

from __future__ import annotations

import hashlib
import math
from typing import Any

from evalkit.gguf.header import ArrayInfo, GGUFHeader, TensorInfo

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
