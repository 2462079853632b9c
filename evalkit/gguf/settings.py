"""The KEY=VALUE arguments of the GGUF commands."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from evalkit.errors import UserError, nearest
from evalkit.gguf.synthetic import Geometry

_DIGITS = 12
_NUMBERS = ("layers", "hidden", "feed_forward", "heads", "kv_heads", "head_dim", "vocabulary", "context")
SHAPE = (*_NUMBERS, "tied")


def settings(command: str, arguments: Sequence[str], known: Collection[str]) -> dict[str, str]:
    """`arguments` by key.

    Raises:
        UserError: one is not KEY=VALUE, or of a key that is not `known`.
    """
    found: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or not value:
            raise UserError(f"{command}: cannot read '{argument}': write KEY=VALUE")
        if key not in known:
            all_known = ", ".join(f"{name}=" for name in known)
            raise UserError(
                f"{command}: no such setting: '{key}'.{nearest(key, known)} Settings: {all_known}"
            )
        found[key] = value
    return found


def whole(key: str, text: str) -> int:
    """A whole number above 0."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and int(text) > 0):
        raise UserError(f"{key}={text}: give a whole number above 0")
    return int(text)


def wholes(key: str, text: str) -> list[int]:
    """`4096,8192`."""
    return [whole(key, part) for part in text.strip("[]").split(",")]


def switch(key: str, text: str) -> bool:
    """true or false, on or off."""
    values = {"true": True, "on": True, "false": False, "off": False}
    if text.lower() not in values:
        raise UserError(f"{key}={text}: give true or false")
    return values[text.lower()]


def shape(options: Mapping[str, str]) -> Geometry:
    """The geometry that the `SHAPE` settings among `options` give; Qwen2.5-7B's where they say nothing."""
    numbers = {key: whole(key, options[key]) for key in _NUMBERS if key in options}
    return Geometry(**numbers, tied=switch("tied", options.get("tied", "false")))
