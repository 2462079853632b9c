"""Hand-made items and runs, and runs of the real command over recorded outputs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalkit.__main__ import main
from evalkit.report.sections import Section
from evalkit.run.info import Run, run_info
from evalkit.schema import (
    ChoiceGold,
    Gold,
    GoldKind,
    Item,
    LabelGold,
    NumberGold,
    Outcome,
    Sample,
    Score,
    TextGold,
    YesNoGold,
    gold_text,
)

LABELS = ("bearish", "bullish", "neutral")
KINDS: dict[type, GoldKind] = {
    NumberGold: "number",
    YesNoGold: "yes_no",
    ChoiceGold: "choice",
    LabelGold: "label",
    TextGold: "text",
}


def score(
    id_: str,
    value: float | None,
    *,
    rule: str = "financial",
    group: str | None = None,
    gold: Gold | None = None,
    text: str = "",
    sample: int = 0,
    turn: int | None = None,
    failure: Outcome | None = None,
    tokens: int | None = None,
    finish: str = "stop",
    error: str | None = None,
    extracted: str | None = None,
    benchmark: str = "finqa",
    facets: Mapping[str, Any] | None = None,
) -> Item:
    """An example with one answer under one rule; what is not given is unremarkable."""
    correct = None if value is None else value == 1
    kind = failure or ("unscored" if value is None else "correct" if correct else "wrong_number")
    found = {rule: Score(extracted, correct, value, kind)}
    of = gold or NumberGold(1.0)
    return Item(
        benchmark=benchmark,
        id=id_,
        turn=turn,
        group=group or id_,
        facets=dict(facets or {}),
        gold_kind=KINDS[type(of)],
        gold=of.reference if isinstance(of, TextGold) else gold_text(of),
        question="",
        samples=(Sample(sample, (("user", "?"),), text, finish, None, tokens, error, found),),
        choices=choices(of),
    )


def choices(gold: Gold) -> dict[str, str]:
    """What may be answered."""
    if isinstance(gold, LabelGold):
        return dict.fromkeys(gold.labels, "")
    return gold.options if isinstance(gold, ChoiceGold) else {}


def label(id_: str, gold: str, said: str, right: bool) -> Item:
    """A tweet's label and what was answered."""
    of = LabelGold(gold, LABELS)
    return score(id_, float(right), gold=of, text=f"\\boxed{{{said}}}", benchmark="tfns")


def merged(items: Iterable[Item]) -> list[Item]:
    """The examples, each once, with all their answers and all rules' scores of them, in order."""
    found: dict[tuple[str, str, int | None], Item] = {}
    for item in items:
        key = (item.benchmark, item.id, item.turn)
        found[key] = _with(found[key], item) if key in found else item
    return list(found.values())


def _with(item: Item, other: Item) -> Item:
    samples = {sample.number: sample for sample in item.samples}
    for sample in other.samples:
        if sample.number in samples:
            known = samples[sample.number]
            samples[sample.number] = replace(known, scores={**known.scores, **sample.scores})
        else:
            samples[sample.number] = sample
    return item.with_samples(tuple(samples.values()))


def make(items: Iterable[Item]) -> Run:
    """A run from items of any order, in which every benchmark is called Title."""
    merged_items = merged(items)
    names = list(dict.fromkeys(item.benchmark for item in merged_items))
    head = {
        "run_id": "made",
        "model": {"name": "m", "title": "M"},
        "protocol": {"name": "greedy"},
        "benchmarks": {
            name: {"title": "Title", "covered": sum(item.benchmark == name for item in merged_items)}
            for name in names
        },
        "data": {name: {"source": "sample"} for name in names},
        "engine": {},
        "measured": {},
    }
    return Run(Path("made"), run_info(head), tuple(merged_items))


def as_json(section: Section) -> dict[str, Any]:
    """What results.json will have of a section."""
    found = json.loads(json.dumps(dict(section.data)))
    assert isinstance(found, dict)
    return found


def replay(folder: Path, outputs: Iterable[Mapping[str, Any]], *arguments: str) -> int:
    """`evalkit run` over recorded outputs into folder/run; the exit code."""
    path = folder / "outputs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in outputs), encoding="utf-8")
    return main(["run", "+model=replay", f"model.path={path}", f"run_dir={folder / 'run'}", *arguments])


def results(folder: Path) -> dict[str, Any]:
    content = json.loads((folder / "run" / "results.json").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content
