"""A sweep's record from a file that may be anybody's, checked for what reports and curves rest on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from evalkit.errors import UserError
from evalkit.sweep.record import Sweep, read_sweep

LARGEST = 1e18
"""No size in bytes, no speed and no count comes near; what does breaks axes."""


def read_checked(path: Path) -> Sweep:
    """A sweep read back from its file.

    Raises:
        UserError: it cannot be read, its reference is none of its members, or a number in it cannot be one.
    """
    sweep = read_sweep(path)
    if sweep.reference not in [member.name for member in sweep.members]:
        raise UserError(f"{path} is not a sweep's record: its reference is not among its members")
    impossible = next((n for n in _numbers(asdict(sweep)) if not -LARGEST < n < LARGEST), None)
    if impossible is not None:
        shown = "a number that is none" if impossible != impossible else "a number that is too large"
        raise UserError(f"{path} is not a sweep's record: it has {shown}")
    return sweep


def _numbers(node: object) -> Iterator[float]:
    if isinstance(node, int | float):
        yield node
    elif isinstance(node, dict):
        for each in node.values():
            yield from _numbers(each)
    elif isinstance(node, list | tuple):
        for each in node:
            yield from _numbers(each)
