"""A run's folder: who may write it, and the answers in it.

`RunFolder` belongs to one config and has one writer at a time. `generations.jsonl` holds the answers, the
expensive thing that a run makes: see `evalkit.run.generations`. `Answers` is what of a run is known: its
records, and the messages and keys of what is still to come.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.config.checks import identity
from evalkit.config.settings import RunSettings, read_run
from evalkit.files import is_temporary, read_json, remove_temporaries, write_atomically
from evalkit.run.generations import (
    GENERATIONS,
    read_chain,
    require_sealed,
    require_unbroken,
    rewrite,
    seal_of,
    unsealed,
)
from evalkit.schema import (
    RUN_SCHEMA,
    Answer,
    Completion,
    GenerationSettings,
    Loaded,
    Message,
    Name,
    OwnAnswer,
    Request,
    UserError,
    generation_key,
    messages_of,
    seeded,
)
from evalkit.text import public_url, shown

ENGINE_LOG = "engine.log"
_LARGEST_CONFIG = 1 << 20  # bytes; the longest have some 20,000
LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Finished:
    """A run whose generations are there: what scoring starts from.

    ``left_out``: examples that a file of recorded outputs has nothing for.
    """

    path: Path
    settings: RunSettings
    data: dict[str, Loaded]
    records: list[Answer]
    run: dict[str, Any]
    left_out: int = 0


def run_id(settings: RunSettings) -> str:
    """A readable name that is the same for the same command and differs for any other."""
    canonical = json.dumps(identity(settings), sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:8]
    limit = settings.limit if settings.limit is not None else "all"
    return f"{settings.protocol.name}-{settings.data.source}-{limit}-{digest}"


def default_path(settings: RunSettings) -> Path:
    """<results_dir>/runs/<model>/<run id>"""
    return Path(settings.results_dir) / "runs" / settings.model.name / run_id(settings)


def path_of(settings: RunSettings) -> Path:
    """The folder of a run: `run_dir`, or the default one."""
    return Path(settings.run_dir) if settings.run_dir else default_path(settings)


class RunFolder:
    """An open run folder, locked against other processes until closed (also by a kill).

    Raises:
        UserError: it cannot be made or read, another process is writing it, or another config made it.
    """

    def __init__(self, path: Path, settings: RunSettings) -> None:
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
            self._claim(settings)
        except BaseException:
            self._lock.release()
            raise

    @property
    def generations(self) -> Path:
        return self.path / GENERATIONS

    def _claim(self, settings: RunSettings) -> None:
        remove_temporaries(self.path)
        check_claim(self.path, settings)
        # What no answer depends on (prose, the rule that counts) is as the last command said.
        write_settings(self.path, settings)

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


def check_claim(path: Path, settings: RunSettings) -> None:
    """Raises UserError if `path` exists and is not a folder that a run of `settings` may use."""
    try:
        entries = {entry.name for entry in path.iterdir() if not is_temporary(entry.name)}
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"{path}: cannot use it as a run folder: {error.strerror or error}") from error
    if "config.yaml" not in entries:
        if entries - {LOCK, ENGINE_LOG}:
            raise UserError(f"{path} is not a run folder and not empty: give another run_dir")
        return
    ours, theirs = identity(settings), identity(read_settings(path))
    different = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    if different:
        key = different[0]
        more = f" (and {len(different) - 1} more)" if len(different) > 1 else ""
        raise UserError(
            f"{path} was made by another config: {key} was {theirs.get(key)!r}, now "
            f"{ours.get(key)!r}{more}: give another run_dir, or remove the folder"
        )


def write_settings(path: Path, settings: RunSettings) -> None:
    """Keep the settings of the run in folder `path` in its config.yaml."""
    import yaml

    plain = settings.model_dump(mode="json")
    model: Any = plain["model"]
    while source := (model or {}).get("source"):  # its addresses may hold passwords and tokens
        if source.get("url"):
            source["url"] = public_url(source["url"])
        model = source.get("model")
    write_atomically(path / "config.yaml", yaml.safe_dump(plain, allow_unicode=True, sort_keys=False))


def read_settings(path: Path) -> RunSettings:
    """The settings that made the run in folder `path`.

    Raises:
        UserError: there are none, or they cannot be read.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """Without aliases, which no config of ours has: a few lines of them stand for gigabytes."""

        def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401 - yaml has no types
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases")
            return super().compose_node(parent, index)

    file = path / "config.yaml"
    try:
        if file.stat().st_size > _LARGEST_CONFIG:
            raise ValueError("too large")
        config = yaml.load(file.read_text(encoding="utf-8"), Loader)
    except FileNotFoundError as error:
        raise UserError(f"{path} is not a run folder: it has no config.yaml") from error
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{file} cannot be read: {type(error).__name__}") from error
    if not isinstance(config, dict):
        raise UserError(f"{file} is not a run's config")
    try:
        return read_run(config)
    except UserError as error:
        raise UserError(f"{file} is not a run's config: {error}") from error


def generation(request: Request, key: str, messages: Sequence[Message], completion: Completion) -> Answer:
    """The record of one finished request."""
    example = request.example
    return Answer(
        key=key,
        benchmark=example.benchmark,
        id=example.id,
        turn=example.turn,
        sample=request.sample,
        group=example.group,
        messages=[{"role": m.role, "content": m.content} for m in messages],
        text=completion.text,
        finish_reason=completion.finish_reason,
        prompt_tokens=completion.prompt_tokens,
        cached_tokens=completion.cached_tokens,
        completion_tokens=completion.completion_tokens,
        latency_s=round(completion.latency_s, 4),
        prefill_s=completion.prefill_s,
        decode_s=completion.decode_s,
        error=completion.error,
    )


class Answers:
    """What is known of each request: its record once finished, else its messages and key."""

    def __init__(
        self,
        records: Iterable[Answer],
        identity: Mapping[str, Any],
        sampling: GenerationSettings,
        system: str | None,
    ) -> None:
        self._records = {record.name: record for record in records}
        self._identity = identity
        self._sampling = sampling
        self._system = system
        self._texts: dict[Name, str | None] = {name: r.text for name, r in self._records.items()}

    def messages(self, request: Request) -> tuple[Message, ...] | None:
        return messages_of(request, self._system, self._texts)

    def draft(self, request: Request) -> tuple[Message, ...]:
        """The request's messages, with nothing where an answer of its dialogue is still to come."""
        known = self.messages(request)
        if known is not None:
            return known
        empty = tuple(
            Message("assistant", "") if isinstance(message, OwnAnswer) else message
            for message in request.example.messages
        )
        draft = messages_of(
            replace(request, example=replace(request.example, messages=empty)), self._system, {}
        )
        assert draft is not None, "nothing is left to wait for"
        return draft

    def sampling(self, request: Request) -> GenerationSettings:
        return seeded(self._sampling, request)

    def key(self, request: Request, messages: tuple[Message, ...]) -> str:
        return generation_key(self._identity, messages, self.sampling(request), request.sample)

    def record(self, request: Request) -> Answer | None:
        return self._records.get(request.name)

    def add(self, record: Answer) -> None:
        self._records[record.name] = record
        self._texts[record.name] = record.text

    @property
    def records(self) -> list[Answer]:
        return list(self._records.values())

    def lacks_history(self, request: Request) -> bool:
        """Whether an earlier turn that the request needs failed: then this one must wait for it, too."""
        turns = (m.turn for m in request.example.messages if isinstance(m, OwnAnswer))
        benchmark, id_, _, sample = request.name
        earlier = (self._records.get((benchmark, id_, turn, sample)) for turn in turns)
        return any(record is not None and not record.is_final for record in earlier)

    def stale(self, requests: Iterable[Request]) -> int:
        """How many records bear the name of a wanted request and were made from something else."""
        wrong = 0
        for request in requests:
            record, messages = self.record(request), self.messages(request)
            if record is not None and (messages is None or self.key(request, messages) != record.key):
                wrong += 1
        return wrong


def kept_records(folder: RunFolder) -> list[Answer]:
    """The run's finished records; an unfinished line and the engine's own failures are cleared away.

    Raises:
        UserError: they cannot be read, or are not those that were written.
    """
    found = read_chain(folder.generations)
    require_unbroken(folder.generations, found)
    run = folder.read_json("run.json")
    require_sealed(folder.generations, found, seal_of(run), all_of_them=False)
    records = found.answers
    final = [record for record in records if record.is_final]
    # Only then: a finished run must be readable on a full disk.
    if len(final) < len(records) or not _ends_well(folder.generations):
        if seal_of(run) is not None:  # a kill may come before the new chain is in it
            run.update(unsealed(run))
            folder.write_json("run.json", run)
        rewrite(folder.generations, final)
    return final


def _ends_well(path: Path) -> bool:
    """Whether the last line is whole, or there is none."""
    try:
        with path.open("rb") as file:
            return file.seek(0, os.SEEK_END) == 0 or (
                file.seek(-1, os.SEEK_END) >= 0 and file.read(1) == b"\n"
            )
    except FileNotFoundError:
        return True


def read_run_json(path: Path) -> dict[str, Any]:
    """The run.json of the run in folder `path`; {} if there is none.

    Raises:
        UserError: it is not one that this version has written.
    """
    run = read_json(path / "run.json")
    if not run:
        return run
    if run.get("schema") != RUN_SCHEMA:
        raise UserError(
            f"{path}: its run.json has schema {shown(run.get('schema'))}; this version reads {RUN_SCHEMA}: "
            "run it again"
        )
    blocks = ("sampling", "data", "engine", "hardware", "measured", "evalkit")
    wrong = [name for name in blocks if not isinstance(run.get(name), dict)]
    sessions = run.get("sessions")
    if not wrong and not (isinstance(sessions, list) and all(map(_is_session, sessions))):
        wrong = ["sessions"]
    wrong += [f"measured.{name}" for name in _MEASURED if not wrong and name not in run["measured"]]
    if wrong:
        raise UserError(
            f"{path / 'run.json'}: its {wrong[0]} is missing or not what a run writes: mend it, or remove "
            "the file, and the run's command makes it anew from the answers"
        )
    return run


_MEASURED = (
    "prompt_tokens_computed",
    "prompt_tokens_distinct",
    "wall_seconds",
    "engine_seconds",
    "peak_memory_bytes",
)


def _is_session(session: object) -> bool:
    """Whether every number in it that is added up is one."""
    names = (
        *("wall_seconds", "engine_seconds", "load_seconds", "peak_memory_bytes", "energy_joules"),
        *("idle_slot_seconds", "before_first_seconds", "after_last_seconds"),
    )
    return isinstance(session, dict) and all(isinstance(session.get(n), int | float | None) for n in names)


def open_answers(
    settings: RunSettings, engine: Mapping[str, Any], folder: RunFolder, requests: Sequence[Request]
) -> Answers:
    """The answers that the run in `folder` has so far, checked against what it wants.

    Args:
        engine: its identity.

    Raises:
        UserError: records there were made from other weights, prompts or data.
    """
    answers = Answers(kept_records(folder), engine, settings.generation, settings.protocol.system)
    stale = answers.stale(requests)
    if stale:
        raise UserError(
            f"{folder.path}: {stale} generations there were made from other weights, prompts or data: "
            "give another run_dir, name=NAME to another file of that name, or remove the folder"
        )
    return answers
