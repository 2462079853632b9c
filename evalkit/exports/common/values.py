"""Values out of a record's head. Records travel: a block may be somebody else's, and hold anything."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn")
CAP = 300
_TOO_LARGE = 2**63


def text(value: object, cap: int = CAP) -> str | None:
    """A text or number as one line of visible characters, at most `cap` of them; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    shown = " ".join(str(value)[: 4 * cap].split())[:cap]
    return "".join("�" if unicodedata.category(each) in _INVISIBLE else each for each in shown) or None


def number(value: object) -> float | None:
    """A finite number of a sensible size as it is; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _TOO_LARGE:
        return None
    return value


def count(value: object) -> int | None:
    """A whole number from 0; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def block(value: object) -> Mapping[str, Any]:
    """A mapping, empty for anything else."""
    return value if isinstance(value, Mapping) else {}


def texts(values: Mapping[str, object]) -> dict[str, str]:
    """Those of `values` that are texts or numbers, as texts."""
    return {key: shown for key, value in values.items() if (shown := text(value)) is not None}
