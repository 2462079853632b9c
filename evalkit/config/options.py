"""KEY=VALUE arguments of every command: one reader, and what the values should be.

What Hydra composes (`evalkit run`, `sweep`, and what other commands hand on to it) has its types in
`evalkit.config.settings`; these are the few settings that a command has of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evalkit.schema import UserError, nearest
from evalkit.text import printable

_DIGITS = 12
_LARGEST = 10**_DIGITS - 1


@dataclass(frozen=True, slots=True)
class Arguments:
    """A command's arguments, sorted.

    `values` holds every setting of the command's own, "" for one that is not given and has no default;
    `places` what is no KEY=VALUE, such as folders; `handed_on` what is Hydra's. Every reader below raises
    UserError, in one line that names command, key and value, where the value is not what it should be.
    """

    command: str
    values: Mapping[str, str]
    places: list[str] = field(default_factory=list)
    handed_on: list[str] = field(default_factory=list)

    def text(self, key: str) -> str:
        """The value as it is."""
        return self.values[key]

    def path(self, key: str) -> Path | None:
        """A file or folder; None if it is not given."""
        return Path(self.values[key]).expanduser() if self.values[key] else None

    def names(self, key: str) -> list[str]:
        """`[A,B]`, or `A,B`."""
        return [name.strip() for name in self.values[key].strip(" []").split(",") if name.strip()]

    def truth(self, key: str) -> bool:
        """true or false, on or off."""
        known = {"true": True, "on": True, "false": False, "off": False}
        text = self.values[key].lower()
        if text not in known:
            raise self.refusal(key, "write true or false")
        return known[text]

    def whole(self, key: str, least: int = 1, most: int = _LARGEST) -> int:
        """A whole number of at least `least`."""
        return self._whole(key, self.values[key], least, most)

    def wholes(self, key: str) -> list[int]:
        """`4096,8192`."""
        return [self._whole(key, part, 1, _LARGEST) for part in self.names(key) or [""]]

    def optional_whole(self, key: str) -> int | None:
        """A whole number of at least 1; None if it is not given, or is `all`."""
        return None if self.values[key] in ("", "all") else self.whole(key)

    def number(self, key: str, above: float, below: float) -> float:
        """A number between two bounds that it may not reach."""
        try:
            found = float(self.values[key])
        except ValueError:
            found = above
        if not above < found < below:
            raise self.refusal(key, f"give a number above {above:g} and below {below:g}")
        return found

    def _whole(self, key: str, text: str, least: int, most: int) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and least <= int(text) <= most):
            bounds = f"of at least {least}" if most == _LARGEST else f"from {least} to {most}"
            raise self.refusal(key, f"give a whole number {bounds}")
        return int(text)

    def refusal(self, key: str, what_to_do: str) -> UserError:
        """The error that says in one line what is wrong with a setting."""
        return UserError(f"{self.command}: {key}={printable(self.values[key])}: {what_to_do}")


def read_arguments(
    command: str,
    arguments: Sequence[str],
    defaults: Mapping[str, str],
    *,
    hand_on: Callable[[str], bool] | None = None,
) -> Arguments:
    """Sort the arguments of a command.

    Args:
        defaults: the settings that it knows, with their values if they are not given.
        hand_on: whether a key is Hydra's (see `everything`); None: none is.

    Raises:
        UserError: a setting is not known, is given twice, or has no value.
    """
    places, handed_on, given = [], [], dict[str, str]()
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            places.append(argument)
        elif key in defaults:
            if not value or key in given:
                raise UserError(f"{command}: give {key}=VALUE once")
            given[key] = value
        elif hand_on is not None and hand_on(key.lstrip("+~")):
            handed_on.append(argument)
        else:
            names = ", ".join(f"{name}=" for name in defaults)
            hint = nearest(key, defaults)
            raise UserError(f"{command}: no such setting: '{printable(key)}' ({names}).{hint}")
    return Arguments(command, {**defaults, **given}, places, handed_on)


def everything(_key: str) -> bool:
    """For commands that hand on whatever they do not know."""
    return True


def json_wanted(command: str, arguments: Sequence[str]) -> tuple[bool, list[str]]:
    """Whether `json=true` is among the arguments of a command whose settings are Hydra's, and the others."""
    words = [argument for argument in arguments if argument.startswith("json=")]
    rest = [argument for argument in arguments if argument not in words]
    given = read_arguments(command, words, {"json": "false"})
    return given.truth("json"), rest


def no_places(arguments: Arguments) -> Arguments:
    """The same arguments.

    Raises:
        UserError: one of them is not KEY=VALUE.
    """
    if arguments.places:
        found = printable(arguments.places[0])
        raise UserError(f"{arguments.command}: cannot read '{found}': write KEY=VALUE")
    return arguments
