"""Gold answers as JSON, so that a column of a data set can hold them.

A gold answer is an object of its `kind` and the fields of its type in `evalkit.schema`; a field with a
default may be left out:

    {"kind": "number", "value": 0.0787, "question": "what was the percentage change ...?"}
    {"kind": "yes_no", "yes": true}
    {"kind": "choice", "letter": "B", "options": {"A": "1.2 %", "B": "1.4 %"}}
    {"kind": "label", "label": "bearish", "labels": ["bearish", "bullish", "neutral"]}
    {"kind": "spans", "texts": ["96.4"], "scale": "million"}
    {"kind": "text", "reference": "Duration is ..."}
    {"kind": "code", "function": "npv(rate, flows)", "cases": [["[0.1, [-100, 121]]", "10.0"]]}

SpansGold has a field `kind` of its own, which is `spans_kind` here. A column of objects gets the fields of
all its rows, with null where a row has none: null is as good as left out. A column of JSON text has no such
effect, and is what `gold_json` makes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from functools import cache, lru_cache
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from evalkit.schema import (
    GOLD_TYPES,
    KIND_OF_GOLD,
    ChoiceGold,
    Gold,
    GoldKind,
    LabelGold,
    NumberGold,
    SpansGold,
    UserError,
    nearest,
)
from evalkit.text import printable, shown

MAX_CHARS = 1 << 20
"""Of a gold answer's JSON: a page's table is part of it."""

_NAMES: dict[tuple[type[Gold], str], str] = {
    (SpansGold, "kind"): "spans_kind"
}  # `kind` says which type it is
_SCALES = ("", "thousand", "million", "billion", "percent")


def gold_json(gold: Gold) -> str:
    """A gold answer as one line of JSON, without fields that are as by default."""
    own = {
        _name(type(gold), each): getattr(gold, each.name)
        for each in fields(gold)
        if getattr(gold, each.name) != each.default
    }
    return json.dumps({"kind": KIND_OF_GOLD[type(gold)], **own}, ensure_ascii=False)


def read_gold(value: object) -> Gold:
    """The gold answer of a column's value: the object described above, or its JSON.

    Raises:
        UserError: it is none; one line that says why.
    """
    if isinstance(value, str):
        return _read(value)
    if not isinstance(value, Mapping):
        raise UserError(f'not an object such as {{"kind": "number", "value": 1.5}}, but {shown(value)}')
    try:
        text = json.dumps(value, ensure_ascii=False, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"not JSON: {printable(str(error))}") from error
    return _read(text)


def _plain(value: object) -> object:
    """What numpy has in the place of lists and numbers: rows of a Parquet file come so."""
    if not hasattr(value, "tolist"):
        raise TypeError(f"a {type(value).__name__} is none")
    return value.tolist()


@lru_cache(maxsize=1024)  # a group of completions has one gold answer
def _read(text: str) -> Gold:
    if len(text) > MAX_CHARS:
        raise UserError(f"{len(text)} characters; at most {MAX_CHARS} are read")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"not JSON: {shown(text)}") from error
    if not isinstance(found, dict):
        raise UserError(f'not an object such as {{"kind": "number", "value": 1.5}}, but {shown(text)}')
    kind = found.pop("kind", None)
    if kind not in get_args(GoldKind):
        raise UserError(
            f"kind {shown(kind)}: it is one of {', '.join(GOLD_TYPES)}.{nearest(str(kind)[:40], GOLD_TYPES)}"
        )
    return _checked(_gold(kind, _without_null(found)))


def _without_null(found: Mapping[str, object]) -> dict[str, object]:
    given = {name: value for name, value in found.items() if value is not None}
    options = given.get("options")
    if isinstance(options, Mapping):
        given["options"] = {letter: text for letter, text in options.items() if text is not None}
    return given


def _gold(kind: GoldKind, given: Mapping[str, object]) -> Gold:
    """The gold answer of a kind, its fields of the right types."""
    own = {_name(GOLD_TYPES[kind], each): each for each in fields(GOLD_TYPES[kind])}
    for name in given:
        if name not in own:
            raise UserError(f"kind {kind} has no field {shown(name)}.{nearest(name[:40], own)}")
    for name, each in own.items():
        if each.default is MISSING and name not in given:
            raise UserError(f"kind {kind} needs the field '{name}'")
    try:
        # In JSON a list may be a tuple, and all else is strict: "1" is no number.
        return _adapter(kind).validate_json(
            json.dumps({own[name].name: value for name, value in given.items()}), strict=True
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        place = f"field '{printable(where)}' of kind {kind}" if where else f"kind {kind}"
        raise UserError(f"{place}: {printable(first['msg'].lower())}") from error


@cache
def _adapter(kind: GoldKind) -> TypeAdapter[Gold]:
    return TypeAdapter(GOLD_TYPES[kind])


def _checked(gold: Gold) -> Gold:
    """The same. Raises UserError where its fields contradict each other, so that no answer could be right."""
    if isinstance(gold, NumberGold) and not math.isfinite(gold.value):
        raise UserError("value is not a finite number")
    if isinstance(gold, ChoiceGold) and gold.letter not in gold.options:
        raise UserError(f"letter {shown(gold.letter)} is none of the options {shown(''.join(gold.options))}")
    if isinstance(gold, LabelGold) and gold.label not in gold.labels:
        raise UserError(f"label {shown(gold.label)} is none of the labels {shown(gold.labels)}")
    if isinstance(gold, SpansGold) and not gold.texts:
        raise UserError("texts is empty")
    if isinstance(gold, SpansGold) and gold.scale not in _SCALES:
        raise UserError(f"scale {shown(gold.scale)}: it is empty or one of {', '.join(_SCALES[1:])}")
    return gold


def _name(kind: type[Gold], field: Field[Any]) -> str:
    return _NAMES.get((kind, field.name), field.name)
