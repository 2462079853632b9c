"""`evalkit bench engines`: one model on llama.cpp and on vLLM, and each engine without evalkit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from evalkit.backends.raw import Chat, Raw
    from evalkit.runner.record import Generation
    from evalkit.runner.request import Name
    from evalkit.runner.run import Finished

_OWN = ("checkpoint", "in_flight", "rounds")


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


def main(arguments: Sequence[str]) -> int:
    """Returns 0; the table goes to standard output.

    Raises:
        UserError: a setting is missing or wrong, an engine is not installed or does not serve.
    """
    import tempfile

    from rich.console import Console

    from evalkit.backends.engine import EngineUnusable
    from evalkit.errors import UserError
    from evalkit.gguf.settings import whole
    from evalkit.report.console import output_console

    own = {key: value for key, _, value in (a.partition("=") for a in arguments) if key in _OWN}
    overrides = [a for a in arguments if a.partition("=")[0] not in _OWN]
    if "checkpoint" not in own:
        raise UserError("bench engines: give checkpoint=FOLDER, the model of +model as vLLM serves it")
    rounds = whole("rounds", own.get("rounds", "3"))
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

    from evalkit.backends.raw import raw_llama, raw_vllm
    from evalkit.backends.vllm_options import find_installation
    from evalkit.errors import UserError
    from evalkit.runner.run import execute
    from evalkit.runner.settings import sampling

    configs = _configs(own, overrides, scratch)
    python = find_installation(configs["vllm"]["backend"]["executable"]).python
    if python is None:
        raise UserError("bench engines: no python beside vllm, which the offline engine needs")
    ways = []
    for name, config in configs.items():
        run = execute(config, progress)
        how, engine = sampling(config), run.run["engine"]
        progress.print(f"{name} without evalkit", highlight=False)
        if name == "vllm":
            bare = raw_vllm(_chats(run), python, engine, config["backend"], how, scratch)
        else:
            bare = raw_llama(_chats(run), engine, how, scratch / "raw.log")
        ways.append(_way(name, run, asyncio.run(bare)))
    return ways


def _configs(own: Mapping[str, str], overrides: Sequence[str], scratch: Path) -> dict[str, dict[str, Any]]:
    from evalkit.config import compose, to_dict

    in_flight = own.get("in_flight", "4")
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
        name: to_dict(compose([*common, *short, *more, f"run_dir={scratch / name}"]))
        for name, more in different.items()
    }


def _backend(prefix: str, overrides: Sequence[str]) -> list[str]:
    return [f"backend.{a.removeprefix(prefix)}" for a in overrides if a.startswith(prefix)]


def _groups(run: Finished) -> list[list[Generation]]:
    """The run's records by benchmark and group, the longest pages first, as evalkit sends them."""
    groups: dict[tuple[str, str], list[Generation]] = {}
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
