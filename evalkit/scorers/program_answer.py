"""The program in FinQA's language that an output commits to, if it does."""

from __future__ import annotations

import re

from evalkit.scorers import dsl
from evalkit.scorers.answer import Answer, answers
from evalkit.scorers.verdict import Output

_OPERATION = r"(?:" + "|".join(sorted(dsl.OPERATIONS)) + r")\s{0,2}\("
_FIRST = re.compile(rf"\b{_OPERATION}")
_NEXT = re.compile(rf"\s{{0,9}},\s{{0,9}}{_OPERATION}")


def program_answer(output: Output) -> tuple[Answer, str] | None:
    """The final answer that holds a program, and the program; None where the answer is something else.

    Of several lines with a program the last one counts. What is said after a program is left out.
    """
    for answer in answers(output):
        text = answer.text.replace("\\_", "_")
        lines = text.splitlines() if answer.how == "tail" else [" ".join(text.split())]
        for line in reversed(lines):
            if opened := _FIRST.search(line):
                return answer, _steps(line, opened)
        if any(map(str.isdigit, answer.text)):
            return None
    return None


def _steps(line: str, opened: re.Match[str]) -> str:
    """The steps from the first operation on; a bracket that is never closed stays, to fail when executed."""
    start, step = opened.start(), opened
    try:
        while True:
            end = dsl.closing(line, step.end()) + 1
            following = _NEXT.match(line, end)
            if not following:
                return line[start:end]
            step = following
    except dsl.ProgramError:
        return line[start:]
