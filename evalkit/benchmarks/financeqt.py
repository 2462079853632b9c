"""Quant-Trading-Instruct: questions about trading strategies, with code in answers; only a judge can score.

Hugging Face lumalik/Quant-Trading-Instruct, columns ``context``, ``question``, ``answer``. Fin-R1's card
counts 152 records of a source "FinanceQT" and does not say where it is from: this set is the likeliest one.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from evalkit.benchmarks import Unit
from evalkit.benchmarks.prompts import render
from evalkit.benchmarks.sources import Record, content_id
from evalkit.config.settings import BenchmarkSettings
from evalkit.schema import Example, Message, TextGold

IDS: Literal["upstream", "content"] = "content"
FREE_TEXT = True


def unit(record: Record, settings: BenchmarkSettings) -> Unit | None:
    """The question of one row; None where it has no answer. Raises UserError for a malformed row."""
    question, context = record.filled("question"), record.optional("context").strip()
    answer = record.optional("answer").strip()
    if not answer:
        return None
    name = content_id(context, question, answer)
    return Unit(name, name, 1, partial(_build, name, question, context, answer, settings.prompt))


def _build(name: str, question: str, context: str, answer: str, prompt: str) -> list[Example]:
    asked = Message("user", render("financeqt", prompt, question=question, context=context))
    gold = TextGold(answer)
    return [Example("financeqt", name, (asked,), gold, name, question=question, context=context)]
