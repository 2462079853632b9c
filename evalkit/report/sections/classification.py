"""Benchmarks with a closed set of labels: macro-F1, per class, confusion, and the majority baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.example import LabelGold
from evalkit.report.items import Item, Mean, mean_of
from evalkit.report.markdown import code, percent, table
from evalkit.report.material import Material, Section
from evalkit.runner.scoring import output_of
from evalkit.scorers.label_answer import label_answer
from evalkit.stats.classification import (
    Pair,
    class_scores,
    confusion,
    macro_f1,
    macro_f1_error,
    majority_baseline,
)

NO_ANSWER = "no answer"

_NOTE = (
    "Rows of the confusion matrix are gold labels, columns what was answered; *no answer* also holds several "
    "labels at once and words that are no label. Macro-F1 is the mean of the classes' F1, its error a "
    "jackknife over examples. A model below the majority baseline is worse than always giving that label."
)


def section(material: Material) -> Section | None:
    """The benchmarks all of whose golds are labels; None if there are none."""
    bodies, data, metrics = [], {}, {}
    for name, items in material.scored().items():
        if not all(isinstance(item.example.gold, LabelGold) for item in items):
            continue
        body, found = _benchmark(items)
        bodies.append(f"### {material.titles[name]}\n\n{body}")
        data[name] = found
        metrics[name] = {
            "macro_f1": found["macro_f1"],
            "macro_f1_stderr": found["macro_f1_stderr"],
            "majority_baseline": found["majority_baseline"],
        }
    if not bodies:
        return None
    return Section("classification", "Classification", "\n\n".join([*bodies, _NOTE]), data, metrics)


def _benchmark(items: Sequence[Item]) -> tuple[str, dict[str, Any]]:
    scored = [item for item in items if item.value is not None]
    golds = [item.example.gold for item in scored]
    labels = list(
        dict.fromkeys(name for gold in golds if isinstance(gold, LabelGold) for name in gold.labels)
    )
    examples = [_pairs(item) for item in scored]
    counts = confusion(pair for pairs in examples for pair in pairs)
    f1, f1_error = macro_f1(counts, labels), macro_f1_error(examples, labels)
    majority = majority_baseline([gold.label for gold in golds if isinstance(gold, LabelGold)])
    found = {
        "accuracy": mean_of(scored).as_json(),
        "macro_f1": f1,
        "macro_f1_stderr": f1_error,
        "majority_label": majority[0] if majority else None,
        "majority_baseline": majority[1] if majority else None,
        "classes": {
            name: {"precision": c.precision, "recall": c.recall, "f1": c.f1, "support": c.support}
            for name, c in class_scores(counts, labels).items()
        },
        "confusion": {
            gold: {said or NO_ANSWER: counts.get((gold, said), 0) for said in [*labels, None]}
            for gold in labels
        },
    }
    head = table(
        ["Accuracy, %", "Macro-F1, %", "Majority baseline, %", "n"],
        [
            [
                percent(mean_of(scored)),
                percent(Mean(f1, f1_error, len(scored))),
                f"{100 * majority[1]:.1f} (always {code(majority[0])})" if majority else "-",
                str(len(scored)),
            ]
        ],
        text_columns=0,
    )
    return "\n\n".join([head, _matrix(counts, labels)]), found


def _pairs(item: Item) -> list[Pair]:
    """Gold and answered label of every sample that was scored."""
    gold = item.example.gold
    if not isinstance(gold, LabelGold):
        return []
    pairs: list[Pair] = []
    for score in item.scores:
        if score.verdict.score is not None:
            said = label_answer(output_of(score.record), gold.labels)
            pairs.append((gold.label, said[1] if said else None))
    return pairs


def _matrix(counts: Mapping[Pair, int], labels: Sequence[str]) -> str:
    scores = class_scores(counts, labels)
    header = ["gold", *(code(name) for name in labels), NO_ANSWER, "precision, %", "recall, %", "F1, %"]
    rows = []
    for gold in labels:
        cells = [str(counts.get((gold, said), 0)) for said in [*labels, None]]
        score = scores[gold]
        figures = [_figure(value) for value in (score.precision, score.recall, score.f1)]
        rows.append([code(gold), *cells, *figures])
    return table(header, rows)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
