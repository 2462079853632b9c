"""Hand-made scores, and runs of the real command over recorded outputs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evalkit.__main__ import main
from evalkit.example import Example, Gold, LabelGold, NumberGold
from evalkit.report.items import items_of
from evalkit.report.material import Material
from evalkit.runner.record import Generation
from evalkit.runner.scoring import Score
from evalkit.scorers.verdict import Failure, Verdict

LABELS = ("bearish", "bullish", "neutral")


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
    failure: Failure | None = None,
    tokens: int | None = None,
    finish: str = "stop",
    error: str | None = None,
    extracted: str | None = None,
    benchmark: str = "finqa",
    facets: Mapping[str, Any] | None = None,
) -> Score:
    """One verdict on one output; what is not given is unremarkable."""
    example = Example(benchmark, id_, (), gold or NumberGold(1.0), group or id_, turn, dict(facets or {}))
    record = Generation(
        *("key", benchmark, id_, turn, sample, example.group, [], text, finish),
        *(None, None, tokens, 0.0, None, None, error),
    )
    correct = None if value is None else value == 1
    kind = failure or ("unscored" if value is None else "correct" if correct else "wrong_number")
    return Score(record, example, rule, Verdict(extracted, correct, value, kind))


def label(id_: str, gold: str, said: str, right: bool) -> Score:
    """A tweet's label and what was answered."""
    of = LabelGold(gold, LABELS)
    return score(id_, float(right), gold=of, text=f"\\boxed{{{said}}}", benchmark="tfns")


def make(scores: Iterable[Score], **changes: Any) -> Material:
    """A run of one benchmark from scores in any order."""
    by_rule: dict[str, list[Score]] = {}
    benchmark = ""
    for each in scores:
        by_rule.setdefault(each.rule, []).append(each)
        benchmark = each.record.benchmark
    items = {benchmark: {rule: items_of(found) for rule, found in by_rule.items()}}
    return Material(**{"titles": {benchmark: "Title"}, "items": items, "rule": "financial", **changes})


def replay(folder: Path, outputs: Iterable[Mapping[str, Any]], *arguments: str) -> int:
    """`evalkit run` over recorded outputs into folder/run; the exit code."""
    path = folder / "outputs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in outputs), encoding="utf-8")
    return main(["run", "+model=replay", f"model.path={path}", f"run_dir={folder / 'run'}", *arguments])


def results(folder: Path) -> dict[str, Any]:
    content = json.loads((folder / "run" / "results.json").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content
