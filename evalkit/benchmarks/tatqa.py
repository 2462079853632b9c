"""TAT-QA: questions on a table and its paragraphs; the answer is one or several spans, a count or a number.

Zhu et al. 2021, arXiv 2105.07624. github.com/NExTplusplus/TAT-QA, ``dataset_raw/tatqa_dataset_<split>.json``:
a list of pages. A page: ``{"table": {"uid": "3f..", "table": [["", "2019"], ["Other", "44.1"]]},
"paragraphs": [{"order": 1, "text": "..."}], "questions": [{"uid": "eb..", "question": "What is the change in
Other?", "answer": -12.6, "answer_type": "arithmetic", "answer_from": "table-text", "scale": "million"}]}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal, cast

from evalkit.benchmarks import Unit
from evalkit.benchmarks.prompts import render
from evalkit.benchmarks.sources import Record
from evalkit.config.settings import BenchmarkSettings
from evalkit.schema import Example, Message, SpansGold, SpansKind

IDS: Literal["upstream", "content"] = "upstream"
TRAIN = {"split": "train"}
PAGES = True

_KINDS = ("span", "multi-span", "count", "arithmetic")
_SCALES = ("", "thousand", "million", "billion", "percent")


def unit(record: Record, settings: BenchmarkSettings) -> list[Unit]:
    """The questions of one page, each to be chosen by itself. Raises UserError for a malformed page."""
    page = record.filled("table.uid")
    rows, paragraphs = record.table("table.table"), _paragraphs(record)
    questions = record.get("questions")
    if not isinstance(questions, list):
        raise record.error("questions", "a list of questions")
    units = []
    for number, data in enumerate(questions, start=1):
        if not isinstance(data, Mapping):
            raise record.error("questions", "a list of questions")
        question = Record(f"{record.where}", "question", number, data)
        gold = _gold(question)
        if gold is not None:
            build = partial(_build, question, gold, page, rows, paragraphs, settings)
            units.append(Unit(question.filled("uid"), page, 1, build))
    return units


def _paragraphs(record: Record) -> list[str]:
    """The paragraphs in their order."""
    found = record.get("paragraphs")
    if not isinstance(found, list) or not all(
        isinstance(each, Mapping) and isinstance(each.get("text"), str) and isinstance(each.get("order"), int)
        for each in found
    ):
        raise record.error("paragraphs", "a list of paragraphs with order and text")
    return [str(each["text"]).strip() for each in sorted(found, key=lambda each: int(each["order"]))]


def _gold(question: Record) -> SpansGold | None:
    """The gold answer as the evaluator reads it; None for a question without one."""
    kind, scale = question.optional("answer_type"), question.optional("scale")
    if not kind:
        return None
    if kind not in _KINDS:
        raise question.error("answer_type", ", ".join(_KINDS))
    if scale not in _SCALES:
        raise question.error("scale", "thousand, million, billion, percent or an empty text")
    asked = question.filled("question")
    if kind in ("span", "multi-span"):
        texts = tuple(question.texts("answer"))
        return SpansGold(texts, scale, cast(SpansKind, kind), asked) if any(map(str.strip, texts)) else None
    value = question.get("answer")
    if isinstance(value, bool) or not isinstance(value, int | float | str) or not str(value).strip():
        raise question.error("answer", "a number")
    return SpansGold((str(value).strip(),), scale, cast(SpansKind, kind), asked)


def _build(
    question: Record,
    gold: SpansGold,
    page: str,
    rows: list[list[str]],
    paragraphs: list[str],
    settings: BenchmarkSettings,
) -> list[Example]:
    values = {"question": gold.question, "table": rows, "paragraphs": paragraphs}
    content = render(settings.module, settings.prompt, **values)
    table = "\n".join(" | ".join(row) for row in rows)
    return [
        Example(
            benchmark="tatqa",
            id=question.filled("uid"),
            messages=(Message("user", content),),
            gold=gold,
            group=page,
            facets={
                "answer_kind": gold.kind,
                "answer_from": question.optional("answer_from") or "-",
                "scale": gold.scale or "-",
            },
            question=gold.question,
            context="\n\n".join([table, *paragraphs]),
        )
    ]
