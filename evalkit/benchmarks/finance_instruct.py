"""Finance-Instruct-500k: instructions with a free-text reference answer; only a judge can score them.

Hugging Face Josephgflowers/Finance-Instruct-500k. A row: ``{"system": "\\n", "user": "Explain tradeoffs
between fiscal and monetary policy ...", "assistant": "Fiscal and monetary policy are ..."}``. No list of
test ids was ever published, so ``subset`` freezes one by hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from evalkit.benchmarks.prompts import render
from evalkit.benchmarks.records import Record
from evalkit.benchmarks.sampling import Unit
from evalkit.example import Example, Message, TextGold

IDS: Literal["upstream", "content"] = "content"


def unit(record: Record, config: Mapping[str, Any]) -> Unit | None:
    """The instruction of one row; None where the question or the reference is empty (the set is noisy).

    Raises UserError for a malformed row.
    """
    system, user, assistant = record.optional("system"), _column(record, "user"), _column(record, "assistant")
    system = "" if system.isspace() else system  # upstream's empty system prompt is a newline
    if not user or not assistant:
        return None
    name = hashlib.sha256("\0".join((system, user, assistant)).encode()).hexdigest()[:16]
    return Unit(name, name, 1, partial(_build, name, system, user, assistant, config["prompt"]))


def _column(record: Record, field: str) -> str:
    """A column's text; '' where it is null or blank."""
    text = "" if record.get(field) is None else record.text(field)
    return "" if text.isspace() else text


def _build(name: str, system: str, user: str, assistant: str, prompt: str) -> list[Example]:
    message = Message("user", render("finance_instruct", prompt, user=user))
    messages = (Message("system", system), message) if system else (message,)
    return [Example("finance_instruct", name, messages, TextGold(assistant), name)]
