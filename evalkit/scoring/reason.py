"""Why an answer was judged as it was, in a line for people: what was read, and how far off it is.

For the default rule `financial`, from that rule's own reading of the answer.
"""

from __future__ import annotations

from evalkit.schema import (
    SHOWN_CHARS,
    ChoiceGold,
    CodeGold,
    Gold,
    LabelGold,
    NumberGold,
    Output,
    Score,
    SpansGold,
    YesNoGold,
    gold_text,
)
from evalkit.scoring.agreement import RELATIVE, readings
from evalkit.scoring.answer import label_answer
from evalkit.scoring.choices import choice_answer
from evalkit.scoring.number_answer import number_answer
from evalkit.scoring.numbers import Quantity
from evalkit.scoring.spans import read
from evalkit.scoring.yes_no import yes_no_answer

_DIGITS = 6
_WITHOUT_ANSWER = {
    "truncated": "cut off before an answer",
    "loop": "repeats itself for ever, without an answer",
    "no_final_answer": "no final answer was found",
    "echo": "only repeats its prompt",
    "context_overflow": "the prompt is longer than the context",
}
_HOW = {
    "percent": "percent and ratio are one",
    "scale word": "scale words count",
    "rounding": "rounded as shown",
    "size": "the question asks for a size",
}


def reason(output: Output, gold: Gold, score: Score) -> str:
    """The line; "" for free text, of which only a judge can say something, and for an engine's failure.

    Args:
        score: what the rule `financial` says of `output`.
    """
    if score.outcome in _WITHOUT_ANSWER:
        return _WITHOUT_ANSWER[score.outcome]
    if score.correct is None:
        return ""
    if isinstance(gold, CodeGold):
        return score.note or f"{len(gold.cases)} cases, all as expected"
    if score.outcome == "unparsed":
        return f"no answer could be read: {score.note}" if score.note else "no answer could be read"
    if isinstance(gold, NumberGold):
        return _of_number(output, gold, score)
    read, right = _closed(output, gold)
    if not read:
        return ""
    return f"read {read}" if score.correct else f"read {read}, right is {right}"


def _closed(output: Output, gold: Gold) -> tuple[str | None, str]:
    """What was read where the possible answers are given, and what is right."""
    if isinstance(gold, ChoiceGold):
        chosen = choice_answer(output, gold)
        return chosen[1] if chosen else None, gold.letter
    if isinstance(gold, LabelGold):
        label = label_answer(output, gold.labels)
        return label[1] if label else None, gold.label
    if isinstance(gold, YesNoGold):
        said = yes_no_answer(output, gold.question)
        words = {True: "yes", False: "no"}
        return words[said[1]] if said and said[1] is not None else None, words[gold.yes]
    if isinstance(gold, SpansGold):
        spans = read(output, gold)
        return (spans[0].text[:SHOWN_CHARS] if spans else None), gold_text(gold)
    return None, ""


def _of_number(output: Output, gold: NumberGold, score: Score) -> str:
    found = number_answer(output, gold.question)
    if found is None or found.quantity is None:
        return ""
    value = nearest_reading(found.quantity, gold)
    read = f"read {_text(value)}"
    if score.correct:
        how = _HOW.get(score.note, "")
        exact = _text(value) == _text(gold.value)
        parts = [read if exact else f"{read}, right is {_text(gold.value)}", how]
        return ": ".join(part for part in parts if part)
    line = f"{read}, right is {_text(gold.value)}: {_distance(value, gold, score)}"
    return f"{line}; the dataset prints {gold.answer}" if gold.answer else line


def nearest_reading(found: Quantity, gold: NumberGold) -> float:
    """Of the values that the rule tried for an answer, the one that comes closest to the right one."""
    tried = [each for each, _, _ in readings(found, gold)]
    signed = [sign * each for each in tried or [found.value] for sign in _signs(found)]
    return min(signed, key=lambda each: abs(each - gold.value))


def _signs(found: Quantity) -> tuple[int, ...]:
    """A decrease in words is a minus."""
    return (1, -1) if found.direction in ("down", "loss") and found.value > 0 else (1,)


def _distance(value: float, gold: NumberGold, score: Score) -> str:
    if score.outcome == "sign":
        return "the sign differs"
    if score.outcome == "scale_x100":
        return "a factor of 100 that nothing in question or answer allows"
    if score.outcome == "scale_thousand":
        return score.note or "another power of a thousand"
    if not gold.value:
        return "only 0 is right"
    off = abs(value - gold.value) / abs(gold.value)
    far = f"{100 * off:.1f} % off" if off < 1 else "far off"
    return f"{far}, {100 * RELATIVE:g} % allowed"


def _text(value: float) -> str:
    return f"{value:.{_DIGITS}g}"
