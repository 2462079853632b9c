"""KEY=VALUE arguments of commands that take no Hydra config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evalkit.errors import UserError, nearest


def options_of(command: str, arguments: Sequence[str], known: Mapping[str, str]) -> dict[str, str]:
    """KEY=VALUE arguments over their defaults.

    Raises:
        UserError: a key that is not known, is given twice, or has no value.
    """
    options: dict[str, str] = {}
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key not in known:
            names = ", ".join(f"{name}=" for name in known)
            raise UserError(f"{command}: no such setting: {argument[:60]!a} ({names}).{nearest(key, known)}")
        if not value or key in options:
            raise UserError(f"{command}: give {key}=VALUE once")
        options[key] = value
    return {**known, **options}


def truth(command: str, key: str, text: str) -> bool:
    """`true` or `false`.

    Raises:
        UserError: anything else.
    """
    if text not in ("true", "false"):
        raise UserError(f"{command}: {key}={text[:60]!a}: write true or false")
    return text == "true"
