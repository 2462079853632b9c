"""`python -m bench engines`: one model on llama.cpp and on vLLM, and each engine without evalkit.

Without evalkit, an engine is worked by a bare loop, which evalkit's throughput is compared with.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.engines.child import ChildServer
from evalkit.engines.llama_cpp import ServerOptions, wheel_launch
from evalkit.engines.measure import PeakMemory
from evalkit.engines.process import ServerProcess
from evalkit.engines.vllm import HOST, TIDY_SECONDS, environment
from evalkit.run.folder import Finished
from evalkit.schema import EngineUnusable, GenerationSettings

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from rich.console import Console

    from evalkit.config.settings import RunSettings
    from evalkit.engines.needs import VllmSettings
    from evalkit.schema import Answer, Name


_DEFAULTS = {"checkpoint": "", "in_flight": "4", "rounds": "3"}


@dataclass(frozen=True, slots=True)
class Raw:
    """`texts` in the order of the chats; `tokens` generated in all, in `seconds`."""

    texts: tuple[str, ...]
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Way:
    """An engine through evalkit and bare, once.

    `texts` are in the order of `raw.texts`; `tokens` were generated in `seconds`.
    `outside`: the share of the seconds with no request at the engine.
    """

    engine: str
    texts: dict[Name, str]
    tokens: int
    seconds: float
    outside: float
    raw: Raw

    @property
    def speeds(self) -> tuple[float, float]:
        """Tokens per second through evalkit, and bare."""
        return self.tokens / self.seconds, self.raw.tokens / self.raw.seconds


HELP = """
usage: python -m bench engines model=NAME checkpoint=FOLDER [in_flight=4] [rounds=3]
                       [vllm.KEY=VALUE ...] [llama.KEY=VALUE ...] [KEY=VALUE ...]

The same greedy questions on llama.cpp (+model, a GGUF file) and on vLLM (checkpoint, the same model as a
folder), through evalkit and on each engine without it: a bare client's loop, and vLLM's offline engine.
Prints tokens per second, their ratio, the share of time outside the engine, and how many answers are the
same; medians of `rounds`, in which one way follows the other, and how far the ratios lie apart. Takes the
arguments of `evalkit run`, with vllm.KEY and llama.KEY for backend.KEY of the one or the other; answers are
cut to 64 tokens unless protocol.max_tokens is given.

example:
  python -m bench engines model=smollm2-135m checkpoint=FOLDER data=sample vllm.dtype=float32
"""


def main(arguments: Sequence[str]) -> int:
    """Returns 0; the table goes to standard output.

    Raises:
        UserError: a setting is missing or wrong, an engine is not installed or does not serve.
    """
    import tempfile

    from rich.console import Console

    from evalkit.config.options import everything, read_arguments
    from evalkit.schema import EngineUnusable, UserError
    from evalkit.text import output_console

    given = read_arguments("bench engines", arguments, _DEFAULTS, hand_on=everything)
    own, overrides = given.values, given.handed_on
    if not given.text("checkpoint"):
        raise UserError("bench engines: give checkpoint=FOLDER, the model of +model as vLLM serves it")
    rounds = given.whole("rounds")
    progress = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="evalkit-bench-") as scratch:
        try:
            ways = [
                way
                for number in range(rounds)
                for way in _measure(own, overrides, Path(scratch) / str(number), progress)
            ]
        except EngineUnusable as error:
            raise UserError(f"bench engines: {error}") from error
    _print(ways, output_console())
    return 0


def _measure(own: Mapping[str, str], overrides: Sequence[str], scratch: Path, progress: Console) -> list[Way]:
    """Both engines once, each bare right after it went through evalkit: so that both see the same machine."""
    import asyncio

    from evalkit.engines.needs import VllmSettings
    from evalkit.engines.vllm import find_installation
    from evalkit.run.runner import execute
    from evalkit.schema import UserError

    runs = _runs(own, overrides, scratch)
    backend = runs["vllm"].backend
    assert isinstance(backend, VllmSettings), "backend=vllm"
    python = find_installation(backend.executable).python
    if python is None:
        raise UserError("bench engines: no python beside vllm, which the offline engine needs")
    ways = []
    for name, settings in runs.items():
        run = execute(settings, progress)
        how, engine = settings.generation, run.run["engine"]
        progress.print(f"{name} without evalkit", highlight=False)
        if name == "vllm":
            bare = raw_vllm(_chats(run), python, engine, backend, how, scratch)
        else:
            bare = raw_llama(_chats(run), engine, how, scratch / "raw.log")
        ways.append(_way(name, run, asyncio.run(bare)))
    return ways


def _runs(own: Mapping[str, str], overrides: Sequence[str], scratch: Path) -> dict[str, RunSettings]:
    from evalkit.config.settings import run_settings

    in_flight = own["in_flight"]
    common = [a for a in overrides if not a.startswith(("vllm.", "llama."))]
    different = {
        "llama.cpp": [f"backend.slots={in_flight}", *_backend("llama.", overrides)],
        "vllm": [
            "backend=vllm",
            f"model.path={own['checkpoint']}",
            "model.sha256=null",
            f"backend.max_num_seqs={in_flight}",
            *_backend("vllm.", overrides),
        ],
    }
    short = [] if any(a.startswith("protocol.max_tokens=") for a in common) else ["protocol.max_tokens=64"]
    return {
        name: run_settings([*common, *short, *more, f"run_dir={scratch / name}"])
        for name, more in different.items()
    }


def _backend(prefix: str, overrides: Sequence[str]) -> list[str]:
    return [f"backend.{a.removeprefix(prefix)}" for a in overrides if a.startswith(prefix)]


def _groups(run: Finished) -> list[list[Answer]]:
    """The run's records by benchmark and group, the longest pages first, as evalkit sends them."""
    groups: dict[tuple[str, str], list[Answer]] = {}
    for record in run.records:
        groups.setdefault((record.benchmark, record.group), []).append(record)
    return sorted(groups.values(), key=lambda group: -sum(record.prompt_tokens or 0 for record in group))


def _chats(run: Finished) -> list[list[Chat]]:
    return [[record.messages for record in group] for group in _groups(run)]


def _way(name: str, run: Finished, raw: Raw) -> Way:
    measured = run.run["measured"]
    return Way(
        engine=name,
        texts={record.name: record.text or "" for group in _groups(run) for record in group},
        tokens=measured["completion_tokens"],
        seconds=measured["wall_seconds"],
        outside=1 - measured["engine_seconds"] / measured["wall_seconds"],
        raw=raw,
    )


def _print(ways: Sequence[Way], console: Console) -> None:
    from rich.table import Table

    table = Table(box=None)
    for name in ("engine", "evalkit, tok/s", "bare, tok/s", "evalkit / bare", "outside", "same answers"):
        table.add_column(name, justify="left" if name == "engine" else "right")
    by_engine: dict[str, list[Way]] = {}
    for way in ways:
        by_engine.setdefault(way.engine, []).append(way)
    for name, rounds in by_engine.items():
        table.add_row(name, *row(rounds))
    console.print(table)
    console.print(agreement(*(rounds[0].texts for rounds in by_engine.values())), highlight=False)


def row(rounds: Sequence[Way]) -> list[str]:
    """Of one engine: medians over the rounds, the ratio with its range, and the share of equal answers."""
    from statistics import median

    ours, bare = zip(*(way.speeds for way in rounds), strict=True)
    ratios = [way.speeds[0] / way.speeds[1] for way in rounds]
    pairs = [pair for way in rounds for pair in zip(way.texts.values(), way.raw.texts, strict=True)]
    return [
        f"{median(ours):.1f}",
        f"{median(bare):.1f}",
        f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
        f"{median(way.outside for way in rounds):.2%}",
        f"{sum(a == b for a, b in pairs)} of {len(pairs)}",
    ]


def agreement(first: Mapping[Name, str], second: Mapping[Name, str]) -> str:
    """One line: how many answers are the same to the letter, and how far the others go together."""
    from itertools import takewhile
    from statistics import mean

    pairs = [(text, second[name]) for name, text in first.items()]
    differing = [(a, b) for a, b in pairs if a != b]
    shares = [
        sum(1 for _ in takewhile(lambda two: two[0] == two[1], zip(a, b, strict=False))) / max(len(a), len(b))
        for a, b in differing
    ]
    rest = f"; the others share their first {mean(shares):.0%}" if shares else ""
    same = len(pairs) - len(differing)
    return f"answers: {same} of {len(pairs)} are the same on both engines{rest}"


_TIMEOUT = 3600.0  # seconds for one answer

Chat = Sequence[Mapping[str, str]]


async def raw_llama(
    groups: Sequence[Sequence[Chat]], engine: Mapping[str, Any], sampling: GenerationSettings, log: Path
) -> Raw:
    """The chats on a llama.cpp server like that of a finished run, each slot on one group at a time.

    Args:
        groups: chats that share a prefix.
        engine: the `engine` block of that run's run.json.

    Raises:
        UserError: it does not start. EngineUnusable: it does not answer.
    """
    from openai import APIError

    server = ChildServer("llama.cpp", log, _TIMEOUT)
    options = ServerOptions(
        model=engine["weights"]["path"],
        slots=engine["slots"],
        context=engine["context_per_slot"],
        threads=engine["threads"],
        gpu_layers=engine["gpu_layers"],
        flash_attention=engine["flash_attention"],
        chat_template=None,
        port=None,
        key=server.key,
    )
    queue = deque(enumerate(groups))
    texts: dict[int, list[str]] = {}
    tokens = 0

    async def work(client: AsyncOpenAI, slot: int) -> None:
        nonlocal tokens
        while queue:
            number, group = queue.popleft()
            for chat in group:
                body = _body(chat, slot, sampling)
                found = await client.post("/chat/completions", cast_to=dict[str, Any], body=body)
                texts.setdefault(number, []).append(found["choices"][0]["message"]["content"])
                tokens += found["usage"]["completion_tokens"]

    try:
        await server.start(wheel_launch(options))
        assert server.client is not None, "started"
        client = server.client
        started = time.monotonic()
        await asyncio.gather(*(work(client, slot) for slot in range(options.slots)))
        seconds = time.monotonic() - started
    except APIError as error:
        raise EngineUnusable(f"the bare llama.cpp does not answer: {str(error)[:300]}") from error
    finally:
        await server.stop()
    return Raw(tuple(text for number in sorted(texts) for text in texts[number]), tokens, seconds)


def _body(chat: Chat, slot: int, sampling: GenerationSettings) -> dict[str, Any]:
    return {
        "messages": list(chat),
        "temperature": sampling.temperature,
        "max_tokens": sampling.max_tokens,
        "seed": sampling.seed,
        "top_k": 0,
        "top_p": 1.0,
        "min_p": 0.0,
        "repeat_penalty": 1.0,
        "id_slot": slot,
        "cache_prompt": True,
    }


async def raw_vllm(
    groups: Sequence[Sequence[Chat]],
    python: Path,
    engine: Mapping[str, Any],
    backend: VllmSettings,
    sampling: GenerationSettings,
    scratch: Path,
) -> Raw:
    """The chats on vLLM's offline engine, with the options of a finished run.

    Args:
        python: the interpreter that has vLLM.
        engine: the `engine` block of that run's run.json; backend: how vLLM served it.
        scratch: a folder for the request, the answer and the log.

    Raises:
        EngineUnusable: it did not finish; the log says why.
    """
    request, answer, log = (scratch / f"raw-vllm.{end}" for end in ("json", "answer.json", "log"))
    asked = {
        "engine": _offline(engine, backend),
        "sampling": {
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "seed": sampling.seed,
        },
        "chats": [list(chat) for group in groups for chat in group],
        "answer": str(answer),
    }
    request.write_text(json.dumps(asked), encoding="utf-8")
    script = str(Path(__file__).with_name("vllm_host.py"))
    process = ServerProcess(log, PeakMemory(), tidy_seconds=TIDY_SECONDS)
    try:
        await process.start([*HOST, str(python), "-I", script, str(request)], env=environment(""))
        await process.read_line()  # it says nothing there until it has ended
    finally:
        await process.stop()
    if not answer.exists():
        raise EngineUnusable(f"vLLM's offline engine did not finish: {log.read_text()[-300:]}")
    found = json.loads(answer.read_text(encoding="utf-8"))
    return Raw(tuple(found["texts"]), found["tokens"], found["seconds"])


def _offline(engine: Mapping[str, Any], backend: VllmSettings) -> dict[str, Any]:
    """The arguments of vllm.LLM that stand for the server's options."""
    same = ("dtype", "quantization", "tensor_parallel_size", "pipeline_parallel_size", "max_num_seqs")
    options = {
        **{name: getattr(backend, name) for name in (*same, "enforce_eager", "enable_prefix_caching")},
        "model": engine["checkpoint"]["path"],
        "max_model_len": engine["context_per_slot"],
        "kv_cache_memory_bytes": engine["kv_cache_bytes"],
        "generation_config": "vllm",
        "load_format": "safetensors",
    }
    if backend.gpu_memory_utilization is not None:
        options["gpu_memory_utilization"] = backend.gpu_memory_utilization
    return options
