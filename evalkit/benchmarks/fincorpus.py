"""FinCorpus, its exam part: Chinese financial exam questions, each one text with its answer inside.

Hugging Face Duxiaoman-DI/FinCorpus, ``data/fin_exam.jsonl.gz`` (the other files are news and announcements).
A line is ``{"text": "...", "meta": {...}}``, and a text

    题目
    A、甲
    B、乙
    答案：["A"]
    分析解释：...

with its answer as a letter, a quoted one, a list of letters (several are right), 对 or 错, or words. What
upstream's texts look like was seen in programs of others that read them, not in the file. A text without an
answer, or with a letter that is none of its options, cannot be scored and is counted as such.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from evalkit.benchmarks import Unit
from evalkit.benchmarks.prompts import render
from evalkit.benchmarks.sources import Record, content_id
from evalkit.config.settings import BenchmarkSettings
from evalkit.schema import ChoiceGold, Example, Gold, Message, TextGold, YesNoGold

IDS: Literal["upstream", "content"] = "content"
LETTERS = "ABCDEFGH"

Kind = Literal["choice", "several", "yes_no", "text"]

_ANSWER = re.compile(r"^[ \t\u3000]*答案[ \t]*[:：]", re.MULTILINE)
_EXPLANATION = re.compile(r"^[ \t\u3000]*分析解释[ \t]*[:：]", re.MULTILINE)
_OPTION = re.compile(r"^[ \t\u3000]*([A-H])[ \t]*[、．.:：]", re.MULTILINE)
_SEVERAL = re.compile(r"[A-H](?:[\s,，、;；]*[A-H])*")
_AROUND = " \t\r\n\u3000[]\"'“”。."
_YES_NO = {
    **dict.fromkeys(("对", "正确", "是", "√"), True),
    **dict.fromkeys(("错", "错误", "否", "×"), False),
}


@dataclass(frozen=True, slots=True)
class Exam:
    """A text taken apart."""

    question: str
    options: dict[str, str]
    answer: str


def unit(record: Record, settings: BenchmarkSettings) -> Unit | None:
    """The question of one line; None where it has no answer that fits it.

    Raises UserError for a malformed line.
    """
    exam = taken_apart(record.filled("text"))
    asked = asked_for(exam) if exam else None
    if exam is None or asked is None:
        return None
    kind, gold = asked
    name = content_id(exam.question, *exam.options.values(), exam.answer)

    def build() -> list[Example]:
        values = {"question": exam.question, "options": exam.options, "kind": kind}
        return [
            Example(
                benchmark="fincorpus",
                id=name,
                messages=(Message("user", render("fincorpus", settings.prompt, **values)),),
                gold=gold,
                group=name,
                facets={"kind": kind},
                question=exam.question,
            )
        ]

    return Unit(name, name, 1, build)


def taken_apart(text: str) -> Exam | None:
    """Question, options and answer of a text; None where one of the first and last is missing."""
    text = text.replace("\r\n", "\n")
    stated = _ANSWER.search(text)
    if stated is None:
        return None
    asked, answer = text[: stated.start()], text[stated.end() :]
    explained = _EXPLANATION.search(answer)
    answer = answer[: explained.start()] if explained else answer
    marks = _in_order(list(_OPTION.finditer(asked)))
    ends = [*(mark.start() for mark in marks), len(asked)][1:]
    options = {mark[1]: asked[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=False)}
    question = (asked[: marks[0].start()] if marks else asked).strip()
    answer = answer.strip(_AROUND)
    return Exam(question, options, answer) if question and answer and all(options.values()) else None


def _in_order(marks: list[re.Match[str]]) -> list[re.Match[str]]:
    """The marks A, B, C, ... as far as they follow each other; none where there are fewer than two."""
    found: list[re.Match[str]] = []
    for mark in marks:
        if len(found) < len(LETTERS) and mark[1] == LETTERS[len(found)]:
            found.append(mark)
    return found if len(found) > 1 else []


def asked_for(exam: Exam) -> tuple[Kind, Gold] | None:
    """What is asked for, and the gold answer; None where its letters are none of the options."""
    bare = re.sub(r"[\[\]\"'“”]", "", exam.answer)
    if exam.options and _SEVERAL.fullmatch(bare):
        letters = sorted(set(re.findall("[A-H]", bare)))
        if not set(letters) <= exam.options.keys():
            return None
        if len(letters) == 1:
            return "choice", ChoiceGold(letters[0], exam.options)
        texts = [f"{letter}、{exam.options[letter]}" for letter in letters]
        return "several", TextGold("\n".join(["、".join(letters), *texts]))
    if not exam.options and bare in _YES_NO:
        return "yes_no", YesNoGold(_YES_NO[bare], question=exam.question)
    return "text", TextGold(exam.answer)
