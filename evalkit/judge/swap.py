"""The same cases with something turned around that should not matter: the fields' order, the language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from evalkit.judge.case import Case

Swap = Literal["order", "language"]


def other_order(case: Case) -> Case:
    """The case with reference and answer in the other order."""
    swapped: Literal["answer_first", "reference_first"] = (
        "answer_first" if case.order == "reference_first" else "reference_first"
    )
    return replace(case, order=swapped)


def other_language(case: Case) -> Case:
    """The case with its instructions in the other language."""
    return replace(case, language="zh" if case.language == "en" else "en")


SWAPS: Mapping[Swap, Callable[[Case], Case]] = {"order": other_order, "language": other_language}
