"""Members that do not exist yet: the recipes of a ladder, built from one model's file when needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evalkit.config import compose, to_dict
from evalkit.errors import UserError, nearest
from evalkit.sweep.settings import Settings

if TYPE_CHECKING:
    from evalkit.quantize.ladder import Recipe


def ladder_configs(settings: Settings, overrides: Sequence[str]) -> Iterator[dict[str, Any]]:
    """One run config per recipe: the source model's, with the file to be built as its source.

    Raises:
        UserError: no such ladder, source or recipe.
    """
    from evalkit.quantize.ladder import recipes

    config = to_dict(compose([f"+model={settings.source}", f"+ladder={settings.ladder}", *overrides]))
    known = recipes(config.pop("ladder"))
    for name in settings.recipes or tuple(known):
        if name not in known:
            raise UserError(
                f"sweep.recipes: the ladder {settings.ladder} has no '{name}'.{nearest(name, known)} "
                f"It has {', '.join(known)}"
            )
        yield {**config, "model": _model(config["model"], known[name])}


def _model(base: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    return {
        **base,
        "name": f"{base['name']}-{recipe.name}",
        "title": f"{base['title']} → {recipe.name}",
        "path": None,
        "source": {"ladder": recipe.name, "recipe": _fields(recipe), "model": dict(base)},
        "sha256": None,
        "size_bytes": None,
        "recipe": _claim(recipe),
    }


def _fields(recipe: Recipe) -> dict[str, Any]:
    return {name: getattr(recipe, name) for name in recipe.__slots__}


def _claim(recipe: Recipe) -> dict[str, str]:
    """In the words of the model configs: what embeddings, output and the rest are said to be."""
    claim = {"embeddings": recipe.embeddings, "output": recipe.output, "rest": recipe.type}
    return {part: type_ for part, type_ in claim.items() if type_}
