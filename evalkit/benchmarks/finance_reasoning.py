"""FinanceReasoning: questions of finance with one number, or yes or no, as the answer, by difficulty.

Tang et al. 2025, arXiv 2506.05828. github.com/BUPT-Reasoning-Lab/FinanceReasoning, one JSON file a level. A
record: ``{"question_id": "test-2000", "question": "what would ... have been? Answer to the nearest integer.",
"context": "...", "ground_truth": 1152, "python_solution": "...", "source": "CodeFinQA-test-697", "level":
"hard"}``. The gold is ``ground_truth``, on the scale that the question asks for; ``python_solution`` is never
run.
"""

from __future__ import annotations

import re
from typing import Literal

from evalkit.benchmarks import Unit
from evalkit.benchmarks.prompts import render
from evalkit.benchmarks.sources import Record, as_answer, content_id
from evalkit.config.settings import BenchmarkSettings
from evalkit.schema import Example, Gold, Message, NumberGold, YesNoGold

IDS: Literal["upstream", "content"] = "upstream"


def unit(record: Record, settings: BenchmarkSettings) -> Unit:
    """The question of one record. Raises UserError for a malformed record."""
    name, question = record.filled("question_id"), record.filled("question")
    context = record.optional("context").strip()
    gold = _gold(record, question)
    source = re.sub(r"-[a-z]+-[0-9]+$", "", record.optional("source")) or "-"
    group = content_id(context) if context else name
    kind = "yes_no" if isinstance(gold, YesNoGold) else "number"

    def build() -> list[Example]:
        content = render("finance_reasoning", settings.prompt, context=context, question=question)
        return [
            Example(
                benchmark="finance_reasoning",
                id=name,
                messages=(Message("user", content),),
                gold=gold,
                group=group,
                facets={"level": record.optional("level") or "-", "source": source, "answer_kind": kind},
                question=question,
                context=context,
            )
        ]

    return Unit(name, group, 1, build)


def _gold(record: Record, question: str) -> Gold:
    value = record.get("ground_truth")
    if isinstance(value, bool):
        return YesNoGold(value, question=question)
    number = as_answer(value)
    if number is None or isinstance(number, bool):
        raise record.error("ground_truth", "a finite number, true or false")
    return NumberGold(number, question=question)
