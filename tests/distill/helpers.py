"""Runs of a teacher over the bundled samples, from recorded outputs, and a scripted judge of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.__main__ import main
from evalkit.schema import Example, YesNoGold, gold_text
from tests.backends.scripted_server import Reply, Request, ScriptedServer
from tests.compare.helpers import examples
from tests.judge.judges import FEW, QUICK, Handler, always, perfect

MUDDLED = "muddled on purpose"
APART = "against=tfns"
"""Evaluation items of another benchmark than FinQA's: the bundled samples are evaluation items themselves."""

Said = Callable[[Example, int], str | None]


def thought(example: Example, thinking: str = "First this, then that, so it follows.") -> str:
    """A right answer with its reasoning."""
    return f"<think>{thinking}</think>The answer is \\boxed{{{gold_text(example.gold)}}}."


def wrong(example: Example, thinking: str) -> str:
    """A wrong answer that a rule can read."""
    gold = example.gold
    said = ("no" if gold.yes else "yes") if isinstance(gold, YesNoGold) else "-98765.4"
    return f"<think>{thinking}</think>\\boxed{{{said}}}"


def mixed(example: Example, number: int) -> str:
    """By turns: good and good; right after bad reasoning; wrong; right without reasoning."""
    if number % 4 == 1:
        return thought(example, f"One is two. This is {MUDDLED}.")
    if number % 4 == 2:
        return wrong(example, "Let me guess.")
    return thought(example) if number % 4 == 0 else thought(example, "")


def teacher_run(
    folder: Path, said: Said | Sequence[Said] = mixed, *arguments: str, name: str = "teacher"
) -> Path:
    """The folder of a run over recorded outputs: `said` of each example and its place, for each sample."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = [said] if callable(said) else list(said)
    benchmark = arguments or ("benchmark=finqa",)
    lines = [
        {"benchmark": each.benchmark, "id": each.id, "turn": each.turn, "sample": sample, "text": text}
        for sample, one in enumerate(samples)
        for number, each in enumerate(examples(*benchmark))
        if (text := one(each, number)) is not None
    ]
    path = folder / "outputs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    several = [f"protocol.samples={len(samples)}", "protocol.temperature=0.6"] if len(samples) > 1 else []
    run_dir = folder / "run"
    command = ["run", "+model=replay", f"model.path={path}", f"model.name={name}", f"run_dir={run_dir}"]
    assert main([*command, "data=sample", *benchmark, *several]) in (0, 1)
    return run_dir


def reasoning_judge(by: Handler) -> Handler:
    """Judges answers as `by` does, and of reasoning refuses what says that it is muddled."""

    def judge(request: Request) -> Reply:
        schema: Mapping[str, Any] = request.body["response_format"]["json_schema"]["schema"]
        names = list(schema["properties"])
        if len(names) == 1:
            return by(request)
        held = {name: place or MUDDLED not in request.text for place, name in enumerate(names)}
        return Reply(json.dumps({name: bool(holds) for name, holds in held.items()}), exact=True)

    return judge


def good_judge(*arguments: str) -> Handler:
    return reasoning_judge(perfect(examples(*(arguments or ("benchmark=finqa",)))))


def unfit_judge() -> Handler:
    return reasoning_judge(always(True))


def distill(*words: str, server: ScriptedServer | None = None) -> int:
    """`evalkit distill`; the exit code."""
    judge = [] if server is None else ["judge=endpoint", f"judge.base_url={server.url}", QUICK, FEW]
    return main(["distill", *words, *judge])


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a format, of all its splits, as `datasets` reads them."""
    import datasets

    found = datasets.load_dataset(str(folder), name, cache_dir=str(folder.parent / "cache"))
    return [dict(row) for split in found.values() for row in split]


def manifest(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return content
