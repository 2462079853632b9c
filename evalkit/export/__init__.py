"""Runs for other tools: a module per format, found by name, and what several formats share.

A format has a docstring whose first line says what it writes (`evalkit export --help` shows it) and
`export(runs, out)`.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from evalkit.metrics import Result, result
from evalkit.run.info import EngineInfo, Run, hub_owner
from evalkit.run.record import load_run
from evalkit.schema import Estimate, UserError, nearest
from evalkit.text import visible_texts

_DIGITS = 6  # what lies beyond is the processor's, and bytes must not depend on it


def results_by_rule(run: Run, benchmark: str) -> dict[str, Result]:
    """One benchmark under its own rule, then under the others that scored any of it, sorted; rounded."""
    items, main = run.of(benchmark), run.info.benchmarks[benchmark].rule
    others = {rule for item in items for sample in item.samples for rule in sample.scores} - {main}
    return {rule: rounded_result(run, benchmark, rule) for rule in (main, *sorted(others))}


def rounded_result(run: Run, benchmark: str, rule: str) -> Result:
    """One benchmark of a run under one rule."""
    found = result(benchmark, run.of(benchmark), rule, run.info.benchmarks[benchmark].covered)
    return replace(found, estimate=_rounded(found.estimate) if found.estimate else None)


def _rounded(estimate: Estimate) -> Estimate:
    return replace(
        estimate,
        value=round(estimate.value, _DIGITS),
        error=None if estimate.error is None else round(estimate.error, _DIGITS),
        low=round(estimate.low, _DIGITS),
        high=round(estimate.high, _DIGITS),
    )


def load_runs(paths: Iterable[Path]) -> list[Run]:
    """The runs of folders and record files, in the order given.

    Raises:
        UserError: one has no record, is damaged or foreign, or is given twice.
    """
    runs: list[Run] = []
    seen: dict[tuple[str, str], Path] = {}
    for path in paths:
        try:
            run = load_run(path)
        except UserError as error:
            raise UserError(f"export: {error}") from error
        name = (run.info.model.name, run.info.run_id)
        if name in seen:
            raise UserError(f"export: {path} is the run of {seen[name]} again: give each run once")
        seen[name] = path
        runs.append(run)
    return runs


_SHARED = "tables"  # no format, but what several show


class Exporter(Protocol):
    """What a format's module offers."""

    __doc__: str | None

    def export(self, runs: Sequence[Run], out: Path) -> list[Path]:
        """Write the files of `runs` under the folder `out`; same records, same bytes.

        Returns:
            The files written.

        Raises:
            UserError: the runs cannot be told in this format, or the folder cannot be written.
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


# What file systems (and Windows) do not take in a name; a superset of what lm_eval replaces.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f"<>:/|\\?*\[\]]+')
_RESERVED = re.compile(r"(?i:con|prn|aux|nul|com\d|lpt\d|data)")
_MAX_NAME = 100

# Line breaks to Python's str.splitlines, with which some tools cut JSON lines apart.
_BREAKS = {ord(each): f"\\u{ord(each):04x}" for each in "\x85\u2028\u2029"}


def safe_name(name: str) -> str:
    """A name as one part of a path on any system: never empty, hidden, reserved, nor above its folder."""
    safe = _UNSAFE.sub("__", name.encode("utf-8", "replace").decode())[:_MAX_NAME].strip(". ")
    return f"_{safe}" if not safe or _RESERVED.fullmatch(safe.split(".")[0]) else safe


def stem(run: Run) -> str:
    """`<model>/<run id>`: where the files of a run go."""
    return f"{safe_name(run.info.model.name)}/{safe_name(run.info.run_id)}"


def run_name(run: Run) -> str:
    """A run in an error's one line."""
    return f"{run.info.model.name} ({run.info.run_id})"


def moment(run: Run) -> datetime:
    """When the run ended (or started, if it has not ended), in UTC. Exports hold no other time.

    Raises:
        UserError: the record does not say it.
    """
    told = run.info.ended or run.info.started
    try:
        time = datetime.fromisoformat(told or "")
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise UserError(
            f"export: the record of {run_name(run)} does not say when it was run, which this format needs"
        ) from error


def json_text(value: object) -> str:
    """A JSON file's text. Raises UserError for a number that JSON does not have."""
    return _json(value, indent=2) + "\n"


def json_lines(values: Iterable[Mapping[str, Any]]) -> str:
    """JSON lines that are lines to every reader. Raises UserError for a number that JSON does not have."""
    return "".join(f"{_json(value).translate(_BREAKS)}\n" for value in values)


def _json(value: object, indent: int | None = None) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    except ValueError as error:
        raise UserError("export: a record holds NaN or infinity, which JSON does not have") from error


def write_export(files: Iterable[tuple[str, str | bytes]], out: Path) -> list[Path]:
    """Write named contents below the folder `out`, over files of the same name.

    Raises:
        UserError: two contents have the same name, or the folder cannot be written.
    """
    written: dict[Path, None] = {}
    for name, content in files:
        path = out / name
        if path in written:
            raise UserError(
                f"export: two of these runs would both be {path}: export them to different folders"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        except OSError as error:
            raise UserError(f"export: cannot write {path}: {error.strerror or error}") from error
        written[path] = None
    return list(written)


_HUB = re.compile(r"huggingface\.co/datasets/([\w.-]+/[\w.-]+)", re.ASCII)
_GITHUB = re.compile(r"github\.com/[\w.-]+/[\w.-]+", re.ASCII)

Deployment = Literal["self_deployed", "externally_managed", "unknown"]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A benchmark's data as the run had it.

    `title` says so where the records are the hand-written ones that ship with evalkit: those are not the
    benchmark, so `hub` (a Hugging Face dataset's id) and `url` are None too. `details` are how the items
    were chosen, and hashes of what was read.
    """

    name: str
    title: str
    hub: str | None
    url: str | None
    split: str | None
    revision: str | None
    items: int | None
    details: dict[str, str]


def dataset_of(run: Run, name: str) -> Dataset:
    """The data of one of the run's benchmarks."""
    benchmark, data = run.info.benchmarks[name], run.info.data[name]
    bundled = data.source == "sample"
    source = "" if bundled else benchmark.source or ""
    hub, github = _HUB.match(source), _GITHUB.match(source)
    title = benchmark.title or name
    return Dataset(
        name=name,
        title=f"{title} (evalkit's bundled sample)" if bundled else title,
        hub=hub[1] if hub else None,
        url=f"https://{github[0]}" if github else None,
        split=None if bundled else benchmark.split,
        revision=data.revision,
        items=data.items,
        details=_details(run, name),
    )


def _details(run: Run, name: str) -> dict[str, str]:
    benchmark, data, selection = run.info.benchmarks[name], run.info.data[name], run.info.selection
    hashes = ", ".join(f"{file.name} {file.sha256}" for file in data.files)
    return visible_texts(
        {
            "source": data.source,
            "limit": selection.limit,
            "seed": selection.seed,
            "sampling": selection.sampling,
            "asked": benchmark.covered,
            "history": benchmark.history,
            "prompt_sha256": data.prompt.sha256,
            "sha256": data.sha256 or data.rows_sha256 or hashes,
        }
    )


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """What answered. `owner` is of the Hugging Face repository that the weights came from, None elsewhere.

    `public` says that the weights can be had where `details` says. `details` are the weights' origin, hash,
    size and bits per weight, the model's family and parameters, where known.
    """

    engine: str | None
    build: str | None
    owner: str | None
    deployment: Deployment
    public: bool
    details: dict[str, str]


def model_of(run: Run) -> ExportedModel:
    """The model and engine of a run."""
    engine, model = run.info.engine, run.info.model
    weights = engine.weights
    origin = (weights.origin if weights else None) or ""
    public = bool(origin) and "path:" not in origin
    details = {
        "title": model.title,
        "family": model.family,
        "parameters": model.parameters,
        "licence": model.licence,
        "weights_sha256": engine.weights_sha256,
        "weights_origin": origin if public else None,
        "size_bytes": weights.size_bytes if weights else None,
        "bits_per_weight": weights.gguf.bits_per_weight if weights else None,
        "requantized_from": weights.requantized_from if weights else None,
    }
    return ExportedModel(
        engine=engine.engine,
        build=engine.build,
        owner=hub_owner(run.info),
        deployment=_deployment(engine),
        public=public,
        details=visible_texts(details),
    )


def _deployment(engine: EngineInfo) -> Deployment:
    if engine.engine == "replay":
        return "unknown"
    return "self_deployed" if engine.weights_sha256 else "externally_managed"


def generation_settings(run: Run) -> dict[str, float]:
    """The numbers that shaped the answers, as far as they are known: temperature, top_p, max_tokens, ..."""
    return {name: value for name, value in asdict(run.info.generation).items() if value is not None}
