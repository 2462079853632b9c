"""The expensive stage of a run: plan, start the engine, generate, and keep run.json up to date."""

from __future__ import annotations

import asyncio
import re
import time
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from evalkit.config.settings import RunSettings
from evalkit.engines.client import fewest_tokens
from evalkit.engines.measure import EnergyMeter
from evalkit.engines.parity import Parity, template_parity
from evalkit.run.executor import Executor
from evalkit.run.folder import Answers, RunFolder, open_answers, read_run_json
from evalkit.run.generations import Seal, Writer, read_chain, seal_of, sealed
from evalkit.run.provenance import RunProgress, measured, now, provenance
from evalkit.run.reuse import TakenOver, take_over
from evalkit.run.schedule import EngineClock, Journal, Watch, distinct_tokens, grouped
from evalkit.schema import Answer, EngineUnusable, Loaded, Message, Name, OwnAnswer, Request, Speed, UserError
from evalkit.text import shown


def refuse_contradictions(name: str, engine: Mapping[str, Any]) -> None:
    """`strict=true`: raises UserError if the weights are not what their recipe claims.

    Args:
        engine: its description; where that says nothing of the weights, there is nothing to refuse.
    """
    recipe = engine.get("weights", {}).get("recipe", {})
    for warning in recipe.get("warnings", ()):
        raise UserError(f"{name}: {warning} (strict=true refuses such a file)")


_HEARTBEAT_SECONDS = 5.0
# Room in the context for each earlier answer of a dialogue that will only be known later (tokens).
_OWN_ANSWER_RESERVE = 512
_PLANNING_ATTEMPTS = 3


async def generate(
    folder: RunFolder,
    settings: RunSettings,
    data: Mapping[str, Loaded],
    requests: Sequence[Request],
    executor: Executor,
    console: Console,
    expected: Mapping[str, float] | None = None,
    watch: Watch | None = None,
) -> tuple[list[Answer], dict[str, Any]]:
    """Generate every request that has no record yet.

    Args:
        expected: tokens of an answer by benchmark, for the time that is left.
        watch: who may want no more before all are there.

    Returns:
        All records of the run and the content of run.json.

    Raises:
        UserError: the folder holds records of something else, or the engine cannot be had.
        EngineUnusable: the engine does not serve.
    """
    try:
        await executor.connect()
        if settings.strict:
            refuse_contradictions(settings.model.name, executor.description())
        return await _generate(folder, settings, data, requests, executor, console, expected or {}, watch)
    finally:
        await executor.stop()


async def _generate(
    folder: RunFolder,
    settings: RunSettings,
    data: Mapping[str, Loaded],
    requests: Sequence[Request],
    executor: Executor,
    console: Console,
    expected: Mapping[str, float],
    watch: Watch | None,
) -> tuple[list[Answer], dict[str, Any]]:
    answers = open_answers(settings, executor.identity(), folder, requests)
    earlier = read_run_json(folder.path)
    there = sum(answers.record(request) is not None for request in requests)
    taken = take_over(folder.path, settings, answers, requests)
    _keep_taken(folder, taken, console)
    pending = [request for request in requests if answers.record(request) is None]
    if watch is not None:
        for record in answers.records:
            watch.seen(record)
        pending = [request for request in pending if watch.wants([request])]
    probed = [earlier.get("measured", {}), *(each.session() for each in taken)]
    unprobed = settings.probe and not any(figures.get("probe") for figures in probed)
    if there:
        say = f"going on: {there:,} of {len(requests):,} answers are there"
        say = say if pending else f"already complete: all {there:,} answers are there"
        console.print(say, highlight=False, markup=False, soft_wrap=True)
    if not pending and earlier and not unprobed:
        return answers.records, _brought_up_to_date(folder, earlier, answers.records, settings.max_tokens)
    executor.count_earlier(earlier.get("sessions", ()), answers.records)
    session = _Session(folder, settings, data, executor, answers, earlier, taken)
    try:
        if pending or not taken or unprobed:
            await session.run(requests, pending, console, expected, watch)
    finally:
        await executor.stop()
        session.save(ended=True)
    return answers.records, session.content()


def _keep_taken(folder: RunFolder, taken: Sequence[TakenOver], console: Console) -> None:
    """Put answers of other runs on disk as this run's, and say so."""
    for each in taken:
        writer = Writer(folder.generations)
        try:
            writer.append(each.answers)
        finally:
            writer.close()
        line = f"{len(each.answers)} answers are there already, in {each.path}: they are taken over"
        console.print(line, highlight=False, markup=False, soft_wrap=True)


_FEWEST_WORDS = 20  # with fewer, a template's own tokens count too much
_LEFT_OUT = 0.5


def require_prompts(name: str, prompts: Sequence[Sequence[Message]], tokens: Sequence[Sequence[int]]) -> None:
    """Raises UserError if what the engine reads of a prompt cannot be the prompt."""
    for prompt, read in zip(prompts, tokens, strict=True):
        words = fewest_tokens(prompt)
        if words >= _FEWEST_WORDS and len(read) < _LEFT_OUT * words:
            raise UserError(
                f"the chat template of {name} leaves the question out: it makes {len(read)} tokens of a "
                f"prompt of {words} words: give another with model.chat_template=FILE.jinja"
            )


# What models of the families in use take as a turn's end or beginning.
_CONTROL = re.compile(
    r"<\|[a-z_]{2,40}\|>|<｜[^｜]{2,40}｜>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>", re.IGNORECASE
)


def control_tokens(requests: Sequence[Request]) -> str | None:
    """A line on questions that hold what a model may read as control tokens, and not as text; None: none do.

    They are asked as they are: the benchmark's words are not ours to change.
    """
    found = [
        request.example
        for request in requests
        if any(_CONTROL.search(m.content) for m in request.example.messages if isinstance(m, Message))
    ]
    if not found:
        return None
    first = found[0]
    return (
        f"{len(found)} prompts hold text that a model may read as control tokens, like {first.benchmark} "
        f"{shown(first.id)}: their answers may be to something else"
    )


def _brought_up_to_date(
    folder: RunFolder, run: dict[str, Any], records: Sequence[Answer], max_tokens: int
) -> dict[str, Any]:
    """run.json of a run with nothing left to do: a kill may have come after its last record."""
    distinct = run["measured"].get("prompt_tokens_distinct")
    figures = measured(run["sessions"], records, distinct, max_tokens)
    found = read_chain(folder.generations)
    # What an older version wrote has no links, and stays as it is.
    seal = found.seal if found.linked else seal_of(run)
    if figures != run["measured"] or seal != seal_of(run):
        run["measured"] = figures
        if seal is not None:
            run.update(sealed(seal, run))
        folder.write_json("run.json", run)
    return run


def _rounded(seconds: float | None) -> float | None:
    return round(seconds, 3) if seconds is not None else None


class _Session:
    """One stretch of work on a run, from start to finish or interruption."""

    def __init__(
        self,
        folder: RunFolder,
        settings: RunSettings,
        data: Mapping[str, Loaded],
        executor: Executor,
        answers: Answers,
        earlier: Mapping[str, Any],
        taken: Sequence[TakenOver],
    ) -> None:
        self._folder = folder
        self._executor = executor
        self._answers = answers
        self._static = provenance(settings, {name: loaded.provenance for name, loaded in data.items()})
        self._earlier = [*earlier.get("sessions", []), *(each.session() for each in taken)]
        self._started = now()
        self._clock = EngineClock()
        self._saved = 0.0
        self._ended: str | None = None
        self._probe = settings.probe
        self._speed: Speed | None = None
        self._energy = EnergyMeter()
        self._model, self._backend, self._max_tokens = settings.model, settings.backend, settings.max_tokens
        self._parity: Parity | None = None
        self._tokens: dict[Name, array[int]] = {}
        self._distinct: int | None = None
        self._seal: Seal = read_chain(folder.generations).seal
        self._before = earlier

    async def run(
        self,
        requests: Sequence[Request],
        pending: Sequence[Request],
        console: Console,
        expected: Mapping[str, float],
        watch: Watch | None,
    ) -> None:
        warning = control_tokens(requests)
        if warning:
            console.print(warning, highlight=False, markup=False, soft_wrap=True)
        sizes = await self._plan(requests, console)
        todo = {request.name for request in pending}
        groups = [
            group
            for group in grouped(requests, lambda request: sizes[request.name])
            if any(request.name in todo for request in group)
        ]
        groups = groups if watch is None else watch.ordered(groups)
        longest = max(sizes.values(), default=None) if self._tokens else None
        console.print("loading the model", highlight=False)
        await self._executor.start(longest)
        if self._probe:
            console.print("measuring the speed of one request alone", highlight=False)
            self._speed = await self._executor.probe()
        self._energy = EnergyMeter()  # from here on: what the answers take
        self.save()
        writer = Writer(self._folder.generations)
        left = Counter(request.example.benchmark for request in pending)
        progress = RunProgress(len(requests), left, expected, console)
        if longest:
            first = f"first prompts, of up to {longest:,} tokens: until they are read there is no answer"
            console.print(first, highlight=False, soft_wrap=True)

        def on_record(record: Answer) -> None:
            progress.add(record)
            self._seal = writer.seal
            if watch is not None:
                watch.seen(record)
            if time.monotonic() - self._saved > _HEARTBEAT_SECONDS:
                self.save()

        try:
            with progress:
                journal = Journal(self._answers, writer, self._clock, on_record, watch)
                await self._executor.work(groups, journal)
            await self._count_late_prompts(requests)
        finally:
            writer.close()

    async def _plan(self, requests: Sequence[Request], console: Console) -> dict[Name, int]:
        """The size of every prompt, in tokens where the engine tells, else in characters."""
        prompts = {request.name: self._answers.draft(request) for request in requests}
        tokens = await self._tokenize(list(prompts.values()))
        if tokens is None:
            return {name: sum(len(m.content) for m in prompt) for name, prompt in prompts.items()}
        require_prompts(self._model.name, list(prompts.values()), tokens)
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
                return await self._executor.tokenize(prompts)
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
        description = self._executor.description()
        session = {
            "started": self._started,
            "ended": self._ended,
            "wall_seconds": round(self._clock.wall_seconds, 3),
            "engine_seconds": round(self._clock.engine_seconds, 3),
            "idle_slot_seconds": _rounded(self._clock.idle_slot_seconds),
            "before_first_seconds": _rounded(self._clock.before_first_seconds),
            "after_last_seconds": _rounded(self._clock.after_last_seconds) if self._ended else None,
            "load_seconds": description.get("load_seconds"),
            "cost": description.get("cost"),
            "peak_memory_bytes": self._executor.peak_memory_bytes(),
            "peak_gpu_memory_bytes": self._executor.peak_gpu_memory_bytes(),
            # A meter here knows nothing of other machines.
            "energy_joules": self._energy.joules() if self._executor.is_here else None,
            "probe": self._speed.as_json() if self._speed else None,
        }
        sessions = [*self._earlier, session]
        return {
            **self._static,
            "engine": {**self._executor.identity(), **description, **self._found_of_template()},
            "started": sessions[0]["started"],
            "ended": self._ended,
            "sessions": sessions,
            "measured": measured(sessions, self._answers.records, self._distinct, self._max_tokens),
            **(sealed(self._seal, self._before) if self._seal.count else {}),
        }

    def _found_of_template(self) -> dict[str, Any]:
        return {"template_parity": self._parity.as_json()} if self._parity is not None else {}

    def save(self, ended: bool = False) -> None:
        if ended:
            self._ended = now()
        self._saved = time.monotonic()
        self._folder.write_json("run.json", self.content())
