"""`strict=true`: a file whose tensors contradict the recipe that it claims is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.errors import UserError


def refuse_contradictions(name: str, engine: Mapping[str, Any]) -> None:
    """Raises UserError if the weights are not what their recipe claims.

    Args:
        engine: its description; that of a fleet says nothing before it is connected.
    """
    recipe = engine.get("weights", {}).get("recipe", {})
    for warning in recipe.get("warnings", ()):
        raise UserError(f"{name}: {warning} (strict=true refuses such a file)")
