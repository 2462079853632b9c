"""From a model config to a whole Hugging Face checkpoint on this machine, with its hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import UserError
from evalkit.models.cache import require_space
from evalkit.models.digest import sha256_of
from evalkit.models.fetched import check_sha256

_INDEX = "model.safetensors.index.json"
# Weights as safetensors only: the older formats are pickles, and unpickling runs what the file says.
_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder with config.json, a tokenizer and safetensors files.

    ``files``: sha256 (hex) by file name, sorted. ``weights_bytes``: size of the safetensors files.
    """

    folder: Path
    origin: str
    files: Mapping[str, str]
    weights_bytes: int

    @property
    def sha256(self) -> str:
        """One hash (hex) for all files: of lines `<sha256>  <name>`, as `sha256sum` prints them."""
        lines = "".join(f"{digest}  {name}\n" for name, digest in self.files.items())
        return hashlib.sha256(lines.encode()).hexdigest()


def resolve_checkpoint(model: Mapping[str, Any]) -> Checkpoint:
    """The checkpoint of `model`: the folder `path`, else `source.hf` downloaded whole.

    Raises:
        UserError: nothing to run, no such folder, not a checkpoint, a failed download, a wrong hash.
    """
    name = str(model.get("name") or "model")
    if model.get("path"):
        folder = Path(str(model["path"])).expanduser().absolute()
        origin = f"path:{folder}"
    else:
        folder, origin = _fetch(name, model)
    files = _checked_files(name, folder)
    weights = sum((folder / file).stat().st_size for file in files if file.endswith(".safetensors"))
    checkpoint = Checkpoint(folder, origin, {file: _digest(folder / file) for file in files}, weights)
    check_sha256(checkpoint.sha256, model, "sha256", str(folder))
    return checkpoint


def _checked_files(name: str, folder: Path) -> list[str]:
    if folder.suffix == ".gguf":
        raise UserError(f"{folder.name} is a GGUF file: run it with +model=gguf model.path={folder}")
    if not folder.is_dir():
        raise UserError(f"{name}: no such folder {folder}: give the folder of a checkpoint with model.path")
    files = sorted({path.name for pattern in _FILES for path in folder.glob(pattern) if path.is_file()})
    if "config.json" not in files:
        raise UserError(f"{folder} is not a checkpoint: it has no config.json")
    if not any(file.endswith(".safetensors") for file in files):
        raise UserError(f"{folder} has no *.safetensors file: other weight formats are not loaded")
    missing = _shards(folder / _INDEX) - set(files)
    if missing:
        raise UserError(f"{folder} is incomplete: {len(missing)} files like {min(missing)} are missing")
    return files


def _shards(index: Path) -> set[str]:
    """The weight files that a checkpoint in several parts lists; empty for one in a single file."""
    if not index.is_file():
        return set()
    try:
        listed = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        return set(map(str, listed))
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise UserError(f"{index} is not an index of weight files") from error


def _digest(path: Path) -> str:
    """The file's sha256. The hub's cache names big files by it, and has checked it."""
    blob = path.resolve()
    if path.is_symlink() and blob.parent.name == "blobs" and len(blob.name) == 64:
        return blob.name
    return sha256_of(path)


def _fetch(name: str, model: Mapping[str, Any]) -> tuple[Path, str]:
    source = model.get("source") or {}
    if not source.get("hf") or source.get("file"):
        raise UserError(
            f"{name} is not a whole checkpoint, which vLLM needs: run it with backend=llama_cpp, or give "
            "model.path=FOLDER of a checkpoint"
        )
    from huggingface_hub import constants, snapshot_download

    from evalkit.models.sources.hf import explain, http_error

    repo, revision = str(source["hf"]), str(source.get("revision") or "main")
    wanted: dict[str, Any] = {
        "revision": revision,
        "allow_patterns": list(_FILES),
        "ignore_patterns": ["*/*"],
    }
    try:
        if not constants.HF_HUB_OFFLINE:  # then only the cache is looked into
            plan = snapshot_download(repo, dry_run=True, **wanted)
            missing = sum(file.file_size or 0 for file in plan if file.will_download)
            require_space(missing, Path(constants.HF_HUB_CACHE), repo, "HF_HOME")
        folder = Path(snapshot_download(repo, **wanted))
    except (http_error(), OSError, ValueError, RuntimeError) as error:
        raise UserError(explain(error, repo, "*", revision)) from error
    return folder, f"hf:{repo}@{folder.name}"
