"""What ending loops changes, over answers that were recorded in full: which are cut, and no verdict.

Every answer is turned into tokens by a model's own tokenizer and read token by token, as it would have been
streamed. One that is found to be a loop is cut there and scored again by every rule.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.memory import server_options, serving
from evalkit.config.options import read_arguments
from evalkit.config.settings import run_settings
from evalkit.engines.loops import loop_end
from evalkit.engines.measure import PeakMemory
from evalkit.run.folder import Finished
from evalkit.run.runner import finished_run
from evalkit.run.scoring import scored_run
from evalkit.schema import LENGTH, LOOP, Score, UserError
from evalkit.text import output_console
from evalkit.weights.fetch import resolve_weights

HELP = """
usage: python -m bench loops RUN_DIR|FILE ... [tokenizer=FILE.gguf] [data.dir=PATH]

What ending loops (protocol.stop_loops) would change in answers that were recorded in full.

  RUN_DIR                  a run's folder: its answers are cut where a loop is proven, and scored again by
                           all rules
  FILE                     .jsonl or .jsonl.gz with one output per line, as `text`, `generation` or `output`:
                           loops are only counted
  tokenizer=FILE.gguf      whose tokens are counted (default: smollm2-135m's)
  data.dir=PATH            where the local data of the runs is now, if it has moved

exit code: 0 no verdict changes, 1 some do, 2 wrong request
"""

_TEXTS = ("text", "generation", "output")
_CONTEXT = 256  # tokens: the server only tokenizes
_TOGETHER = 8
_SHOWN = 20  # changed verdicts that are named


@dataclass(frozen=True, slots=True)
class Output:
    """One recorded answer."""

    text: str
    finish_reason: str | None


@dataclass(frozen=True, slots=True)
class Cut:
    """Where an output is a proven loop: after `tokens` of `total` tokens, with `text` so far."""

    tokens: int
    total: int
    text: str


@dataclass(slots=True)
class Found:
    """What one source shows. `escaped`: loops that ended by themselves. `changed` names verdicts."""

    name: str
    outputs: int
    tokens: int = 0
    loops: int = 0
    escaped: int = 0
    saved: int = 0
    verdicts: int = 0
    changed: list[str] = field(default_factory=list)


def main(arguments: Sequence[str]) -> int:
    given = read_arguments("loops", arguments, {"tokenizer": "", "data.dir": ""})
    sources = [Path(place).expanduser() for place in given.places]
    if not sources:
        raise UserError("loops: give runs or files of outputs: python -m bench loops RUN_DIR FILE.jsonl")
    missing = next((path for path in sources if not path.exists()), None)
    if missing:
        raise UserError(f"loops: no such run or file: {missing}")
    model = given.path("tokenizer") or _small_model()
    if not model.is_file():
        raise UserError(f"tokenizer={model}: no such file")
    found = asyncio.run(_all(sources, model, given.text("data.dir") or None))
    _print(found)
    return 1 if any(each.changed for each in found) else 0


def _small_model() -> Path:
    return resolve_weights(run_settings(["+model=smollm2-135m", "data=sample"]).model).path.absolute()


async def _all(sources: Sequence[Path], model: Path, data_dir: str | None) -> list[Found]:
    with tempfile.TemporaryDirectory(prefix="evalkit-loops-") as folder:
        options = replace(
            server_options(model.absolute(), _CONTEXT, 1, flash_attention=False),
            mmap=True,
            repack=False,
            warmup=False,
        )
        async with serving(options, Path(folder), PeakMemory()) as post:
            return [await _source(path, Tokenizer(post), data_dir) for path in sources]


class Tokenizer:
    """A llama.cpp server's `/tokenize` and `/detokenize`."""

    def __init__(self, post: Any) -> None:  # noqa: ANN401 - an async function
        self._post = post
        self._gate = asyncio.Semaphore(_TOGETHER)

    async def tokens(self, text: str) -> list[int]:
        body = {"content": text, "add_special": False, "parse_special": False}
        async with self._gate:
            found: list[int] = (await self._post("/tokenize", body))["tokens"]
        return found

    async def text(self, tokens: Sequence[int]) -> str:
        async with self._gate:
            found: str = (await self._post("/detokenize", {"tokens": list(tokens)}))["content"]
        return found

    async def cut(self, output: Output) -> tuple[int, Cut | None]:
        """The tokens of an output, and where it is a loop."""
        tokens = await self.tokens(output.text)
        end = await asyncio.to_thread(loop_end, tokens)
        if end is None:
            return len(tokens), None
        return len(tokens), Cut(end, len(tokens), await self.text(tokens[:end]))


async def _source(path: Path, tokenizer: Tokenizer, data_dir: str | None) -> Found:
    if path.is_file():
        return (await _counted(path.name, list(_outputs(path)), tokenizer))[0]
    finished = finished_run(path, data_dir)
    outputs = [Output(record.text or "", record.finish_reason) for record in finished.records]
    found, cuts = await _counted(path.name, outputs, tokenizer)
    _compare(found, finished, cuts)
    return found


async def _counted(
    name: str, outputs: Sequence[Output], tokenizer: Tokenizer
) -> tuple[Found, list[Cut | None]]:
    found, cuts = Found(name, len(outputs)), list[Cut | None]()
    for output, (tokens, cut) in zip(
        outputs, await asyncio.gather(*(tokenizer.cut(output) for output in outputs)), strict=True
    ):
        found.tokens += tokens
        cuts.append(cut)
        if cut is not None:
            found.loops += 1
            found.saved += cut.total - cut.tokens
            found.escaped += output.finish_reason != LENGTH
    return found, cuts


def _compare(found: Found, finished: Finished, cuts: Sequence[Cut | None]) -> None:
    """Score whole and cut answers by every rule."""
    pairs = [(record, cut) for record, cut in zip(finished.records, cuts, strict=True) if cut]
    whole = [record for record, _ in pairs]
    ended = [replace(record, text=cut.text, finish_reason=LOOP) for record, cut in pairs]
    before, after = (scored_run(replace(finished, records=records)) for records in (whole, ended))
    for item, other in zip(before.items, after.items, strict=True):
        for sample, cut_off in zip(item.samples, other.samples, strict=True):
            for rule, score in sample.scores.items():
                now = cut_off.scores[rule]
                found.verdicts += 1
                if (score.correct, score.value) != (now.correct, now.value):
                    found.changed.append(f"{found.name} {item.id} {rule}: {_said(score, now)}")


def _said(before: Score, after: Score) -> str:
    return f"{before.outcome} {before.extracted!r} became {after.extracted!r}"


def _outputs(path: Path) -> Iterator[Output]:
    """The outputs of a file; lines that are none, such as a record's head, are left out."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UserError(f"{path}: line {number} is not JSON") from error
            text = next((row[key] for key in _TEXTS if isinstance(row.get(key), str)), None)
            if text is not None:
                reasoning = row.get("reasoning")
                whole = f"{reasoning}\n{text}" if isinstance(reasoning, str) else text
                yield Output(whole, row.get("finish_reason"))


def _print(found: Sequence[Found]) -> None:
    from rich.table import Table

    table = Table(box=None)
    heads = ("answers", "tokens", "loops", "ended by themselves", "tokens after", "verdicts", "changed")
    table.add_column("source")
    for head in heads:
        table.add_column(head, justify="right")
    for each in found:
        numbers = (each.outputs, each.tokens, each.loops, each.escaped, each.saved, each.verdicts)
        table.add_row(each.name, *(f"{number:,}" for number in numbers), str(len(each.changed)))
    console = output_console()
    console.print(table)
    for line in [line for each in found for line in each.changed][:_SHOWN]:
        console.print(line, highlight=False, markup=False)
