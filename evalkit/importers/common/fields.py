"""Ids, turns and texts from a log's records. Logs are hostile input: a bad field ends in one line."""

from __future__ import annotations

from evalkit.benchmarks.records import Record

_MAX_INTEGER = 10**18


def item_id(record: Record, field: str) -> str:
    """An item's id: a text that is not empty, or an integer, as a text. Raises UserError otherwise."""
    value = record.get(field)
    if is_count(value):
        return str(value)
    if not isinstance(value, str):
        raise record.error(field, "an id (a text or a whole number)")
    return record.filled(field)


def item_turn(record: Record, chosen: str | None, usual: tuple[str, ...]) -> int | None:
    """An item's turn, from 0: the field the user chose, else the first usual one that holds a turn.

    Raises UserError if the chosen field holds none.
    """
    if chosen is not None:
        if not is_count(record.get(chosen)):
            raise record.error(chosen, "a turn (a whole number from 0)")
        usual = (chosen,)
    turns = (record.get(field) for field in usual)
    return next((int(turn) for turn in turns if is_count(turn)), None)


def is_count(value: object) -> bool:
    """Whether a value is a whole number from 0 of a sensible size."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_INTEGER


def clean(text: str) -> str:
    """The text with half surrogate pairs, which UTF-8 cannot hold, as U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
