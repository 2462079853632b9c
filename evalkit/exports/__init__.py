"""Run records for other tools. One module or package per format, found by name.

A format has a docstring whose first line says what it writes (`evalkit export --help` shows it) and
`export(records, out)`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

from evalkit.errors import UserError, nearest
from evalkit.records.record import Record

_SHARED = "common"


class Exporter(Protocol):
    """What a format's module offers."""

    __doc__: str | None

    def export(self, records: Sequence[Record], out: Path) -> list[Path]:
        """Write the files of `records` under the folder `out`; same records, same bytes.

        Returns:
            The files written.

        Raises:
            UserError: the records cannot be told in this format, or the folder cannot be written.
        """
        ...


def formats() -> list[str]:
    """The formats that can be exported to, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != _SHARED)


def exporter(name: str) -> Exporter:
    """The module of a format; `lm-eval` means `lm_eval`. Raises UserError for an unknown one."""
    known = formats()
    module = name.replace("-", "_")
    if module not in known:
        raise UserError(f"export: no format '{name}'.{nearest(module, known)} Formats: {', '.join(known)}")
    return cast(Exporter, importlib.import_module(f"{__name__}.{module}"))
