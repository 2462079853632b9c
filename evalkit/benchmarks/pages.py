"""What FinQA and ConvFinQA share: a page of an annual report, and golds executed from the DSL's programs."""

from __future__ import annotations

import re
from typing import Any

from evalkit.benchmarks.records import Record
from evalkit.example import Gold, NumberGold, Table, YesNoGold

_OPERATION = re.compile(r"(?:^|, )(?:add|subtract|multiply|divide|exp|greater|table_[a-z]{1,10})\(")


def page(record: Record) -> dict[str, Any]:
    """The page of a record as template values: `pre_text`, `table` (rows of cells), `post_text`.

    Sentences are joined with one space: public copies split them differently, the joined text is the same,
    and only equal text lets the questions of one page share a prefix.
    """
    return {
        "pre_text": " ".join(record.texts("pre_text")).strip(),
        "table": record.table("table"),
        "post_text": " ".join(record.texts("post_text")).strip(),
    }


def gold(value: float | bool, page: dict[str, Any], *, question: str, program: str, answer: str = "") -> Gold:
    """The gold of one question about a page: yes/no where the program ends in `greater`, else a number."""
    table: Table = tuple(map(tuple, page["table"]))
    if isinstance(value, bool):
        return YesNoGold(value, question=question, program=program, table=table)
    return NumberGold(value, question=question, answer=answer, program=program, table=table)


def steps(program: str) -> int:
    """How many operations a program has; 0 for a plain look-up."""
    return len(_OPERATION.findall(program))
