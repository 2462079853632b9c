"""`evalkit load`: how long people wait for a file's answers when several ask at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from evalkit.config.settings import RunSettings
    from evalkit.load.measure import Extent, Question, Served
    from evalkit.load.record import Level, LoadResult

HELP = """
usage: evalkit load FILE|NAME|hf:OWNER/REPO/FILE|URL [users=1,2,4,8] [KEY=VALUE ...]

Serve a file as `evalkit run` does and ask it a benchmark's questions, by one user, then two, then more, each
of whom asks the next question when the answer is there: time to the first token, time per token, pauses, and
time of the whole answer as p50, p95 and p99; tokens per second; peak memory. Ends with the command line of
llama-server (vLLM for a checkpoint) that serves it with the very same settings. `evalkit recommend` uses what
is measured here. A service (backend=remote) is asked as it stands, each question once and without
waiting for its limits; what it costs counts towards backend.max_cost.

  users=1,2,4,8            how many ask at once, one after the other
  requests=10              questions of each user at most
  seconds=120              of each number of users: then nobody asks more, and what is under way may take as
                           long again
  json=true                what load.json holds
  backend.slots=N          requests decoded together; more users wait for a slot
  protocol.max_tokens=N    the longest answer
  ...                      everything that `evalkit run` takes: benchmark=, data=, limit=, backend.context=,
                           .cache_type_k=, .flash_attention=, .threads=, .draft= ...

examples:
  evalkit load my.gguf benchmark=finqa users=1,4,16 backend.slots=4
  evalkit load smollm2-135m data=sample benchmark=tfns users=1,2 protocol.max_tokens=32

What is measured stays in results/load/<model>/<id>/load.json.

exit code: 0 done, 1 some requests had no answer or the server ended, 2 wrong request, 130 interrupted
"""

_DEFAULTS = {"users": "1,2,4,8", "requests": "10", "seconds": "120", "json": "false"}
_MOST_USERS = 1024
_MOST_SECONDS = 86_400
_MOST_QUESTIONS = 20_000


def main(arguments: Sequence[str]) -> int:
    from evalkit.config.options import everything, read_arguments
    from evalkit.config.overrides import compose, names_benchmarks, to_dict
    from evalkit.config.settings import read_run
    from evalkit.config.words import read_words
    from evalkit.load.measure import Extent
    from evalkit.run.named import run_overrides
    from evalkit.run.runner import check, without_unscored

    given = read_arguments("load", arguments, _DEFAULTS, hand_on=everything)
    users = sorted(set(given.wholes("users")))
    if users[-1] > _MOST_USERS:
        raise given.refusal("users", f"at most {_MOST_USERS}")
    extent = Extent(given.whole("requests", most=10_000), given.number("seconds", 0, _MOST_SECONDS))
    as_json = given.truth("json")
    overrides = run_overrides(read_words("load", [*given.places, *given.handed_on]))
    settings = check(read_run(to_dict(compose(overrides))))
    if not names_benchmarks(overrides):
        settings, _ = without_unscored(settings)
    return _measured(settings, users, extent, as_json=as_json)


def _measured(settings: RunSettings, users: Sequence[int], extent: Extent, *, as_json: bool) -> int:
    """Measure, keep, and show; returns the exit code."""
    from rich.console import Console

    from evalkit import engines
    from evalkit.engines import StreamingEngine
    from evalkit.load.measure import questions_of
    from evalkit.load.record import FILE, folder_of
    from evalkit.report.load import HEADER, level_row, load_lines
    from evalkit.run.folder import ENGINE_LOG
    from evalkit.run.runner import load_data
    from evalkit.schema import UserError
    from evalkit.text import output_console, show_lines, terminal_table, write_json

    if settings.backend.is_recorded:
        raise UserError(
            f"load: backend={settings.backend.kind} serves nobody: give a GGUF file, or a service"
        )
    engines.preflight(settings.model, settings.backend, settings.max_tokens)
    count = min(sum(users) * extent.requests, _MOST_QUESTIONS)
    data = load_data(settings)
    questions = questions_of(data, settings.generation, settings.protocol.system, count)
    if not questions:
        raise UserError("load: no question can be asked by itself: take another benchmark, or history=gold")
    folder = folder_of(settings, users, getattr(settings.backend, "threads", None))
    folder.mkdir(parents=True, exist_ok=True)
    engine = engines.open_engine(settings.model, settings.backend, settings.max_tokens, folder / ENGINE_LOG)
    if not isinstance(engine, StreamingEngine):  # from outside the package
        raise UserError(f"load: backend={settings.backend.kind} does not stream its answers")
    messages = Console(stderr=True)
    found, error = _serve(engine, settings, questions, users, extent, folder, messages)
    if error:
        show_lines(messages, [f"evalkit: {error}"])
    if found is None:
        return 1
    code = int(error is not None or any(level.failed or level.unfinished for level in found.levels))
    if as_json:
        write_json(found)
        return code
    output = output_console()
    output.print(terminal_table(HEADER, map(level_row, found.levels), output.width, left=()))
    show_lines(output, [*load_lines(found), f"kept in {folder / FILE}"])
    return code


def _serve(
    engine: Served,
    settings: RunSettings,
    questions: Sequence[Question],
    users: Sequence[int],
    extent: Extent,
    folder: Path,
    console: Console,
) -> tuple[LoadResult | None, str | None]:
    """What was measured, as far as it came, and why no further."""
    import asyncio

    from evalkit.load.measure import measure
    from evalkit.load.record import write_load
    from evalkit.schema import EngineUnusable
    from evalkit.text import show_lines

    levels: list[Level] = []
    found: LoadResult | None = None

    def keep(level: Level) -> None:
        nonlocal found
        levels.append(level)
        found = _result(engine, settings, questions, levels, complete=len(levels) == len(users))
        write_load(found, folder)
        show_lines(console, [f"{level.users} users: {level.done} answers in {level.seconds:.0f} s"])

    show_lines(console, [f"{len(questions)} questions; into {folder}"])
    try:
        asyncio.run(measure(engine, questions, users, extent, keep))
    except EngineUnusable as error:
        return found, str(error)
    return found, None


def _result(
    engine: Served,
    settings: RunSettings,
    questions: Sequence[Question],
    levels: Sequence[Level],
    *,
    complete: bool,
) -> LoadResult:
    from pathlib import PurePath

    from evalkit.load.record import LoadResult
    from evalkit.run.provenance import hardware, now

    identity, facts = engine.identity(), engine.description()
    weights = facts.get("weights") or facts.get("checkpoint")  # of a service nobody knows them
    asked = {"benchmarks": list(settings.benchmark), "source": settings.data.source, "limit": settings.limit}
    return LoadResult(
        name=settings.model.name,
        title=settings.model.title,
        file=PurePath(weights["path"]).name if weights else ", ".join(identity["service"]),
        sha256=identity.get("weights_sha256"),
        build=identity.get("build", identity["engine"]),
        command=tuple(engine.server_command()),
        context=facts.get("context_per_slot"),
        slots=facts["slots"],
        backend=settings.backend.model_dump(mode="json"),
        questions={**asked, "distinct": len(questions)},
        max_tokens=settings.max_tokens,
        load_seconds=facts.get("load_seconds"),
        machine=hardware(),
        made=now(),
        levels=tuple(levels),
        complete=complete,
    )
