"""What an importer yields."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Output:
    """One recorded output. ``where`` is its place in the log, for error messages.

    ``sample`` counts repetitions of one item from 0. ``finish_reason`` is None where the log does not tell
    it, ``length`` where the output was cut at the token limit.
    """

    where: str
    id: str
    turn: int | None
    sample: int
    text: str
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A sample without an output, and why in a few words (the same words for the same reason)."""

    why: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user said about the log: its benchmark, and the dotted fields that hold id and turn."""

    benchmark: str | None = None
    id: str | None = None
    turn: str | None = None
