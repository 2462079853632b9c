"""Exam questions with four options, a row each: what benchmarks have in common that are made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evalkit.benchmarks import Unit
from evalkit.benchmarks.prompts import render
from evalkit.benchmarks.sources import Record
from evalkit.config.settings import BenchmarkSettings
from evalkit.schema import ChoiceGold, Example, Message


@dataclass(frozen=True, slots=True)
class Columns:
    """What a row's columns are called; those of the options are A, B, C and D."""

    question: str
    answer: str
    id: str


def exam_unit(
    benchmark: str,
    record: Record,
    settings: BenchmarkSettings,
    columns: Columns,
    exam: str,
    *,
    facets: Mapping[str, str],
    shown: Mapping[str, str],
) -> Unit | None:
    """The question of one row; None for a row without an answer.

    Args:
        exam: the row's id is unique within it, and its questions are a group.
        shown: what the prompt is rendered with, beside question and options.

    Raises:
        UserError: the row is malformed.
    """
    answer = record.text(columns.answer).strip()
    if not answer:
        return None
    question = record.filled(columns.question)
    options = {letter: record.filled(letter) for letter in "ABCD"}
    if answer not in options:
        raise record.error(columns.answer, "A, B, C or D")
    id_ = f"{exam}/{record.filled(columns.id).strip()}"

    def build() -> list[Example]:
        content = render(benchmark, settings.prompt, question=question, options=options, **shown)
        return [
            Example(
                benchmark=benchmark,
                id=id_,
                messages=(Message("user", content),),
                gold=ChoiceGold(answer, options),
                group=exam,
                facets=dict(facets),
                question=question,
            )
        ]

    return Unit(id_, exam, 1, build)
