"""FinQA: one question about a page (text, table, text) of an annual report; the answer is a number or yes/no.

Chen et al. 2021, arXiv 2109.00122. A record: ``{"id": "MAS/2017/page_27.pdf-2", "filename":
"MAS/2017/page_27.pdf", "pre_text": [...], "table": [["", "2016", "2017"], ...], "post_text": [...], "qa":
{"question": "what was the change in ...?", "program": "subtract(29, 8), divide(#0, 8)", "exe_ans": 2.625,
"answer": "262.5%"}}``. The gold is ``exe_ans``, the executed value: ``answer`` contradicts it in about 7 %
of the test split.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from evalkit.benchmarks import pages
from evalkit.benchmarks.prompts import render
from evalkit.benchmarks.records import Record
from evalkit.benchmarks.sampling import Unit
from evalkit.example import Example, Message

IDS: Literal["upstream", "content"] = "upstream"


def unit(record: Record, config: Mapping[str, Any]) -> Unit:
    """The question of one record. Raises UserError for a malformed record."""
    name, group = record.filled("id"), record.filled("filename")
    page, question = pages.page(record), record.filled("qa.question")
    program, answer = record.optional("qa.program"), record.optional("qa.answer")
    value = record.answer("qa.exe_ans")
    gold = pages.gold(value, page, question=question, program=program, answer=answer)
    facets = {"answer_kind": _kind(value, question, answer), "steps": pages.steps(program)}

    def build() -> list[Example]:
        content = render("finqa", config["prompt"], question=question, **page)
        return [Example("finqa", name, (Message("user", content),), gold, group, facets=facets)]

    return Unit(name, group, 1, build)


def _kind(value: float | bool, question: str, answer: str) -> str:
    """Percent or amount: the annotator's string says it, or the question where there is none."""
    if isinstance(value, bool):
        return "yes_no"
    return "percent" if "%" in answer or (not answer and "percent" in question.lower()) else "amount"
