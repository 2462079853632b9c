"""A run's folder: whose it is, who may write it now, and the small files in it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.errors import UserError

ENGINE_LOG = "engine.log"
LOCK = ".lock"

# Settings that change where or how patiently a run works, and not what it records. All of the executor's are
# such, and the judge's: it comes later and changes nothing of the run.
_IMMATERIAL = (
    "run_dir",
    "results_dir",
    "label_defects",
    "probe",
    "strict",
    "data.dir",
    "backend.port",
    "backend.timeout",
    "backend.threads",
    "backend.base_url",  # what it serves is part of every generation's key
    "backend.urls",
    "backend.api_key_env",
    "backend.attempts",
    "backend.patience",
    "backend.backoff",
    "backend.requests_per_minute",
    "backend.tokens_per_minute",
    "backend.prices.input",
    "backend.prices.cached_input",
    "backend.prices.output",
    "backend.prices.currency",
    "backend.max_cost",
    "backend.executable",
    "backend.start_timeout",
)


def material(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that make a run what it is, as flat dotted keys."""
    return {
        key: value
        for key, value in _flat(config)
        if key not in _IMMATERIAL and key.partition(".")[0] not in ("judge", "executor")
    }


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def run_id(config: Mapping[str, Any]) -> str:
    """A readable name that is the same for the same command and differs for any other."""
    canonical = json.dumps(material(config), sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:8]
    limit = config["limit"] if config["limit"] is not None else "all"
    return f"{config['protocol']['name']}-{config['data']['source']}-{limit}-{digest}"


def default_path(config: Mapping[str, Any]) -> Path:
    """<results_dir>/runs/<model>/<run id>"""
    return Path(config["results_dir"]) / "runs" / str(config["model"]["name"]) / run_id(config)


def path_of(config: Mapping[str, Any]) -> Path:
    """The folder of the run of `config`: `run_dir`, or the default one."""
    return Path(config["run_dir"]) if config["run_dir"] else default_path(config)


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new content and never a part."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


class RunFolder:
    """An open run folder, locked against other processes until closed (also by a kill).

    Raises:
        UserError: it cannot be made or read, another process is writing it, or another config made it.
    """

    def __init__(self, path: Path, config: Mapping[str, Any]) -> None:
        from filelock import FileLock, Timeout

        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(path / LOCK, timeout=0)
            self._lock.acquire()
        except Timeout as error:
            raise UserError(f"{path}: another process is writing this run: wait for it or end it") from error
        except OSError as error:
            raise UserError(f"{path}: cannot use it as a run folder: {error.strerror or error}") from error
        try:
            self._claim(config)
        except BaseException:
            self._lock.release()
            raise

    @property
    def generations(self) -> Path:
        return self.path / "generations.jsonl"

    def _claim(self, config: Mapping[str, Any]) -> None:
        import yaml

        check_claim(self.path, config)
        file = self.path / "config.yaml"
        if not file.exists():
            write_atomically(file, yaml.safe_dump(dict(config), allow_unicode=True, sort_keys=False))

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        write_atomically(self.path / name, json.dumps(content, ensure_ascii=False, indent=2) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        return read_json(self.path / name)

    def give_up(self) -> None:
        """Leave the folder to another config, if nothing was generated for this one."""
        if not self.generations.exists() or not self.generations.stat().st_size:
            for name in ("config.yaml", "run.json", self.generations.name):
                (self.path / name).unlink(missing_ok=True)

    def close(self) -> None:
        self._lock.release()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def check_claim(path: Path, config: Mapping[str, Any]) -> None:
    """Raises UserError if `path` exists and is not a folder that a run of `config` may use."""
    try:
        entries = {entry.name for entry in path.iterdir()}
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"{path}: cannot use it as a run folder: {error.strerror or error}") from error
    if "config.yaml" not in entries:
        if entries - {LOCK, ENGINE_LOG}:
            raise UserError(f"{path} is not a run folder and not empty: give another run_dir")
        return
    ours, theirs = material(config), material(read_config(path))
    different = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    if different:
        key = different[0]
        more = f" (and {len(different) - 1} more)" if len(different) > 1 else ""
        raise UserError(
            f"{path} was made by another config: {key} was {theirs.get(key)!r}, now "
            f"{ours.get(key)!r}{more}: give another run_dir, or remove the folder"
        )


def read_config(path: Path) -> dict[str, Any]:
    """The config that made the run in folder `path`.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    import yaml

    file = path / "config.yaml"
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} is not a run folder: it has no config.yaml") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{file} cannot be read: {type(error).__name__}") from error
    if not isinstance(config, dict):
        raise UserError(f"{file} is not a run's config")
    return config


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from `path`; {} if the file is not there.

    Raises:
        UserError: the file is there and not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {type(error).__name__}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a JSON object")
    return content
