"""FinCUGE as instructions: Chinese news and posts to summarize, to classify, and to take facts from.

Hugging Face Maciel/FinCUGE-Instruction, made of FinCUGE (Lu et al. 2023, arXiv 2302.09432) by the script of
github.com/Macielyoung/FinCUGE_Instruction. A row: ``{"task": "FINFE", "desc": "论坛情绪分析任务",
"instruction": "分析以下句子的情感。", "input": "...", "output": "情感倾向是消极。"}``; of some tasks the
instruction holds the text and the input is empty. A sentiment (FINFE) is a label and a rule reads it; all
else is free text.
"""

from __future__ import annotations

from typing import Literal

from evalkit.benchmarks import Unit
from evalkit.benchmarks.prompts import render
from evalkit.benchmarks.sources import Record, content_id
from evalkit.config.settings import BenchmarkSettings
from evalkit.schema import Example, Gold, LabelGold, Message, TextGold

IDS: Literal["upstream", "content"] = "content"
SENTIMENT = "FINFE"
LABELS = ("消极", "中性", "积极")


def unit(record: Record, settings: BenchmarkSettings) -> Unit | None:
    """The instruction of one row; None where there is no output. Raises UserError for a malformed row."""
    instruction, text = record.filled("instruction"), record.optional("input").strip()
    output = record.optional("output").strip()
    if not output:
        return None
    task = record.optional("task")
    gold = _gold(task, output)
    name = content_id(instruction, text, output)

    def build() -> list[Example]:
        labels = gold.labels if isinstance(gold, LabelGold) else ()
        asked = render("fincuge", settings.prompt, instruction=instruction, text=text, labels=labels)
        return [
            Example(
                benchmark="fincuge",
                id=name,
                messages=(Message("user", asked),),
                gold=gold,
                group=name,
                # FinNSP's rows say FINNA in `task`: what they ask is in `desc`.
                facets={"task": record.optional("desc") or task},
                question=instruction,
                context=text,
            )
        ]

    return Unit(name, name, 1, build)


def _gold(task: str, output: str) -> Gold:
    """The sentiment that a sentence around it states; else the text."""
    stated = [label for label in LABELS if label in output]
    return LabelGold(stated[0], LABELS) if task == SENTIMENT and len(stated) == 1 else TextGold(output)
