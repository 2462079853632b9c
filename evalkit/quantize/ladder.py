"""The recipes of a ladder: what each file's tensors are to be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.errors import UserError, nearest
from evalkit.quantize.mixes import ALIASES, EMBEDDINGS, MIXES, OUTPUT, TENSOR_TYPES, Mix

_KEYS = ("type", "embeddings", "output", "pure")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One file of a ladder.

    `type` is a mix that llama.cpp's quantizer knows (`Q4_K` is its alias of `Q4_K_M`). `embeddings` and
    `output` are the types of those two tensors, None: as the mix has it. `pure`: every tensor in the mix's
    main type.
    """

    name: str
    type: str
    embeddings: str | None
    output: str | None
    pure: bool

    @property
    def mix_name(self) -> str:
        """`type` with its alias resolved."""
        return ALIASES.get(self.type, self.type)

    @property
    def mix(self) -> Mix:
        """The mix that `type` stands for."""
        return MIXES[self.mix_name]

    def asked(self, tensor: str) -> str | None:
        """The type that the recipe names for this very tensor, None if the mix decides."""
        return {EMBEDDINGS: self.embeddings, OUTPUT: self.output}.get(tensor)


def recipes(ladder: Mapping[str, Any]) -> dict[str, Recipe]:
    """The recipes of a composed ladder config, by name, in its order.

    Raises:
        UserError: no recipes, an unknown key, an unknown type, a name that is no file name.
    """
    name = str(ladder.get("name") or "ladder")
    given = ladder.get("recipes")
    if not isinstance(given, Mapping) or not given:
        raise UserError(f"{name} has no recipes: give ladder.recipes as a mapping of names to {{type: ...}}")
    return {str(key): _recipe(str(key), value) for key, value in given.items()}


def chosen(known: Mapping[str, Recipe], names: Sequence[str]) -> list[Recipe]:
    """The recipes of these names, each once, in the order asked for.

    Raises:
        UserError: an unknown name, or none at all.
    """
    if not names:
        raise UserError(f"no recipe given. Known: {', '.join(known)}")
    for name in names:
        if name not in known:
            raise UserError(f"no recipe '{name}'.{nearest(name, known)} Known: {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]


def _recipe(name: str, given: object) -> Recipe:
    if not _NAME.fullmatch(name):
        raise UserError(
            f"recipe {name[:80]!r}: use letters, digits, '.', '_' and '-', it is part of a file name"
        )
    if not isinstance(given, Mapping):
        raise UserError(f"recipe {name}: write {{type: Q4_K_M}}, with embeddings, output and pure if need be")
    unknown = [str(key) for key in given if key not in _KEYS]
    if unknown:
        raise UserError(f"recipe {name}: no such key {unknown[0][:80]!r}.{nearest(unknown[0], _KEYS)}")
    pure = given.get("pure", False)
    if not isinstance(pure, bool):
        raise UserError(f"recipe {name}: pure={pure}: write true or false")
    return Recipe(
        name=name,
        type=_known(name, "type", given.get("type"), [*MIXES, *ALIASES]),
        embeddings=_tensor_type(name, "embeddings", given.get("embeddings")),
        output=_tensor_type(name, "output", given.get("output")),
        pure=pure,
    )


def _tensor_type(recipe: str, key: str, value: object) -> str | None:
    return None if value is None else _known(recipe, key, value, TENSOR_TYPES)


def _known(recipe: str, key: str, value: object, known: Sequence[str]) -> str:
    name = str(value).upper()
    if name not in known:
        hint = f"{nearest(name, known)} Known: {', '.join(sorted(known))}"
        raise UserError(f"recipe {recipe}: no {key} {str(value)[:80]!r}.{hint}")
    return name
