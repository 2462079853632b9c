"""Parity: whether a number is even. A record is ``{"id": "4", "even": "yes"}``."""

from __future__ import annotations

from typing import Literal

from evalkit.benchmarks import Unit
from evalkit.benchmarks.prompts import render
from evalkit.benchmarks.sources import Record
from evalkit.config.settings import BenchmarkSettings
from evalkit.schema import Example, Message, YesNoGold

IDS: Literal["upstream", "content"] = "upstream"


def unit(record: Record, settings: BenchmarkSettings) -> Unit:
    """The question of one record. Raises UserError for a malformed record."""
    name, even = record.filled("id"), record.answer("even")
    if not isinstance(even, bool):
        raise record.error("even", "yes or no")
    question = f"Is {name} even?"

    def build() -> list[Example]:
        message = Message("user", render("parity", settings.prompt, question=question))
        return [Example("parity", name, (message,), YesNoGold(even, question), name, question=question)]

    return Unit(name, name, 1, build)
