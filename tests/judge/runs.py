"""Small runs from recorded outputs on the bundled samples, for what judges and labellers do with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evalkit.judge.judge import Population, Subject, population
from evalkit.judge.prompt import Case
from evalkit.run.runner import finished_run
from evalkit.schema import Example, TextGold
from tests.compare.helpers import examples, run

WRONG = "\\boxed{-98765.4}"


def answers(benchmark: str, wrong_every: int = 3) -> dict[tuple[str, int | None], str | None]:
    """Every `wrong_every`-th answer wrong."""
    found = examples(f"benchmark={benchmark}")
    return {(e.id, e.turn): WRONG for e in found[::wrong_every]}


def finqa_run(folder: Path, changed: Mapping[tuple[str, int | None], str | None] | None = None) -> Path:
    """A run of FinQA's sample with every third answer wrong."""
    return run(folder, answers("finqa") if changed is None else changed, "benchmark=finqa")


def free_text_run(folder: Path, texts: Mapping[str, str] | str) -> Path:
    """A run of Finance-Instruct's sample: the same answer to everything, or answers by id."""
    changed = {(e.id, e.turn): _text(texts, e) for e in examples("benchmark=finance_instruct")}
    return run(folder, changed, "benchmark=finance_instruct")


def _text(texts: Mapping[str, str] | str, example: Example) -> str:
    if isinstance(texts, str):
        return texts
    assert isinstance(example.gold, TextGold)
    return texts.get(example.id, example.gold.reference)


def answers_of(run_dir: Path) -> Population:
    return population(finished_run(run_dir))


def subject(number: int, *, rule: bool | None = True, group: str | None = None, text: str = "") -> Subject:
    """A made-up numeric answer."""
    name = ("finqa", f"item-{number}", None, 0)
    case = Case("answer", f"What is {number}?", str(number), text or f"\\boxed{{{number}}}")
    return Subject(name, f"key-{number}", group or f"page-{number}", "amount", case, rule, str(number))
