"""Scripted judges, and judged runs over recorded outputs of the bundled samples."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from evalkit.__main__ import main
from evalkit.commands import judge as judge_command
from evalkit.config.settings import run_settings
from evalkit.judge.judge import reference_of
from evalkit.run.runner import load_data
from evalkit.schema import Example, Output, TextGold
from evalkit.scoring import get_rule
from tests.backends.scripted_server import Reply, Request, ScriptedServer

MASTER_KEYS = (":", "Solution", "Thought process:")
_OVERRIDES = (
    "backend.backoff=0.02",
    "backend.timeout=30",
    "backend.slots=4",
    "backend.refuse_cut_prompts=false",
)
QUICK = f"judge.overrides=[{','.join(map(repr, _OVERRIDES))}]"
FEW = "judge.canaries=20"  # each kind once or twice

Handler = Callable[[Request], Reply]


def fields(request: Request) -> dict[str, str]:
    """The texts of a prompt by their names; a text that was left empty is missing."""
    found = re.findall(r"^([^\n:：]+)[:：]\n<data-(\w+)>\n(.*?)\n</data-\2>", request.text, re.S | re.M)
    return {name: text for name, _, text in found}


def answer_of(request: Request) -> str:
    return fields(request).get("Answer to judge", "")


def says(request: Request, good: bool) -> Reply:
    """A well-formed reply in the form and for the task that were asked for."""
    score = int(good)
    if "response_format" not in request.body:
        return Reply(f"\\boxed{{{score}}}", usage=(100, 5), exact=True)
    schema = request.body["response_format"]["json_schema"]["schema"]
    (name,) = schema["properties"]
    return Reply(json.dumps({name: score}), usage=(100, 5), exact=True)


def always(good: bool) -> Handler:
    return lambda request: says(request, good)


def coin(seed: int) -> Handler:
    """Each prompt gets a verdict at random, always the same."""
    return lambda request: says(request, random.Random(f"{seed}{request.text}").random() < 0.5)


def perfect(examples: Sequence[Example]) -> Handler:
    """Knows the gold answers: the default rule for what it can decide, the reference for free text."""
    by_reference = {_squeezed(reference_of(example.gold)): example for example in examples}

    def judge(request: Request) -> Reply:
        shown = fields(request)
        reference = shown.get("Reference answer") or shown["参考答案"]
        answer = shown.get("Answer to judge") or shown.get("待评判的回答", "")
        return says(request, right(by_reference[_squeezed(reference)], answer))

    return judge


def right(example: Example, answer: str) -> bool:
    """`answer` is as shown to a judge: with a space where a bracket was broken up."""
    answer = answer.replace("\\ boxed", "\\boxed")
    if isinstance(example.gold, TextGold):
        return _squeezed(example.gold.reference) in _squeezed(answer)
    verdict = get_rule("financial")(Output(answer), example.gold)
    return verdict is not None and bool(verdict.correct)


def fooled(by: Handler) -> Handler:
    """Accepts master keys, and is otherwise as good as `by`."""
    return lambda request: says(request, True) if answer_of(request) in MASTER_KEYS else by(request)


def _squeezed(text: str) -> str:
    """Without blanks, and so without what breaks brackets up."""
    return "".join(text.split())


BENCHMARKS = "benchmark=[finqa,tfns,finance_instruct]"


@cache
def examples(benchmarks: str = BENCHMARKS) -> Sequence[Example]:
    """The bundled examples."""
    config = run_settings(["+model=replay", "model.path=none", "data=sample", benchmarks])
    return tuple(example for loaded in load_data(config).values() for example in loaded.examples)


def outputs(path: Path, said: Callable[[Example, int], str]) -> Path:
    """A file of recorded outputs: what `said` gives for each example and its place."""
    with path.open("w", encoding="utf-8") as file:
        for number, each in enumerate(examples()):
            line = {"benchmark": each.benchmark, "id": each.id, "turn": each.turn, "text": said(each, number)}
            file.write(json.dumps(line) + "\n")
    return path


def undecidable(example: Example, number: int) -> str:
    """No answer that the rule could read; for free text the reference and something else by turns."""
    if isinstance(example.gold, TextGold):
        return example.gold.reference if number % 2 else "Money is what banks have."
    return "It is hard to say what that would be."


def replayed(folder: Path, said: Callable[[Example, int], str] = undecidable, *more: str) -> Path:
    """The folder of a run over recorded outputs; `more` may name a judge."""
    path = outputs(folder / "outputs.jsonl", said)
    run_dir = folder / "run"
    model = ["+model=replay", f"model.path={path}", f"run_dir={run_dir}"]
    code = main(["run", *model, "data=sample", BENCHMARKS, *more])
    assert code in (0, 1)
    return run_dir


def judge_it(run_dir: Path, server: ScriptedServer, *more: str) -> int:
    """`evalkit judge run` against a scripted server; the exit code."""
    given = [f"judge.base_url={server.url}", *more]
    names = [each.partition("=")[0] for each in more]
    quick = [each for each in (QUICK, FEW) if each.partition("=")[0] not in names]
    return judge_command.main(["run", str(run_dir), "judge=endpoint", *given, *quick])


def results(run_dir: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run_dir / "results.json").read_text(encoding="utf-8"))
    return content


def summary(run_dir: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run_dir / "judge.json").read_text(encoding="utf-8"))
    return content


def lines(run_dir: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / name).read_text(encoding="utf-8").splitlines()]


def rates(run_dir: Path) -> dict[str, tuple[float, float]]:
    """By benchmark: the share of wrong canaries accepted and of right ones refused."""
    found: Mapping[str, Any] = summary(run_dir)["benchmarks"]
    return {
        name: (of["canaries"]["false_positive"]["rate"], of["canaries"]["false_negative"]["rate"])
        for name, of in found.items()
        if of["canaries"]
    }
