"""TFNS (Twitter financial news sentiment): a tweet is bearish, bullish or neutral.

Hugging Face zeroshot/twitter-financial-news-sentiment, validation split. A row: ``text,label`` with 0
bearish, 1 bullish, 2 neutral. Some public copies swap 1 and 2; the label counts in the config tell them
apart.
"""

from __future__ import annotations

from typing import Literal

from evalkit.benchmarks import Unit
from evalkit.benchmarks.prompts import render
from evalkit.benchmarks.sources import Record, content_id
from evalkit.config.settings import BenchmarkSettings
from evalkit.schema import Example, LabelGold, Message

IDS: Literal["upstream", "content"] = "content"
TRAIN = {"split": "train", "files": "sent_train.csv"}
LABELS = ("bearish", "bullish", "neutral")


def unit(record: Record, settings: BenchmarkSettings) -> Unit:
    """The tweet of one row, named by a hash of its content: upstream has no ids, and a subset keeps them.

    Raises UserError for a malformed row.
    """
    text, number = record.filled("text"), str(record.get("label")).strip()
    if number not in ("0", "1", "2"):
        raise record.error("label", "0 (bearish), 1 (bullish) or 2 (neutral)")
    label = LABELS[int(number)]
    name = content_id(text, label)

    def build() -> list[Example]:
        message = Message("user", render("tfns", settings.prompt, text=text))
        gold = LabelGold(label, LABELS)
        return [Example("tfns", name, (message,), gold, name, facets={"label": label}, question=text)]

    return Unit(name, name, 1, build)
