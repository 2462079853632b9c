"""The example browser's data: a light index per benchmark, and the texts in parts loaded on demand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.records.record import Row, RuleVerdict
from evalkit.site.javascript import chunk
from evalkit.site.questions import questions
from evalkit.site.runs import Run

CHUNK = 300_000  # characters: loaded in a blink, and 60,000 outputs make some hundreds of files

Key = tuple[str, int | None, int, str]


@dataclass(frozen=True, slots=True)
class Example:
    """What one or more runs have answered; `rows` is by the runs' numbers."""

    key: Key
    rows: dict[int, Row]

    @property
    def row(self) -> Row:
        """Any of its rows, for what is the same in all."""
        return next(iter(self.rows.values()))


def scripts(titles: Mapping[str, str], runs: Sequence[Run], rule: str) -> dict[str, bytes]:
    """File name under data/ -> script. `rule` is the one that counts.

    `index.js` has the runs, rules and benchmarks; `b0.js` lists benchmark 0's examples with every verdict of
    every run under every rule as one character; `b0-1.js` has the second part of their texts.
    """
    rules = sorted({name for run in runs for name in run.record.rules}, key=lambda name: (name != rule, name))
    files: dict[str, bytes] = {}
    benchmarks: list[dict[str, str]] = []
    for name, title in titles.items():
        aligned = _aligned(name, runs)
        if not aligned:
            continue
        stem = f"b{len(benchmarks)}"
        benchmarks.append({"name": name, "title": title, "chunk": stem})
        starts = []
        for number, (first, content) in enumerate(_chunks(aligned, rules)):
            starts.append(first)
            files[f"{stem}-{number}.js"] = chunk(f"{stem}-{number}", content)
        files[f"{stem}.js"] = chunk(stem, _index(aligned, runs, rules, starts))
    head = {
        "benchmarks": benchmarks,
        "rules": rules,
        "runs": [{"slug": run.slug, "label": run.label, "anchor": run.anchor} for run in runs],
    }
    return {"index.js": chunk("index", head), **files}


def _aligned(benchmark: str, runs: Sequence[Run]) -> list[Example]:
    """The examples of all runs, by group. Equal ids with other golds are other examples."""
    rows: dict[Key, dict[int, Row]] = {}
    for run in runs:
        for row in run.rows(benchmark):
            rows.setdefault((row.id, row.turn, row.sample, row.gold), {})[run.number] = row
    found = [Example(key, each) for key, each in rows.items()]
    return sorted(found, key=_order)


def _order(example: Example) -> tuple[str, str, int, int, str]:
    id_, turn, sample, gold = example.key
    return example.row.group, id_, turn or 0, sample, gold


def _index(
    examples: Sequence[Example], runs: Sequence[Run], rules: Sequence[str], starts: Sequence[int]
) -> dict[str, Any]:
    asked = questions([example.row for example in examples])
    return {
        "items": [[*example.key, question] for example, question in zip(examples, asked, strict=True)],
        "starts": starts,
        "verdicts": [
            [_marks(examples, run.number, rule) for rule in rules]
            if any(run.number in example.rows for example in examples)
            else None
            for run in runs
        ],
    }


def _marks(examples: Sequence[Example], run: int, rule: str) -> str | None:
    """One character an example; None where the rule judges nothing."""
    marks = "".join(
        _mark(row.verdicts.get(rule)) if (row := example.rows.get(run)) else " " for example in examples
    )
    return marks if marks.strip() else None


def _mark(verdict: RuleVerdict | None) -> str:
    """`+` right, `-` wrong, `?` unscored, `!` the engine failed, blank: the rule does not apply."""
    if verdict is None:
        return " "
    if verdict.correct is not None:
        return "+" if verdict.correct else "-"
    return "?" if verdict.failure == "unscored" else "!"


def _chunks(examples: Sequence[Example], rules: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The texts in parts of about CHUNK characters, with the place of each part's first example."""
    places = {rule: place for place, rule in enumerate(rules)}
    first, size = 0, 0
    texts: dict[str, int] = {}
    items: list[dict[str, Any]] = []
    for number, example in enumerate(examples):
        before = len(texts)
        items.append(_example(example, places, texts))
        size += len(json.dumps(items[-1], ensure_ascii=False)) + sum(map(len, list(texts)[before:]))
        if size >= CHUNK or number == len(examples) - 1:
            yield first, {"texts": list(texts), "items": items}
            first, size, texts, items = number + 1, 0, {}, []


def _example(example: Example, places: Mapping[str, int], texts: dict[str, int]) -> dict[str, Any]:
    """Messages refer to `texts`: the turns of a dialogue, and the runs, have most of theirs in common."""
    prompts: list[list[list[str | int]]] = []
    answers = []
    for run, row in example.rows.items():
        prompt: list[list[str | int]] = [
            [role, texts.setdefault(content, len(texts))] for role, content in row.messages
        ]
        if prompt not in prompts:
            prompts.append(prompt)
        answers.append({"run": run, "prompt": prompts.index(prompt), **_answer(row, places)})
    facets = [[name, str(value)] for name, value in example.row.facets.items()]
    return {"facets": facets, "prompts": prompts, "answers": answers}


def _answer(row: Row, places: Mapping[str, int]) -> dict[str, Any]:
    return {
        "text": row.text,
        "finish": row.finish_reason,
        "promptTokens": row.prompt_tokens,
        "tokens": row.completion_tokens,
        "error": row.error,
        "abandoned": row.abandoned,
        "verdicts": [
            [
                places[rule],
                _mark(verdict),
                verdict.failure,
                verdict.extracted,
                _utf16(row.text, verdict.span),
                verdict.note,
            ]
            for rule, verdict in row.verdicts.items()
        ],
    }


def _utf16(text: str | None, span: tuple[int, int] | None) -> tuple[int, int] | None:
    """A span of characters as JavaScript counts them; None if it is not within the text."""
    if text is None or span is None or not 0 <= span[0] <= span[1] <= len(text):
        return None
    start = _units(text[: span[0]])
    return start, start + _units(text[span[0] : span[1]])


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
