"""Everything that `evalkit gguf` says of a file, as data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from evalkit.errors import UserError
from evalkit.gguf.header import GGUFHeader
from evalkit.gguf.memory import predicted_memory
from evalkit.gguf.recipe import contradictions, found_recipe
from evalkit.gguf.summary import summary


def facts(
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
    memory, note = _memory(header, context, slots, flash_attention=flash_attention)
    return {
        "file": header.path.name,
        "sha256": sha256,
        **summary(header),
        "recipe": {
            "found": recipe.name,
            "claimed": claimed,
            "contradictions": contradictions(header, claimed, header.path.name),
            "fallbacks": list(recipe.fallbacks),
            "groups": [{**asdict(g), "bits_per_weight": round(g.bits_per_weight, 4)} for g in recipe.groups],
        },
        "serving": {"context": context, "slots": slots, "flash_attention": flash_attention},
        "memory": memory,
        "memory_note": note,
    }


def _memory(
    header: GGUFHeader, context: int, slots: int, *, flash_attention: bool
) -> tuple[dict[str, int] | None, str | None]:
    try:
        found = predicted_memory(header, context=context, slots=slots, flash_attention=flash_attention)
    except UserError as error:
        return None, str(error)
    return {**asdict(found), "total": found.total}, None
