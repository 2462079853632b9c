"""What made a run, typed once: the content of run.json and of a record's first line.

Both may be anybody's, and `run_info` is where they are checked: whoever shows a run takes a `RunInfo`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from evalkit.run.judgements import CalibrationFacts, JudgeFacts
from evalkit.schema import DEFAULT, Item, Key, Memory, UserError
from evalkit.text import first_fault, mapping, shown, visible_text


def _visible(text: str) -> str:
    return visible_text(text, len(text)) or ""


Name = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_visible)]
Text = Annotated[str, Field(max_length=2000), AfterValidator(_visible)]
BenchmarkName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]

_PATHS = ("path", "binary", "dir")  # of the machine that made the run: nobody else's business


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Fields as in configs/model/."""

    name: Name
    title: Name
    family: Name | None = None
    parameters: Count | None = None
    licence: Text | None = None
    size_bytes: Count | None = None


@dataclass(frozen=True, slots=True)
class ProtocolInfo:
    """What the run was asked for, as in configs/protocol/. `samples`: answers per example."""

    name: Name
    samples: Annotated[int, Field(ge=1, le=10_000)] = 1
    temperature: Amount | None = None
    top_p: Amount | None = None
    top_k: int | None = None
    min_p: Amount | None = None
    repetition_penalty: Amount | None = None
    max_tokens: Count | None = None
    system: str | None = None


@dataclass(frozen=True, slots=True)
class GenerationInfo:
    """What shaped the answers, beside weights and prompt; `max_tokens` is the answer's limit in force."""

    temperature: Amount | None = None
    top_p: Amount | None = None
    top_k: int | None = None
    min_p: Amount | None = None
    repetition_penalty: Amount | None = None
    max_tokens: Count | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class SelectionInfo:
    """Which examples were asked: `limit` of each benchmark, by items or groups, in the order of `seed`."""

    limit: Count | None = None
    seed: Count | None = None
    sampling: Name | None = None


@dataclass(frozen=True, slots=True)
class BenchmarkInfo:
    """A benchmark as it was asked. `covered`: examples that were asked for; `rule`: the one that counts."""

    title: Name
    covered: Count = 0
    rule: Name = DEFAULT
    split: Text | None = None
    source: Text | None = None
    history: Text | None = None
    prompt: Text | None = None
    shots: Count = 0
    depth: Count | None = None


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A data file that was read."""

    name: Text
    sha256: Text | None = None


@dataclass(frozen=True, slots=True)
class PromptInfo:
    """The template that prompts were rendered from."""

    file: Text | None = None
    sha256: Text | None = None


@dataclass(frozen=True, slots=True)
class DataInfo:
    """The records of a benchmark as they were read.

    A content hash is in one of `files`, `sha256` (of many files) and `rows_sha256` (of the hub's rows).
    `source` is the name in configs/data/.
    """

    source: Name
    revision: Text | None = None
    items: Count | None = None
    files: tuple[FileInfo, ...] = ()
    sha256: Text | None = None
    rows_sha256: Text | None = None
    prompt: PromptInfo = field(default_factory=PromptInfo)


@dataclass(frozen=True, slots=True)
class RecipeInfo:
    """Of a file's tensors: what they are, what was claimed, and `warnings` where the two contradict."""

    claimed: Text | None = None
    found: Text | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GgufInfo:
    """Of the tensor data."""

    bits_per_weight: Amount | None = None


@dataclass(frozen=True, slots=True)
class WeightsInfo:
    """The file of weights that was served."""

    path: Text | None = None
    origin: Text | None = None
    sha256: Text | None = None
    size_bytes: Count | None = None
    requantized_from: Text | None = None
    recipe: RecipeInfo = field(default_factory=RecipeInfo)
    gguf: GgufInfo = field(default_factory=GgufInfo)


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What answered. `weights` is None for an engine that serves no file of ours."""

    engine: Text | None = None
    build: Text | None = None
    weights: WeightsInfo | None = None
    weights_sha256: Text | None = None
    chat_template_sha256: Text | None = None
    flash_attention: Text | None = None
    cache_type_k: Text | None = None
    cache_type_v: Text | None = None
    draft_sha256: Text | None = None
    slots: Count | None = None
    context_per_slot: Count | None = None
    gpu_layers: int | None = None
    load_seconds: Amount | None = None
    predicted_memory: Memory | None = None


@dataclass(frozen=True, slots=True)
class HardwareInfo:
    """The machine."""

    cpu: Text | None = None
    cores: Count | None = None
    threads: Count | None = None
    memory_bytes: Count | None = None
    system: Text | None = None


@dataclass(frozen=True, slots=True)
class ProbeInfo:
    """The speed of one request alone."""

    prefill_tokens_per_second: Amount | None = None
    decode_tokens_per_second: Amount | None = None
    first_token_seconds: Amount | None = None
    prompt_tokens: Count | None = None
    answer_tokens: Count | None = None


@dataclass(frozen=True, slots=True)
class MeasuredInfo:
    """What the run cost, over all its sessions; speeds are of one slot."""

    wall_seconds: Amount = 0.0
    engine_seconds: Amount = 0.0
    idle_slot_seconds: Amount | None = None
    before_first_seconds: Amount | None = None
    after_last_seconds: Amount | None = None
    load_seconds: Amount | None = None
    prompt_tokens_computed: Count = 0
    prompt_tokens_distinct: Count | None = None
    prompt_tokens_total: Count = 0
    completion_tokens: Count = 0
    peak_memory_bytes: Count | None = None
    peak_gpu_memory_bytes: Count | None = None
    energy_joules: Amount | None = None
    probe: ProbeInfo | None = None
    prefill_tokens_per_second: Amount | None = None
    decode_tokens_per_second: Amount | None = None

    @property
    def memory_bytes(self) -> int | None:
        """The peak of the processes, on the host and on GPUs together; None if nothing was measured."""
        return together(self.peak_memory_bytes, self.peak_gpu_memory_bytes)


def together(host: int | None, gpu: int | None) -> int | None:
    """Bytes on the host and on GPUs; None if the host's are not known."""
    return None if host is None else host + (gpu or 0)


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """Of evalkit."""

    version: Text | None = None
    git_commit: Text | None = None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What made a run. `raw` is the whole block that it was read from, for those who list or keep it."""

    run_id: Name
    model: ModelInfo
    protocol: ProtocolInfo
    benchmarks: Annotated[dict[BenchmarkName, BenchmarkInfo], Field(min_length=1)]
    data: dict[str, DataInfo]
    engine: EngineInfo
    measured: MeasuredInfo
    generation: GenerationInfo = field(default_factory=GenerationInfo)
    selection: SelectionInfo = field(default_factory=SelectionInfo)
    hardware: HardwareInfo = field(default_factory=HardwareInfo)
    evalkit: VersionInfo = field(default_factory=VersionInfo)
    started: Text | None = None
    ended: Text | None = None
    judge: JudgeFacts | None = None
    calibration: CalibrationFacts | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


_ADAPTER = TypeAdapter(RunInfo)
_DATA = TypeAdapter(DataInfo)
_ENGINE = TypeAdapter(EngineInfo)
# What run.json and a record's head call them.
_CALLED = {"generation": "sampling", "selection": "settings"}


def run_info(raw: Mapping[str, Any]) -> RunInfo:
    """The head of a record, checked.

    Raises:
        UserError: something is missing, or is not what it should be; without the file's name.
    """
    names = [name for name in RunInfo.__slots__ if name != "raw"]
    blocks = {name: raw[called] for name in names if (called := _CALLED.get(name, name)) in raw}
    try:
        info = _ADAPTER.validate_python({**blocks, "raw": raw})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(_CALLED.get(str(part), str(part)) for part in first["loc"])
        raise UserError(f"is not a run's record: {where}: {first['msg']}") from error
    without = [name for name in info.benchmarks if name not in info.data]
    if without:
        raise UserError(f"is not a run's record: data: nothing of {without[0]!a:.80}")
    return info


@dataclass(frozen=True, slots=True)
class Run:
    """A scored run, from the folder or record file `path`.

    Items are ordered by benchmark (the run's order), group, id and turn.
    """

    path: Path
    info: RunInfo
    items: tuple[Item, ...]

    def of(self, benchmark: str) -> list[Item]:
        """The items of one benchmark."""
        return [item for item in self.items if item.benchmark == benchmark]

    def by_benchmark(self) -> dict[str, list[Item]]:
        """The items of every benchmark of the run, in its order; empty where nothing was answered."""
        found: dict[str, list[Item]] = {name: [] for name in self.info.benchmarks}
        for item in self.items:
            found[item.benchmark].append(item)
        return found

    def keyed(self, benchmark: str) -> dict[Key, Item]:
        """The items of one benchmark by their names in it."""
        return {item.key: item for item in self.of(benchmark)}

    @property
    def rules(self) -> list[str]:
        """The rules that scored anything, sorted."""
        return sorted({rule for item in self.items for sample in item.samples for rule in sample.scores})


def data_info(raw: Mapping[str, Any]) -> DataInfo:
    """The `data` block of one benchmark, checked.

    Raises:
        UserError: it is not what it should be; without the file's name.
    """
    try:
        return _DATA.validate_python(raw)
    except ValidationError as error:
        raise UserError(f"data: {first_fault(error)}") from error


def engine_info(raw: Mapping[str, Any]) -> EngineInfo:
    """The `engine` block of a run.json that evalkit itself wrote just now."""
    return _ENGINE.validate_python(raw)


def different_data(one: DataInfo, other: DataInfo) -> str:
    """How two provenances show that the records differ: '' if they do not.

    Content hashes decide. Where the two have no hash of the same kind (a hub's copy against a local file),
    nothing is said here: equal prompts and gold answers are then the proof, example by example.
    """
    if one.files and other.files:
        return "" if one.files == other.files else f"{_files(one.files)} and {_files(other.files)}"
    for ours, theirs in ((one.sha256, other.sha256), (one.rows_sha256, other.rows_sha256)):
        if ours and theirs:
            return "" if ours == theirs else f"sha256 {shown(ours)} and sha256 {shown(theirs)}"
    return ""


def _files(files: Iterable[FileInfo]) -> str:
    """Their names and the first digits of their hashes."""
    return ", ".join(f"{shown(file.name)} {shown(str(file.sha256)[:12])}" for file in files)


def without_paths(block: Mapping[str, Any]) -> dict[str, Any]:
    """A block of run.json without what names places on the machine that made it."""
    return {
        key: without_paths(value) if isinstance(value, Mapping) else value
        for key, value in block.items()
        if key not in _PATHS and not (key == "origin" and "path:" in str(value))
    }


# What a benchmark's settings say for readers, or what came of them: not what was asked.
_DESCRIPTION = ("title", "licence", "source", "records", "items", "rule", "covered")


def asked(info: RunInfo) -> dict[str, str]:
    """By benchmark: a text that is the same for the same questions, in the same words, of the same data."""
    data = _block(info.raw, "data")
    return {
        name: _canonical([_question_settings(settings), data.get(name)])
        for name, settings in _block(info.raw, "benchmarks").items()
    }


def question_settings(info: RunInfo, benchmark: str) -> dict[str, object]:
    """What prompts of a benchmark were made by, under the names that a user knows."""
    settings = _block(_block(info.raw, "benchmarks"), benchmark)
    plain = {
        f"benchmark.{benchmark}.{key}": value
        for key, value in _question_settings(settings).items()
        if not isinstance(value, Mapping)
    }
    prompt = info.data[benchmark].prompt
    return {**plain, "the template's file": prompt.file, "the template's sha256": prompt.sha256}


# Of a judge's settings.
_VERDICTS_REST_ON = ("threshold", "language", "contract", "max_tokens")


def judging(info: RunInfo) -> str:
    """A text that is the same for verdicts of the same judge under the same settings; "" without a judge."""
    judge = _block(info.raw, "judge")
    settings = _block(judge, "settings")
    rest = {name: settings.get(name) for name in _VERDICTS_REST_ON}
    return _canonical([judge.get("judge"), rest]) if judge else ""


def _question_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the questions. A setting that says nothing is as good as one that was not there yet."""
    return {key: value for key, value in settings.items() if key not in _DESCRIPTION and value is not None}


def answering(info: RunInfo) -> str:
    """A text that is the same for the same model and weights under the same protocol and settings."""
    blocks = [_block(info.raw, name) for name in ("protocol", "sampling", "settings")]
    return _canonical([info.model.name, info.engine.weights_sha256, *blocks])


def _block(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return mapping(raw.get(name))


def _canonical(content: list[Any]) -> str:
    return json.dumps(content, sort_keys=True)


_HUB = re.compile(r"hf:([\w.-]+)/([\w.-]+)@", re.ASCII)


def hub_owner(info: RunInfo) -> str | None:
    """The owner of the Hugging Face repository that the weights came from, None elsewhere."""
    origin = info.engine.weights.origin if info.engine.weights else None
    repository = _HUB.match(origin or "")
    return repository[1] if repository else None
