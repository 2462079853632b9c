"""Logs of other harnesses, read as outputs that replay can score. One module per log format, found by name.

A format's module has ``outputs(path, settings)``, which yields an `Output` or a `LeftOut` for every sample of
one log file, and raises UserError for a file that is not such a log.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, cast

from evalkit.errors import UserError, nearest
from evalkit.importers.common.outputs import LeftOut, Output, Settings


class Importer(Protocol):
    """What a format's module offers."""

    def outputs(self, path: Path, settings: Settings) -> Iterator[Output | LeftOut]:
        """The samples of one log file."""
        ...


def formats() -> list[str]:
    """The formats that can be imported, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)


def importer(name: str) -> Importer:
    """The module of a format; `lm-eval` means `lm_eval`. Raises UserError for an unknown one."""
    known = formats()
    module = name.replace("-", "_")
    if module not in known:
        raise UserError(f"import: no format '{name}'.{nearest(module, known)} Formats: {', '.join(known)}")
    return cast(Importer, importlib.import_module(f"evalkit.importers.{module}"))
