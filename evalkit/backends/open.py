"""Finding the backend that a config names: `backend.kind` is the name of a module here."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.backends.engine import Engine
from evalkit.errors import UserError


def preflight(model: Mapping[str, Any], backend: Mapping[str, Any], max_tokens: int) -> None:
    """Whatever a backend can see to be wrong before anything is downloaded.

    Raises:
        UserError: this machine cannot serve the model that way.
    """
    module = f"evalkit.backends.{backend['kind']}"
    if importlib.util.find_spec(module) is not None:
        check = getattr(importlib.import_module(module), "preflight", None)
        if check is not None:
            check(model, backend, max_tokens)


def open_engine(model: Mapping[str, Any], backend: Mapping[str, Any], max_tokens: int, log: Path) -> Engine:
    """An engine for `model`, not started yet. Fetches its weights.

    Raises:
        UserError: there is no such backend, or it cannot serve this model.
    """
    module = f"evalkit.backends.{backend['kind']}"
    if importlib.util.find_spec(module) is None:
        raise UserError(
            f"{model['name']} needs the {backend['kind']} backend, which this version does not have: "
            "use one of the GGUF files (`evalkit models` lists them)"
        )
    engine: Engine = importlib.import_module(module).open_engine(model, backend, max_tokens, log)
    return engine
