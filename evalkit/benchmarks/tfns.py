"""TFNS (Twitter financial news sentiment): a tweet is bearish, bullish or neutral.

Hugging Face zeroshot/twitter-financial-news-sentiment, validation split. A row: ``text,label`` with 0
bearish, 1 bullish, 2 neutral. Some public copies swap 1 and 2; the label counts in the config tell them
apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

from evalkit.benchmarks.prompts import render
from evalkit.benchmarks.records import Record
from evalkit.benchmarks.sampling import Unit
from evalkit.example import Example, LabelGold, Message

IDS: Literal["upstream", "content"] = "content"
LABELS = ("bearish", "bullish", "neutral")


def unit(record: Record, config: Mapping[str, Any]) -> Unit:
    """The tweet of one row, named by a hash of its content: upstream has no ids, and a subset keeps them.

    Raises UserError for a malformed row.
    """
    text, number = record.filled("text"), str(record.get("label")).strip()
    if number not in ("0", "1", "2"):
        raise record.error("label", "0 (bearish), 1 (bullish) or 2 (neutral)")
    label = LABELS[int(number)]
    name = hashlib.sha256(f"{text}\0{label}".encode()).hexdigest()[:16]

    def build() -> list[Example]:
        message = Message("user", render("tfns", config["prompt"], text=text))
        return [Example("tfns", name, (message,), LabelGold(label, LABELS), name, facets={"label": label})]

    return Unit(name, name, 1, build)
