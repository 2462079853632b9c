"""What a source hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import UserError


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file on this machine and, for the run record, where it came from (no secrets in it).

    ``requantized_from``: the tensor type of the already quantized file that it was made from, if it was.
    """

    path: Path
    origin: str
    requantized_from: str | None = None


def check_sha256(found: str, model: Mapping[str, Any], key: str, what: str) -> None:
    """Compare a hash (hex) with `model[key]`; null there accepts any.

    Raises:
        UserError: they differ, or what is expected is not a sha256.
    """
    expected = model.get(key)
    if expected is None:
        return
    wanted = str(expected).lower()
    if len(wanted) != 64 or not set(wanted) <= set("0123456789abcdef"):
        raise UserError(f"model.{key}={expected} is not a sha256 (64 hex digits); null accepts any file.")
    if found != wanted:
        raise UserError(
            f"{what} has sha256 {found}, expected {wanted}: damaged, or another file. "
            f"Remove it and fetch it again, or accept it with model.{key}={found}"
        )
