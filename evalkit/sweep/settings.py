"""The `sweep` block of the composed config, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.errors import UserError, nearest

NOISE = ("repeat", "slots")


@dataclass(frozen=True, slots=True)
class Settings:
    """What configs/sweep/custom.yaml describes. `margin` is in points of accuracy."""

    name: str
    title: str
    members: tuple[str, ...]
    ladder: str | None
    source: str | None
    recipes: tuple[str, ...]
    reference: str | None
    margin: float
    noise: tuple[str, ...]
    delete_weights: bool
    overrides: tuple[str, ...]
    dir: str | None


def settings_of(block: Mapping[str, Any]) -> Settings:
    """The settings in a composed `sweep` block.

    Raises:
        UserError: a value of the wrong kind, or neither or both of a ladder and members.
    """
    margin = block["margin"]
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 < margin < 100:
        raise UserError(f"sweep.margin={margin}: must be points of accuracy between 0 and 100")
    if bool(block["ladder"]) != bool(block["source"]):
        raise UserError("sweep.ladder and sweep.source belong together: which recipes, from which model")
    noise = _words("noise", block["noise"])
    for word in noise:
        if word not in NOISE:
            raise UserError(f"sweep.noise: no '{word}'.{nearest(word, NOISE)} Known: {', '.join(NOISE)}")
    return Settings(
        name=str(block["name"]),
        title=str(block["title"]),
        members=_words("members", block["members"]),
        ladder=block["ladder"],
        source=block["source"],
        recipes=_words("recipes", block["recipes"]),
        reference=block["reference"],
        margin=float(margin),
        noise=noise,
        delete_weights=_truth("delete_weights", block["delete_weights"]),
        overrides=_words("overrides", block["overrides"]),
        dir=block["dir"],
    )


def _words(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise UserError(f"sweep.{name}={value}: must be a list: sweep.{name}=[A,B]")
    return tuple(value)


def _truth(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise UserError(f"sweep.{name}={value}: must be true or false")
    return value
