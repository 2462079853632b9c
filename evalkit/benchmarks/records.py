"""Upstream records with typed access: whatever a file holds, a bad field ends in one line that names it.

Data files are hostile input. Nothing here evaluates them, and sizes are bounded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from evalkit.errors import UserError

_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Record:
    """One upstream record and where it stands.

    ``file`` is the name under the data directory ("finqa/test.json"), ``place`` what ``number`` counts
    ("record" or "line"), from 1. Fields are named by dotted paths ("qa.exe_ans"). The typed getters raise
    UserError for a field that is missing or of another type.
    """

    file: str
    place: str
    number: int
    data: Mapping[str, Any]

    @property
    def where(self) -> str:
        return f"{self.file}: {self.place} {self.number}"

    def get(self, field: str) -> Any:  # noqa: ANN401 - upstream JSON is of any type
        """The raw value of a field, or a private marker that no type check accepts."""
        value: Any = self.data
        for part in field.split("."):
            value = value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING
        return value

    def error(self, field: str, expected: str) -> UserError:
        """The error for a field that is not what was expected."""
        return UserError(f"{self.where}: field {field}: expected {expected}, got {describe(self.get(field))}")

    def text(self, field: str) -> str:
        value = self.get(field)
        if not is_text(value):
            raise self.error(field, "text")
        return str(value)

    def filled(self, field: str) -> str:
        """A text that holds more than blanks."""
        value = self.text(field)
        if not value.strip():
            raise self.error(field, "a text that is not empty")
        return value

    def optional(self, field: str) -> str:
        """A text; '' where the field is absent or null."""
        value = self.get(field)
        return "" if value is None or value is _MISSING else self.text(field)

    def texts(self, field: str) -> list[str]:
        value = self.get(field)
        if not isinstance(value, list) or not all(map(is_text, value)):
            raise self.error(field, "a list of texts")
        return value

    def table(self, field: str) -> list[list[str]]:
        value = self.get(field)
        if not isinstance(value, list) or not all(
            isinstance(row, list) and all(map(is_text, row)) for row in value
        ):
            raise self.error(field, "a list of rows of texts")
        return value

    def answers(self, field: str) -> list[float | bool]:
        """A list of golds, each as `answer` reads them."""
        value = self.get(field)
        if not isinstance(value, list) or any(as_answer(item) is None for item in value):
            raise self.error(field, "a list of numbers or yes/no")
        return [answer for item in value if (answer := as_answer(item)) is not None]

    def answer(self, field: str) -> float | bool:
        """A gold as FinQA writes it: a finite number, or 'yes'/'no' (returned as a bool)."""
        answer = as_answer(self.get(field))
        if answer is None:
            raise self.error(field, "a number or yes/no")
        return answer


def is_text(value: object) -> bool:
    """Whether a value is a string that can be written as UTF-8 (JSON can smuggle in half surrogate pairs)."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_answer(value: object) -> float | bool | None:
    """A finite number as a float, 'yes'/'no' as a bool, anything else as None."""
    if value in ("yes", "no"):
        return value == "yes"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def describe(value: object) -> str:
    """A value in a few words on one line, for an error message."""
    if value is _MISSING:
        return "nothing"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, int) and abs(value) >= 10**40:  # longer integers may refuse to be printed
        return "a huge integer"
    shown = ascii(value) if isinstance(value, str) and not is_text(value) else repr(value)
    return shown if len(shown) <= 40 else shown[:37] + "..."
