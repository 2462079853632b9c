"""Finance-Instruct-500k: instructions with a free-text reference answer; only a judge can score them.

Hugging Face Josephgflowers/Finance-Instruct-500k. A row: ``{"system": "\\n", "user": "Explain tradeoffs
between fiscal and monetary policy ...", "assistant": "Fiscal and monetary policy are ..."}``. No list of
test ids was ever published, so ``subset`` freezes one by hash.
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
    """The instruction of one row; None where the question or the reference is empty (the set is noisy).

    Raises UserError for a malformed row.
    """
    system, user, assistant = record.optional("system"), _column(record, "user"), _column(record, "assistant")
    system = "" if system.isspace() else system  # upstream's empty system prompt is a newline
    if not user or not assistant:
        return None
    name = content_id(system, user, assistant)
    return Unit(name, name, 1, partial(_build, name, system, user, assistant, settings.prompt))


def _column(record: Record, field: str) -> str:
    """A column's text; '' where it is null or blank."""
    text = "" if record.get(field) is None else record.text(field)
    return "" if text.isspace() else text


def _build(name: str, system: str, user: str, assistant: str, prompt: str) -> list[Example]:
    message = Message("user", render("finance_instruct", prompt, user=user))
    messages = (Message("system", system), message) if system else (message,)
    return [Example("finance_instruct", name, messages, TextGold(assistant), name, question=user)]
