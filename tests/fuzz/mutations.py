"""Hostile variants of valid files: of their bytes, and of the JSON in them."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import note
from hypothesis import strategies as st

SECONDS = 5.0  # of CPU for one small file; what is bounded takes milliseconds

_SCALARS: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 0.5, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63), 10**400),
    *(1e308, -1e308, float("nan"), float("inf"), -0.0, 5e-324),
    *("", " ", "x", "\ud800", "\udc00x", "\0", "\u2028", "\u202e", "\x1b[31m", "../x", "/etc/passwd", "nan"),
    *("1e999", "=cmd()", "<script>", "1" * 5000, "a" * 70_000, "{{ 1 }}", "%s", "٣", "１２", "-", "\r\n"),
    *([], {}, [[]], [None], {"": None}, [{}], {"id": {}}, ["x"] * 300, {"error": {"message": 5}}),
]


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in a JSON value."""
    yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from _places(child, (*path, key))


@st.composite
def json_like(draw: st.DrawFn, valid: Any) -> Any:
    """`valid` with up to three of its values replaced, removed, doubled or renamed."""
    value = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(value))
        path = places[draw(st.integers(0, len(places) - 1))]
        if not path:
            if draw(st.integers(0, 9)) == 0:
                return copy.deepcopy(draw(_hostile()))
            continue
        parent = value
        for key in path[:-1]:
            parent = parent[key]
        _change(draw, parent, path[-1])
    return value


def _change(draw: st.DrawFn, parent: Any, key: Any) -> None:
    kind = draw(st.sampled_from(("replace", "replace", "remove", "double", "wrap", "rename")))
    if kind == "replace":
        parent[key] = copy.deepcopy(draw(_hostile()))
    elif kind == "remove":
        del parent[key]
    elif kind == "wrap":
        parent[key] = draw(st.sampled_from(([parent[key]], {"x": parent[key]}, str(parent[key]))))
    elif isinstance(parent, list):
        parent.append(copy.deepcopy(parent[key]))
    elif kind == "rename":
        parent[draw(st.sampled_from(("", "id", "text", "\ud800", "x" * 300)))] = parent.pop(key)


def _hostile() -> st.SearchStrategy[Any]:
    return st.one_of(
        st.sampled_from(_SCALARS),
        st.text(max_size=8),
        st.integers(),
        st.floats(),
        st.integers(1, 900).map(_nested),
    )


def dumped(value: Any) -> bytes:
    """As JSON, with what JSON does not know (NaN) and half surrogate pairs as escapes."""
    return json.dumps(value).encode()


_PIECES = (b"\0" * 8, b"\xff" * 8, b"\xff" * 7 + b"\x7f", b"\n", b'"', b"[" * 2000, b"\r")


@st.composite
def bytes_like(draw: st.DrawFn, valid: bytes) -> bytes:
    """`valid` cut, with bytes changed, put in, removed or doubled."""
    content = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        length = draw(st.sampled_from((1, 1, 2, 4, 8, 50)))
        kind = draw(st.sampled_from(("set", "set", "insert", "remove", "double", "cut")))
        if kind == "cut":
            del content[place:]
        elif kind == "remove":
            del content[place : place + length]
        elif kind == "double":
            content[place:place] = content[place : place + length]
        else:
            new = draw(
                st.one_of(
                    st.binary(min_size=1, max_size=8),
                    st.sampled_from(_PIECES),
                )
            )
            content[place : place + (len(new) if kind == "set" else 0)] = new
    return bytes(content)


def bounded(read: Callable[[], object], *allowed: type[Exception]) -> None:
    """Call a reader: it must end soon, well or by an error of an `allowed` type in one short line."""
    started = time.process_time()
    try:
        read()
    except allowed as error:
        text = str(error)
        note(text)
        assert "\n" not in text
        assert len(text) < 2_000
    assert time.process_time() - started < SECONDS
