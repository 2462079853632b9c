"""What a run records of the GGUF file that it was served from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.gguf.header import GGUFHeader
from evalkit.models.weights import Weights


def weights_provenance(weights: Weights, header: GGUFHeader, model: Mapping[str, Any]) -> dict[str, Any]:
    """Where the file came from, its hash, its header's figures, and its recipe as claimed and as found."""
    from evalkit.gguf.recipe import contradictions, found_recipe
    from evalkit.gguf.summary import summary
    from evalkit.gguf.tokenizer import tokenizer_sha256

    claimed = model.get("recipe")
    return {
        "path": str(weights.path),
        "origin": weights.origin,
        "sha256": weights.sha256,
        "size_bytes": weights.size_bytes,
        "requantized_from": weights.requantized_from,
        "tokenizer_sha256": tokenizer_sha256(header),
        "recipe": {
            "claimed": _words(claimed),
            "found": found_recipe(header).name,
            "warnings": contradictions(header, claimed, weights.path.name),
        },
        "gguf": summary(header),
    }


def _words(claimed: object) -> str | None:
    if isinstance(claimed, Mapping):
        return ", ".join(f"{part} {type_}" for part, type_ in claimed.items() if type_) or None
    return str(claimed) if claimed else None
