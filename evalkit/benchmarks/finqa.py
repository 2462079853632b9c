"""FinQA: one question about a page (text, table, text) of an annual report; the answer is a number or yes/no.

Chen et al. 2021, arXiv 2109.00122. A record: ``{"id": "MAS/2017/page_27.pdf-2", "filename":
"MAS/2017/page_27.pdf", "pre_text": [...], "table": [["", "2016", "2017"], ...], "post_text": [...], "qa":
{"question": "what was the change in ...?", "program": "subtract(29, 8), divide(#0, 8)", "exe_ans": 2.625,
"answer": "262.5%"}}``. The gold is ``exe_ans``, the executed value: ``answer`` contradicts it in about 7 %
of the test split.

The page and the gold of an executed program are ConvFinQA's too, which reads them with the functions here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from evalkit.benchmarks import Unit
from evalkit.benchmarks.prompts import render
from evalkit.benchmarks.sources import Record
from evalkit.config.settings import BenchmarkSettings
from evalkit.schema import Example, Gold, Message, NumberGold, Table, YesNoGold

IDS: Literal["upstream", "content"] = "upstream"
TRAIN = {"split": "train"}
PAGES = True


def unit(record: Record, settings: BenchmarkSettings) -> Unit:
    """The question of one record. Raises UserError for a malformed record."""
    name, group = record.filled("id"), record.filled("filename")
    page, question = page_of(record), record.filled("qa.question")
    program, answer = record.optional("qa.program"), record.optional("qa.answer")
    value = record.answer("qa.exe_ans")
    gold = gold_of(value, page, question=question, program=program, answer=answer)
    facets = {"answer_kind": _kind(value, question, answer), "steps": steps(program)}

    def build() -> list[Example]:
        content = render("finqa", settings.prompt, question=question, **page)
        return [
            Example(
                benchmark="finqa",
                id=name,
                messages=(Message("user", content),),
                gold=gold,
                group=group,
                facets=facets,
                question=question,
                context=page_text(page),
            )
        ]

    return Unit(name, group, 1, build)


def _kind(value: float | bool, question: str, answer: str) -> str:
    """Percent or amount: the annotator's string says it, or the question where there is none."""
    if isinstance(value, bool):
        return "yes_no"
    return "percent" if "%" in answer or (not answer and "percent" in question.lower()) else "amount"


_OPERATION = re.compile(r"(?:^|, )(?:add|subtract|multiply|divide|exp|greater|table_[a-z]{1,10})\(")


def page_of(record: Record) -> dict[str, Any]:
    """The page of a record as template values: `pre_text`, `table` (rows of cells), `post_text`.

    Sentences are joined with one space: public copies split them differently, the joined text is the same,
    and only equal text lets the questions of one page share a prefix.
    """
    return {
        "pre_text": " ".join(record.texts("pre_text")).strip(),
        "table": record.table("table"),
        "post_text": " ".join(record.texts("post_text")).strip(),
    }


def page_text(page: Mapping[str, Any]) -> str:
    """A page as text: its paragraphs, and a line for each row of its table."""
    rows = "\n".join(" | ".join(row) for row in page["table"])
    return "\n\n".join(part for part in (page["pre_text"], rows, page["post_text"]) if part)


def gold_of(
    value: float | bool, page: dict[str, Any], *, question: str, program: str, answer: str = ""
) -> Gold:
    """The gold of one question about a page: yes/no where the program ends in `greater`, else a number."""
    table: Table = tuple(map(tuple, page["table"]))
    if isinstance(value, bool):
        return YesNoGold(value, question=question, program=program, table=table)
    return NumberGold(value, question=question, answer=answer, program=program, table=table)


def steps(program: str) -> int:
    """How many operations a program has; 0 for a plain look-up."""
    return len(_OPERATION.findall(program))
