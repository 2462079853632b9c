"""From a model config to one weight file on this machine, with its hash."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import UserError
from evalkit.models import sources
from evalkit.models.digest import sha256_of
from evalkit.models.fetched import Fetched, check_sha256


@dataclass(frozen=True, slots=True)
class Weights:
    """A weight file: `sha256` in hex, `size_bytes` exact, `origin` says where it came from.

    `requantized_from` as in `Fetched`.
    """

    path: Path
    sha256: str
    size_bytes: int
    origin: str
    requantized_from: str | None = None


def resolve(model: Mapping[str, Any]) -> Weights:
    """The weight file of a llama.cpp model, downloaded if need be and checked against `sha256`.

    `model` is a plain mapping with the keys of `configs/model/*.yaml`; `path` wins over `source`.

    Raises:
        UserError: nothing to run, no such file, a failed download, a wrong hash.
    """
    name = str(model.get("name") or "model")
    fetched = _local(name, model["path"]) if model.get("path") else _fetch(name, model)
    digest = sha256_of(fetched.path)
    check_sha256(digest, model, "sha256", str(fetched.path.resolve()))
    size = fetched.path.stat().st_size
    return Weights(fetched.path, digest, size, fetched.origin, fetched.requantized_from)


def source_kinds() -> list[str]:
    """The kinds of source that exist, sorted: the files of `evalkit/models/sources`."""
    return sorted(module.name for module in pkgutil.iter_modules(sources.__path__))


def _local(name: str, given: object) -> Fetched:
    if given == "???":
        raise UserError(f"{name} needs a file: give model.path=FILE.")
    path = Path(str(given)).expanduser().absolute()
    if path.is_dir():
        files = sorted(file.name for file in path.glob("*.gguf"))
        hint = f" (one of {', '.join(files[:5])})" if files else ""
        raise UserError(f"model.path={given} is a folder: name the GGUF file in it{hint}.")
    if not path.is_file():
        raise UserError(f"model.path={given} does not exist (looked for {path}).")
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise UserError(f"model.path={given} cannot be read: {error.strerror}.") from error
    return Fetched(path, f"path:{path}")


def _fetch(name: str, model: Mapping[str, Any]) -> Fetched:
    if model.get("published_only"):
        title = model.get("title") or name
        raise UserError(f"{title}'s weights were not released; only its published row exists.")
    source = model.get("source") or {}
    kinds = [kind for kind in source_kinds() if source.get(kind)]
    if len(kinds) != 1:
        known = " or ".join(source_kinds())
        raise UserError(
            f"{name} needs exactly one source: give model.path=FILE, or model.source with {known}."
        )
    fetched: Fetched = importlib.import_module(f"{sources.__name__}.{kinds[0]}").fetch(model)
    return fetched
