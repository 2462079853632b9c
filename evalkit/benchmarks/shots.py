"""Answered questions before the one that is asked: `shots=N`, from the benchmark's train split.

A benchmark that has one says so in its module: `TRAIN`, what of its settings is another there (`split`, and
`files` where that does not hold the split). Its units stand in the order of a hash of their ids, which
neither the run's seed nor its limit moves. Every question has the first N before it whose group (page,
dialogue) is not its own, one of a group; so all questions but a few share the same shots, and a server
computes them once. Where groups are subjects and the split was made for this (`SAME_GROUP = True`: FinEval),
they come from the question's own subject.

A shot is a user's turn with the benchmark's own prompt, and an assistant's turn with nothing but the gold
answer, in a box where the prompt asks for one. Of a dialogue it is all turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice
from typing import Protocol

from evalkit.schema import (
    ChoiceGold,
    Example,
    Gold,
    LabelGold,
    Message,
    NumberGold,
    OwnAnswer,
    SpansGold,
    TextGold,
    UserError,
    YesNoGold,
    rank,
)
from evalkit.scoring.verdicts import yes_no_word

_SEED = 0  # shots do not move with the run's seed


class Choosable(Protocol):
    """What is known of a unit before its examples are rendered."""

    @property
    def id(self) -> str: ...

    @property
    def group(self) -> str: ...

    @property
    def build(self) -> Callable[[], list[Example]]: ...


@dataclass(frozen=True, slots=True)
class Shot:
    """One answered question, or dialogue, as chat turns."""

    group: str
    question: str
    messages: tuple[Message, ...]


def choose(units: Iterable[Choosable], count: int, *, same_group: bool) -> list[Shot]:
    """The shots that may stand before a question, in their order: one more than are needed.

    One unit of each group, `count` + 1 in all; with `same_group` `count` + 1 of each group.
    """
    found: dict[str, int] = {}
    kept: list[Choosable] = []
    for unit in sorted(units, key=lambda unit: (rank(_SEED, unit.id), unit.id)):
        if found.get(unit.group, 0) <= (count if same_group else 0):
            found[unit.group] = found.get(unit.group, 0) + 1
            kept.append(unit)
            if not same_group and len(kept) > count:
                break
    return [_shot(unit) for unit in kept]


def add(examples: Sequence[Example], shots: Sequence[Shot], count: int, *, same_group: bool) -> list[Example]:
    """The examples, each with `count` shots before its messages.

    Raises:
        UserError: there are not so many for one of them.
    """
    asked = []
    for example in examples:
        before = list(islice(_fitting(example, shots, same_group), count))
        if len(before) < count:
            kind = "of its group" if same_group else "of other groups"
            raise UserError(f"for {example.id} the train split has only {len(before)} {kind}")
        asked.append(_with(example, before))
    return asked


def _fitting(example: Example, shots: Sequence[Shot], same_group: bool) -> Iterator[Shot]:
    for shot in shots:
        if (shot.group == example.group) is same_group and shot.question != example.question:
            yield shot


def _with(example: Example, shots: Sequence[Shot]) -> Example:
    own = list(example.messages)
    system = [own.pop(0)] if isinstance(own[0], Message) and own[0].role == "system" else []
    before = [message for shot in shots for message in shot.messages]
    return replace(example, messages=(*system, *before, *own))


def _shot(unit: Choosable) -> Shot:
    """The last example of a unit, which holds all turns of a dialogue, and its gold answer."""
    examples = unit.build()
    last = examples[-1]
    golds = {example.turn: example.gold for example in examples}
    messages: list[Message] = []
    for message in last.messages:
        if isinstance(message, OwnAnswer):
            messages.append(Message("assistant", said(golds[message.turn], messages[-1].content)))
        elif message.role != "system":
            messages.append(message)
    messages.append(Message("assistant", said(last.gold, messages[-1].content)))
    return Shot(last.group, last.question, tuple(messages))


def said(gold: Gold, prompt: str) -> str:
    """A gold answer as a model should write it to `prompt`."""
    text = _text(gold)
    return f"\\boxed{{{text}}}" if "\\boxed{" in prompt and not isinstance(gold, TextGold) else text


def _text(gold: Gold) -> str:
    if isinstance(gold, NumberGold):
        exact = format(Decimal(repr(gold.value)), "f")
        return exact.removesuffix(".0") if exact != "-0.0" else "0"
    if isinstance(gold, YesNoGold):
        return yes_no_word(gold)
    if isinstance(gold, ChoiceGold):
        return gold.letter
    if isinstance(gold, LabelGold):
        return gold.label
    if isinstance(gold, SpansGold):
        scale = "%" if gold.scale == "percent" else f" {gold.scale}" if gold.scale else ""
        return "; ".join(f"{text}{scale}" for text in gold.texts)
    return gold.reference if isinstance(gold, TextGold) else ""  # a function has no such answer
