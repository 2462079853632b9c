"""Settings as types: what every block of the config has, what makes a run's identity, and errors in one line.

A block is a pydantic model that knows every key it may have. Each field says by its annotation whether it is
part of a run's identity: `Immaterial` is where or how patiently a run works, how it is scored, and prose.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from evalkit.schema import UserError, nearest
from evalkit.text import printable, public_url

T = TypeVar("T")


class _Mark:
    """A word about a field, beside its type."""

    def __init__(self, word: str) -> None:
        self.word = word


_IMMATERIAL = _Mark("immaterial")
_FILE_NAME = _Mark("file name")
_PRIVATE = _Mark("private")
_ADDRESS = _Mark("address")
_WHERE_ON = _Mark("where on")

Immaterial = Annotated[T, _IMMATERIAL]
"""No part of a run's identity: changing it neither changes a run's answers nor finds another folder."""

ByFileName = Annotated[T, _FILE_NAME]
"""A path of which only the last part is identity: the same file elsewhere is the same run."""

WithoutSecrets = Annotated[T, _ADDRESS, _PRIVATE]
"""An address: identity is what is left of it without user, password and what follows a question mark."""

WhereOn = Annotated[T, _WHERE_ON]
"""A switch that came later than the runs there are: part of a run's identity where it is on."""

Private = Annotated[T, _PRIVATE]
"""A value that error messages do not repeat, because it may hold a secret."""

Prose = Annotated[str | None, _IMMATERIAL]
"""For readers only."""

Whole = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Settings(BaseModel):
    """A block of the config. Unknown keys and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


S = TypeVar("S", bound=Settings)


def read(kind: type[S], block: Mapping[str, Any], name: str = "") -> S:
    """A composed block as its type.

    Args:
        name: what the block is called in the config, for messages; "" at the top.

    Raises:
        UserError: one line that names the first wrong setting and what it may be.
    """
    try:
        return kind.model_validate(block)
    except ValidationError as error:
        raise UserError(_line(kind, error, name)) from error


def identity(settings: BaseModel) -> dict[str, Any]:
    """The settings that make a run what it is, as flat dotted keys, in the fields' order."""
    return dict(_material(settings, ""))


def _material(settings: BaseModel, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, field in type(settings).model_fields.items():
        if _IMMATERIAL in field.metadata:
            continue
        value = getattr(settings, name)
        if _WHERE_ON in field.metadata and not value:
            continue
        if _FILE_NAME in field.metadata and value is not None:
            value = PurePath(value).name
        if _ADDRESS in field.metadata and value is not None:
            value = public_url(value)
        yield from _flat(value, f"{prefix}{name}")


def _flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any value of a setting
    if isinstance(value, BaseModel):
        yield from _material(value, f"{name}.")
    elif isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from _flat(each, f"{name}.{key}")
    else:
        yield name, value


_SHOWN = 80  # characters of a wrong value
_TEXT_ERRORS = {
    "string_pattern_mismatch": "a name without / and \\",
    "string_too_short": "a text that is not empty",
}


def _line(kind: type[Settings], error: ValidationError, name: str) -> str:
    first = error.errors(include_url=False)[0]
    place = _place(kind, first["loc"])
    key = printable(".".join([*([name] if name else []), *place.names]), 2 * _SHOWN)
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    if first["type"] == "extra_forbidden":
        last = str(first["loc"][-1])
        block = _model(place.annotation)
        known = [f"{key}.{each}" if key else each for each in block.model_fields] if block else []
        key = f"{key}.{last}" if key else last
        return f"no such setting: '{_shown(key)}'.{nearest(key, known)} See `evalkit run --help`"
    if first["type"] == "missing":
        return f"{key} is missing: add {key}=VALUE to the command"
    wanted = _TEXT_ERRORS.get(first["type"]) or _expected(place.annotation, place.metadata)
    if first["type"] == "string_too_long":
        wanted = f"a text of at most {first['ctx']['max_length']} characters"
    wanted = f"each must be {wanted}" if place.item else f"must be {wanted}"
    if place.private:
        return f"{key}: {wanted}"
    value = _shown(first["input"])
    hint = nearest(value, _words(place.annotation))
    return f"{key}={f'[{value}]' if place.item else value}: {wanted}" + (f".{hint}" if hint else "")


def _shown(value: object) -> str:
    """A value as the command line writes it, short and on one line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return printable(str(value), _SHOWN)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the config an error is: the keys down to it, and what may be there. ``item``: of a list."""

    names: tuple[str, ...]
    annotation: Any
    metadata: Sequence[object]
    private: bool
    item: bool


def _place(kind: type[BaseModel], loc: Sequence[str | int]) -> _Place:
    names: list[str] = []
    annotation: Any = kind
    metadata: Sequence[object] = ()
    private = item = False
    for part in loc:
        each = {get_origin(one) or one: one for one in _alternatives(annotation)}
        model = _model(annotation)
        if model and isinstance(part, str) and part in model.model_fields:
            field = model.model_fields[part]
            annotation, metadata, item = field.annotation, field.metadata, False
            private = private or _PRIVATE in metadata
            names.append(part)
        elif list in each and isinstance(part, int):
            annotation, metadata, item = get_args(each[list])[0], (), True
        elif dict in each and part != "[key]" and not (isinstance(part, str) and part.startswith("dict[")):
            annotation, metadata, item = get_args(each[dict])[1], (), False
            names.append(str(part))
    return _Place(tuple(names), annotation, metadata, private, item)


def _alternatives(annotation: Any) -> list[Any]:  # noqa: ANN401 - any annotation
    """The members of a union, without what `Annotated` adds."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [one for each in get_args(annotation) for one in _alternatives(each)]
    return [annotation]


def _model(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any annotation
    for each in _alternatives(annotation):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each
    return None


def _expected(annotation: Any, metadata: Sequence[object]) -> str:  # noqa: ANN401 - any annotation
    """What a field may be, in words."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _expected(args[0], [*metadata, *_bounds(args[1:])])
    if origin in (Union, types.UnionType):
        rest = [each for each in args if each is not type(None)]
        words = ", or ".join(_expected(each, metadata) for each in rest)
        return words if len(rest) == len(args) else f"{words}, or null"
    if origin is Literal:
        *first, last = [str(each) for each in args if isinstance(each, str)]
        return f"{', '.join(first)} or {last}" if first else last
    if annotation is bool:
        return "true or false"
    if annotation in (int, float):
        return _number("a whole number" if annotation is int else "a number", _bounds(metadata))
    if annotation is str:
        return "a text"
    if origin is list:
        return "a list: KEY=[A,B]"
    return "settings of its own"


def _bounds(metadata: Sequence[object]) -> list[object]:
    found: list[object] = []
    for each in metadata:
        found += each.metadata if isinstance(each, FieldInfo) else [each]
    return found


def _number(what: str, metadata: Sequence[object]) -> str:
    low = next((each for each in metadata if isinstance(each, Ge | Gt)), None)
    high = next((each for each in metadata if isinstance(each, Le | Lt)), None)
    least = getattr(low, "ge", None)
    if isinstance(least, int | float) and isinstance(high, Le):
        return f"{what} from {least:g} to {high.le:g}"
    if isinstance(low, Gt):
        most = f" and at most {high.le:g}" if isinstance(high, Le) else ""
        return f"{what} above {low.gt:g}{most}"
    return f"{what}, {least:g} or more" if isinstance(least, int | float) else what


def _words(annotation: Any) -> list[str]:  # noqa: ANN401 - any annotation
    if get_origin(annotation) is Literal:
        return [each for each in get_args(annotation) if isinstance(each, str)]
    return [word for each in get_args(annotation) for word in _words(each)]
