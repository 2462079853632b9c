"""Amounts of memory as people write and read them."""

from __future__ import annotations

import re

from evalkit.errors import UserError

_BINARY = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
_UNITS = {"": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_UNITS |= {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_WRITTEN = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([a-z]{0,3})", re.IGNORECASE | re.ASCII)


def parse_size(text: str, what: str) -> int:
    """Bytes of `6GiB`, `6.5 GB`, `800MiB`, `6442450944`; `what` names the setting in the error.

    Raises:
        UserError: it is not a positive amount in a known unit.
    """
    match = _WRITTEN.fullmatch(text.strip())
    factor = _UNITS.get(match[2].lower()) if match else None
    if match is None or factor is None or (count := int(float(match[1]) * factor)) <= 0:
        raise UserError(
            f"{what}={text[:40]!a} is not an amount of memory: write 6GiB, 6.5GB, 800MiB or bytes"
        )
    return count


def size(count: int, *, up: bool = False) -> str:
    """Bytes in GiB, MiB or KiB with two decimals; `up` rounds up, so that a need is never understated."""
    unit, name = next((each for each in _BINARY if count >= each[0]), (1, "bytes"))
    if unit == 1:
        return f"{count} bytes"
    hundredths = -(-count * 100 // unit) if up else round(count * 100 / unit)
    return f"{hundredths / 100:.2f} {name}"
