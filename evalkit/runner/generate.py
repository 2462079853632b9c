"""The expensive stage: planning, starting the engine, generating, and the figures of run.json."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from evalkit.backends.budget import Priced
from evalkit.backends.energy import EnergyMeter
from evalkit.backends.engine import Engine, EngineUnusable
from evalkit.backends.parity import Parity, template_parity
from evalkit.backends.speed import Speed
from evalkit.benchmarks import Loaded
from evalkit.example import Message, OwnAnswer
from evalkit.executors.fleet import RayFleet
from evalkit.executors.open import work
from evalkit.runner.answers import Answers, open_answers
from evalkit.runner.clock import EngineClock
from evalkit.runner.folder import RunFolder
from evalkit.runner.order import distinct_tokens, grouped
from evalkit.runner.progress import RunProgress
from evalkit.runner.provenance import now, provenance
from evalkit.runner.record import Generation, Writer
from evalkit.runner.request import Name, Request
from evalkit.runner.session import measured
from evalkit.runner.strict import refuse_contradictions

_HEARTBEAT_SECONDS = 5.0
# Room in the context for each earlier answer of a dialogue that will only be known later (tokens).
_OWN_ANSWER_RESERVE = 512
_PLANNING_ATTEMPTS = 3


async def generate(
    folder: RunFolder,
    config: Mapping[str, Any],
    data: Mapping[str, Loaded],
    requests: Sequence[Request],
    engine: Engine | RayFleet,
    console: Console,
) -> tuple[list[Generation], dict[str, Any]]:
    """Generate every request that has no record yet.

    Returns:
        All records of the run and the content of run.json.

    Raises:
        UserError: the folder holds records of something else, or the engine cannot be had.
        EngineUnusable: the engine does not serve.
    """
    try:
        if isinstance(engine, RayFleet):
            await engine.connect()
            if config["strict"]:
                refuse_contradictions(config["model"]["name"], engine.description())
        return await _generate(folder, config, data, requests, engine, console)
    finally:
        await engine.stop()


async def _generate(
    folder: RunFolder,
    config: Mapping[str, Any],
    data: Mapping[str, Loaded],
    requests: Sequence[Request],
    engine: Engine | RayFleet,
    console: Console,
) -> tuple[list[Generation], dict[str, Any]]:
    answers = open_answers(config, engine.identity(), folder, requests)
    pending = [request for request in requests if answers.record(request) is None]
    earlier = folder.read_json("run.json")
    unprobed = config["probe"] and not earlier.get("measured", {}).get("probe")
    if not pending and earlier and not unprobed:
        return answers.records, _brought_up_to_date(folder, earlier, answers.records)
    if isinstance(engine, Priced):
        engine.count_earlier(earlier.get("sessions", ()), answers.records)
    session = _Session(folder, config, data, engine, answers, earlier)
    try:
        await session.run(requests, pending, console)
    finally:
        await engine.stop()
        session.save(ended=True)
    return answers.records, session.content()


def _brought_up_to_date(
    folder: RunFolder, run: dict[str, Any], records: Sequence[Generation]
) -> dict[str, Any]:
    """run.json of a run with nothing left to do: a kill may have come after its last record."""
    distinct = run["measured"]["prompt_tokens_distinct"]
    figures = measured(run["sessions"], records, distinct)
    if figures != run["measured"]:
        run["measured"] = figures
        folder.write_json("run.json", run)
    return run


class _Session:
    """One stretch of work on a run, from start to finish or interruption."""

    def __init__(
        self,
        folder: RunFolder,
        config: Mapping[str, Any],
        data: Mapping[str, Loaded],
        engine: Engine | RayFleet,
        answers: Answers,
        earlier: Mapping[str, Any],
    ) -> None:
        self._folder = folder
        self._engine = engine
        self._answers = answers
        self._static = provenance(config, {name: loaded.provenance for name, loaded in data.items()})
        self._earlier = list(earlier.get("sessions", []))
        self._started = now()
        self._clock = EngineClock()
        self._saved = 0.0
        self._ended: str | None = None
        self._probe = config["probe"]
        self._speed: Speed | None = None
        self._energy = EnergyMeter()
        self._is_elsewhere = isinstance(engine, RayFleet) and not engine.is_here
        self._model, self._backend = config["model"], config["backend"]
        self._parity: Parity | None = None
        self._tokens: dict[Name, array[int]] = {}
        self._distinct: int | None = None

    async def run(self, requests: Sequence[Request], pending: Sequence[Request], console: Console) -> None:
        sizes = await self._plan(requests, console)
        todo = {request.name for request in pending}
        groups = [
            group
            for group in grouped(requests, lambda request: sizes[request.name])
            if any(request.name in todo for request in group)
        ]
        await self._engine.start(max(sizes.values(), default=None) if self._tokens else None)
        if self._probe:
            self._speed = await self._engine.probe()
        self._energy = EnergyMeter()  # from here on: what the answers take
        self.save()
        writer = Writer(self._folder.generations)
        progress = RunProgress(len(requests), len(requests) - len(pending), console)

        def on_record(record: Generation) -> None:
            progress.add(record)
            if time.monotonic() - self._saved > _HEARTBEAT_SECONDS:
                self.save()

        try:
            with progress:
                await work(self._engine, groups, self._answers, writer, self._clock, on_record)
            await self._count_late_prompts(requests)
        finally:
            writer.close()

    async def _plan(self, requests: Sequence[Request], console: Console) -> dict[Name, int]:
        """The size of every prompt, in tokens where the engine tells, else in characters."""
        prompts = {request.name: self._answers.draft(request) for request in requests}
        tokens = await self._tokenize(list(prompts.values()))
        if tokens is None:
            return {name: sum(len(m.content) for m in prompt) for name, prompt in prompts.items()}
        await self._compare_templates(list(prompts.values()), tokens, console)
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

    async def _compare_templates(
        self, prompts: list[tuple[Message, ...]], tokens: list[array[int]], console: Console
    ) -> None:
        """Say where the engine's chat template is not the tokenizer's own, if both are to be had here."""
        self._parity = await asyncio.to_thread(template_parity, self._model, self._backend, prompts, tokens)
        if self._parity is not None and self._parity.line:
            console.print(self._parity.line, highlight=False, markup=False, soft_wrap=True)

    async def _tokenize(self, prompts: list[tuple[Message, ...]]) -> list[array[int]] | None:
        for attempt in range(_PLANNING_ATTEMPTS):
            try:
                return await self._engine.tokenize(prompts)
            except EngineUnusable:
                if attempt == _PLANNING_ATTEMPTS - 1:
                    raise
        return None

    async def _count_late_prompts(self, requests: Sequence[Request]) -> None:
        """Prompts that held the model's own answers could not be counted before they existed."""
        late = [request for request in requests if request.name not in self._tokens]
        if not self._tokens or not late:
            return
        prompts = [self._answers.draft(request) for request in late]
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
            "cost": description.get("cost"),
            "peak_memory_bytes": self._engine.peak_memory_bytes(),
            "peak_gpu_memory_bytes": self._engine.peak_gpu_memory_bytes(),
            # A meter here knows nothing of other machines.
            "energy_joules": None if self._is_elsewhere else self._energy.joules(),
            "probe": self._speed.as_json() if self._speed else None,
        }
        sessions = [*self._earlier, session]
        return {
            **self._static,
            "engine": {**self._engine.identity(), **description, **self._found_of_template()},
            "started": sessions[0]["started"],
            "ended": self._ended,
            "sessions": sessions,
            "measured": measured(sessions, self._answers.records, self._distinct),
        }

    def _found_of_template(self) -> dict[str, Any]:
        return {"template_parity": self._parity.as_json()} if self._parity is not None else {}

    def save(self, ended: bool = False) -> None:
        if ended:
            self._ended = now()
        self._saved = time.monotonic()
        self._folder.write_json("run.json", self.content())
