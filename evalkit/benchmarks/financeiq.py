"""FinanceIQ: Chinese single-choice questions of ten financial exams, accounting to actuarial mathematics.

github.com/Duxiaoman-DI/XuanYuan, ``FinanceIQ/data/<split>/<exam>.csv`` with columns
``,Question,A,B,C,D,Answer`` (the first, without a name, counts rows). The set is on the Hugging Face hub as
Duxiaoman-DI/FinanceIQ, too, which states its licence. Upstream reworded the questions with GPT-4 and shuffled
their options.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from evalkit.benchmarks import Unit
from evalkit.benchmarks.prompts import render
from evalkit.benchmarks.sources import Record
from evalkit.config.settings import BenchmarkSettings
from evalkit.schema import ChoiceGold, Example, Message

IDS: Literal["upstream", "content"] = "upstream"
TRAIN = {"split": "dev"}
SAME_GROUP = True  # `dev` has five questions an exam, made to stand before that exam's own


def unit(record: Record, settings: BenchmarkSettings) -> Unit | None:
    """The question of one row; None for a row without an answer. Raises UserError for a malformed row."""
    answer = record.text("Answer").strip()
    if not answer:
        return None
    exam = PurePosixPath(record.file).stem
    question = record.filled("Question")
    options = {letter: record.filled(letter) for letter in "ABCD"}
    if answer not in options:
        raise record.error("Answer", "A, B, C or D")
    name = f"{exam}/{record.filled('').strip()}"

    def build() -> list[Example]:
        content = render("financeiq", settings.prompt, exam=exam, question=question, options=options)
        return [
            Example(
                benchmark="financeiq",
                id=name,
                messages=(Message("user", content),),
                gold=ChoiceGold(answer, options),
                group=exam,
                facets={"exam": exam},
                question=question,
            )
        ]

    return Unit(name, exam, 1, build)
