"""The arguments of the judge's commands: folders, settings of their own, and settings of the judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evalkit.errors import UserError, nearest


@dataclass(frozen=True, slots=True)
class Given:
    """``options`` hold every setting of the command's own, ``judge`` what is Hydra's, such as judge=local."""

    folders: list[Path]
    options: dict[str, str]
    judge: list[str] = field(default_factory=list)


def given(command: str, arguments: Sequence[str], defaults: Mapping[str, str]) -> Given:
    """Sort the arguments of a command.

    Args:
        defaults: the command's own settings.

    Raises:
        UserError: a setting is not known.
    """
    folders, judge, options = [], [], dict(defaults)
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals:
            folders.append(Path(argument))
        elif name.lstrip("+") == "judge" or name.startswith("judge."):
            judge.append(argument)
        elif name in defaults:
            options[name] = value
        else:
            known = ", ".join(f"{each}=" for each in defaults)
            raise UserError(f"judge {command}: no such setting: '{name}' ({known}).{nearest(name, defaults)}")
    return Given(folders, options, judge)


def whole(command: str, name: str, text: str, least: int = 1) -> int:
    """A whole number among a command's settings. Raises UserError if it is not one."""
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) >= least):
        raise UserError(f"judge {command}: {name}={text}: give a whole number of at least {least}")
    return int(text)
