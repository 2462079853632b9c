"""Ant_Finance (Fin-Eva v1.0, the Ant part): Chinese single choice and yes/no questions about finance.

github.com/alipay/financial_evaluation_dataset. One CSV file a task, ``<category>/<task>.csv``, with columns
``id,question,A,B,C,D,answer`` (some with ``context`` or ``E``, one without ``D``); the four tasks of
安全合规 have no options and answer 是 or 否. Only the first 71 rows of a file have an answer; the others
cannot be scored.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from evalkit.benchmarks import Unit
from evalkit.benchmarks.prompts import render
from evalkit.benchmarks.sources import Record
from evalkit.config.settings import BenchmarkSettings
from evalkit.schema import ChoiceGold, Example, Gold, Message, YesNoGold

IDS: Literal["upstream", "content"] = "upstream"


def unit(record: Record, settings: BenchmarkSettings) -> Unit | None:
    """The question of one row; None for a row without an answer. Raises UserError for a malformed row."""
    if not record.text("answer").strip():
        return None
    path = PurePosixPath(record.file)
    category, task = path.parent.name, path.stem
    group = f"{category}/{task}"
    name = f"{group}/{record.filled('id').strip()}"
    question, context = record.filled("question"), record.optional("context").strip()
    options = {letter: text for letter in "ABCDE" if (text := record.optional(letter)).strip()}
    gold = _gold(record, question, options)

    def build() -> list[Example]:
        values = {"task": task, "context": context, "question": question, "options": options}
        message = Message("user", render("ant_finance", settings.prompt, **values))
        return [
            Example(
                benchmark="ant_finance",
                id=name,
                messages=(message,),
                gold=gold,
                group=group,
                facets={"category": category, "task": task},
                question=question,
                context=context,
            )
        ]

    return Unit(name, group, 1, build)


def _gold(record: Record, question: str, options: dict[str, str]) -> Gold:
    answer = record.text("answer").strip()
    if not any(letter in record.data for letter in "ABCDE"):
        if answer not in ("是", "否"):
            raise record.error("answer", "是 or 否, as the file has no options")
        return YesNoGold(answer == "是", question=question)
    if answer not in options:
        raise record.error("answer", f"one of the row's options ({', '.join(options) or 'it has none'})")
    return ChoiceGold(answer, options)
