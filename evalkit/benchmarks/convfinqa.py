"""ConvFinQA: dialogues of numerical questions about a page of an annual report; every turn has a gold.

Chen et al. 2022, arXiv 2210.03849. A record is FinQA's page with ``"annotation": {"dialogue_break": ["what
was revenue in 2007?", "and in 2005?", ...], "turn_program": ["60.94", "25.14", ...], "exe_ans_list":
[60.94, ...]}``.

Three protocols are in use and their scores are not comparable, so the protocol is an option, ``history``:
``gold`` (each turn sees the gold answers of the earlier ones, as in HELM), ``own`` (it sees the model's own
answers), ``last`` (one prompt that lists the questions and asks for the last answer, as in Program of
Thoughts).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Literal

from evalkit.benchmarks import Unit
from evalkit.benchmarks.finqa import gold_of, page_of, page_text, steps
from evalkit.benchmarks.prompts import render
from evalkit.benchmarks.sources import Record
from evalkit.config.settings import BenchmarkSettings
from evalkit.schema import Example, Message, OwnAnswer

IDS: Literal["upstream", "content"] = "upstream"
TRAIN = {"split": "train"}
PAGES = True

History = Literal["gold", "own", "last"]


class Settings(BenchmarkSettings):
    """configs/benchmark/convfinqa.yaml"""

    history: History = "gold"


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A page and the questions asked of it, with one program and one executed answer per turn."""

    id: str
    filename: str
    page: dict[str, Any]
    questions: list[str]
    programs: list[str]
    values: list[float | bool]


def unit(record: Record, settings: Settings) -> Unit:
    """One dialogue: an example per turn, or one in all under ``history=last``.

    Raises UserError for a malformed record.
    """
    history, prompt = settings.history, settings.prompt
    dialogue = _dialogue(record)
    size = 1 if history == "last" else len(dialogue.questions)
    return Unit(dialogue.id, dialogue.filename, size, partial(_build, dialogue, history, prompt))


def _dialogue(record: Record) -> Dialogue:
    questions = record.texts("annotation.dialogue_break")
    programs = record.texts("annotation.turn_program")
    values = record.answers("annotation.exe_ans_list")
    if not questions:
        raise record.error("annotation.dialogue_break", "at least one question")
    if len(programs) != len(questions):
        raise record.error("annotation.turn_program", f"one program for each of {len(questions)} questions")
    if len(values) != len(questions):
        raise record.error("annotation.exe_ans_list", f"one answer for each of {len(questions)} questions")
    return Dialogue(
        record.filled("id"), record.filled("filename"), page_of(record), questions, programs, values
    )


def _build(dialogue: Dialogue, history: str, prompt: str) -> list[Example]:
    """The examples of a dialogue in the order of its turns; each extends the messages of the one before."""
    last = len(dialogue.questions) - 1
    if history == "last":
        return [_example(dialogue, last, history, [_ask(dialogue, last, history, prompt)])]
    examples: list[Example] = []
    messages: list[Message | OwnAnswer] = []
    for turn, value in enumerate(dialogue.values):
        messages.append(_ask(dialogue, turn, history, prompt))
        examples.append(_example(dialogue, turn, history, messages))
        messages.append(OwnAnswer(turn) if history == "own" else Message("assistant", plain(value)))
    return examples


def _ask(dialogue: Dialogue, turn: int, history: str, prompt: str) -> Message:
    values = {"history": history, "turn": turn, "questions": dialogue.questions, **dialogue.page}
    return Message("user", render("convfinqa", prompt, **values))


def _example(dialogue: Dialogue, turn: int, history: str, messages: list[Message | OwnAnswer]) -> Example:
    program = dialogue.programs[turn]
    gold = gold_of(dialogue.values[turn], dialogue.page, question=dialogue.questions[turn], program=program)
    facets = {
        "depth": turn,
        "history": history,
        "kind": "double" if dialogue.id.startswith("Double") else "single",
        "steps": steps(program),
    }
    return Example(
        benchmark="convfinqa",
        id=dialogue.id,
        messages=tuple(messages),
        gold=gold,
        group=dialogue.filename,
        turn=turn,
        facets=facets,
        question=dialogue.questions[turn],
        context=page_text(dialogue.page),
    )


def plain(value: float | bool) -> str:
    """A gold as an assistant would write it: exact digits, no exponent, no '.0' ("0.0787", "6305", "yes")."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = format(Decimal(repr(value)), "f")
    return text.removesuffix(".0") if text != "-0.0" else "0"
