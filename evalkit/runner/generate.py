"""The expensive stage: planning, starting the engine, generating, and the figures of run.json."""

from __future__ import annotations

import time
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from evalkit.backends.engine import Engine, EngineUnusable
from evalkit.backends.replay import Replay
from evalkit.benchmarks import Loaded
from evalkit.errors import UserError
from evalkit.example import Message, OwnAnswer
from evalkit.runner.clock import EngineClock
from evalkit.runner.folder import RunFolder
from evalkit.runner.order import distinct_tokens, grouped
from evalkit.runner.progress import RunProgress
from evalkit.runner.provenance import provenance
from evalkit.runner.record import Generation, Writer, generation, read_generations, rewrite
from evalkit.runner.request import Name, Request, messages_of
from evalkit.runner.schedule import Answers, Scheduler
from evalkit.runner.session import measured
from evalkit.runner.settings import sampling

_HEARTBEAT_SECONDS = 5.0
# Room in the context for each earlier answer of a dialogue that will only be known later (tokens).
_OWN_ANSWER_RESERVE = 512
_PLANNING_ATTEMPTS = 3


def kept_records(folder: RunFolder) -> list[Generation]:
    """The run's finished records; an unfinished line and the engine's own failures are cleared away."""
    records = read_generations(folder.generations)
    final = [record for record in records if record.is_final]
    if folder.generations.exists():
        rewrite(folder.generations, final)
    return final


def _answers(
    config: Mapping[str, Any], identity: Mapping[str, Any], folder: RunFolder, requests: Sequence[Request]
) -> Answers:
    answers = Answers(kept_records(folder), identity, sampling(config), config["protocol"]["system"])
    stale = answers.stale(requests)
    if stale:
        raise UserError(
            f"{folder.path}: {stale} generations there were made from other weights, prompts or data: "
            "give another run_dir, or remove the folder"
        )
    return answers


async def generate(
    folder: RunFolder,
    config: Mapping[str, Any],
    data: Mapping[str, Loaded],
    requests: Sequence[Request],
    engine: Engine,
    console: Console,
) -> tuple[list[Generation], dict[str, Any]]:
    """Generate every request that has no record yet.

    Returns:
        All records of the run and the content of run.json.
    """
    answers = _answers(config, engine.identity(), folder, requests)
    pending = [request for request in requests if answers.record(request) is None]
    earlier = folder.read_json("run.json")
    if not pending and earlier:
        return answers.records, earlier
    session = _Session(folder, config, data, engine, answers, earlier)
    try:
        await session.run(requests, pending, console)
    finally:
        await engine.stop()
        session.save(ended=True)
    return answers.records, session.content()


class _Session:
    """One stretch of work on a run, from start to finish or interruption."""

    def __init__(
        self,
        folder: RunFolder,
        config: Mapping[str, Any],
        data: Mapping[str, Loaded],
        engine: Engine,
        answers: Answers,
        earlier: Mapping[str, Any],
    ) -> None:
        self._folder = folder
        self._engine = engine
        self._answers = answers
        self._static = provenance(config, {name: loaded.provenance for name, loaded in data.items()})
        self._earlier = list(earlier.get("sessions", []))
        self._started = _now()
        self._clock = EngineClock()
        self._saved = 0.0
        self._ended: str | None = None
        self._tokens: dict[Name, array[int]] = {}
        self._distinct: int | None = None

    async def run(self, requests: Sequence[Request], pending: Sequence[Request], console: Console) -> None:
        sizes = await self._plan(requests)
        todo = {request.name for request in pending}
        groups = [
            group
            for group in grouped(requests, lambda request: sizes[request.name])
            if any(request.name in todo for request in group)
        ]
        await self._engine.start(max(sizes.values(), default=None) if self._tokens else None)
        self.save()
        writer = Writer(self._folder.generations)
        progress = RunProgress(len(requests), len(requests) - len(pending), console)

        def on_record(record: Generation) -> None:
            progress.add(record)
            if time.monotonic() - self._saved > _HEARTBEAT_SECONDS:
                self.save()

        try:
            with progress:
                scheduler = Scheduler(self._engine, self._answers, writer, self._clock, on_record)
                await scheduler.run(groups)
            await self._count_late_prompts(requests)
        finally:
            writer.close()

    async def _plan(self, requests: Sequence[Request]) -> dict[Name, int]:
        """The size of every prompt, in tokens where the engine tells, else in characters."""
        prompts = {request.name: self._draft(request) for request in requests}
        tokens = await self._tokenize(list(prompts.values()))
        if tokens is None:
            return {name: sum(len(m.content) for m in prompt) for name, prompt in prompts.items()}
        sizes = {}
        for request, prompt_tokens in zip(requests, tokens, strict=True):
            unknown = 0
            if self._answers.messages(request) is None:
                unknown = sum(isinstance(m, OwnAnswer) for m in request.example.messages)
            else:
                self._tokens[request.name] = prompt_tokens
            sizes[request.name] = len(prompt_tokens) + unknown * _OWN_ANSWER_RESERVE
        if len(self._tokens) == len(requests):
            self._distinct = distinct_tokens(self._tokens.values())
        return sizes

    async def _tokenize(self, prompts: list[tuple[Message, ...]]) -> list[array[int]] | None:
        for attempt in range(_PLANNING_ATTEMPTS):
            try:
                return await self._engine.tokenize(prompts)
            except EngineUnusable:
                if attempt == _PLANNING_ATTEMPTS - 1:
                    raise
        return None

    def _draft(self, request: Request) -> tuple[Message, ...]:
        """The request's messages, with nothing where an answer of its dialogue is still to come."""
        known = self._answers.messages(request)
        if known is not None:
            return known
        empty = tuple(
            Message("assistant", "") if isinstance(message, OwnAnswer) else message
            for message in request.example.messages
        )
        draft = messages_of(replace(request, example=replace(request.example, messages=empty)), None, {})
        assert draft is not None
        return draft

    async def _count_late_prompts(self, requests: Sequence[Request]) -> None:
        """Prompts that held the model's own answers could not be counted before they existed."""
        late = [request for request in requests if request.name not in self._tokens]
        if not self._tokens or not late:
            return
        prompts = [self._draft(request) for request in late]
        tokens = await self._tokenize(prompts) or []
        self._tokens.update((request.name, t) for request, t in zip(late, tokens, strict=True))
        self._distinct = distinct_tokens(self._tokens.values())

    def content(self) -> dict[str, Any]:
        """run.json as of now."""
        description = self._engine.description()
        session = {
            "started": self._started,
            "ended": self._ended,
            "wall_seconds": round(self._clock.wall_seconds, 3),
            "engine_seconds": round(self._clock.engine_seconds, 3),
            "load_seconds": description.get("load_seconds"),
            "peak_memory_bytes": self._engine.peak_memory_bytes(),
        }
        sessions = [*self._earlier, session]
        return {
            **self._static,
            "engine": {**self._engine.identity(), **description},
            "started": sessions[0]["started"],
            "ended": self._ended,
            "sessions": sessions,
            "measured": measured(sessions, self._answers.records, self._distinct),
        }

    def save(self, ended: bool = False) -> None:
        if ended:
            self._ended = _now()
        self._saved = time.monotonic()
        self._folder.write_json("run.json", self.content())


def replay(
    folder: RunFolder,
    config: Mapping[str, Any],
    data: Mapping[str, Loaded],
    requests: Sequence[Request],
    source: Replay,
) -> tuple[list[Generation], dict[str, Any], int]:
    """Take the recorded outputs as the run's generations.

    Returns:
        The records, the content of run.json, and how many requests have no recorded output: they are left
        out, not scored 0.
    """
    answers = _answers(config, source.identity(), folder, requests)
    writer = Writer(folder.generations)
    fresh = []
    for request in requests:
        completion = source.find(request)
        messages = answers.messages(request)
        if completion is None or messages is None or answers.record(request) is not None:
            continue
        record = generation(request, answers.key(request, messages), messages, completion)
        answers.add(record)
        fresh.append(record)
    writer.append(fresh)
    writer.close()
    if not answers.records:
        raise UserError(
            f"{source.path}: none of its {len(source.outputs)} outputs belongs to an example of this run"
        )
    now = _now()
    run = {
        **provenance(config, {name: loaded.provenance for name, loaded in data.items()}),
        "engine": {**source.identity(), "path": str(source.path)},
        "outputs_unused": source.unused(requests),
        "started": now,
        "ended": now,
        "sessions": [],
        "measured": measured([], answers.records, None),
    }
    folder.write_json("run.json", run)
    return answers.records, run, len(requests) - len(answers.records)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
