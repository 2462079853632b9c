"""PIXIU / FinBen `EmAcc`: the output is the gold string; for classes, the first listed class found in it.

Numbers and yes/no (their `QA` task): `output.strip() == gold`. Classes (their `Classification` task): the
output in lower case; the first of the choices, in listed order, that is a substring of it.

Faults kept: near zero for any model that explains itself; "not bearish" is bearish, and a class that is
listed earlier beats the answer; a letter choice "A" is found in any word with an a.

Read at source: The-FinAI/PIXIU, src/tasks/flare.py (`QA.process_results`, `Classification.process_results`).
The gold strings of its data sets were not seen: a whole number is accepted as "94" and as "94.0". For
lettered choices the letters in order are taken as the listed choices.
"""

from __future__ import annotations

from evalkit.schema import (
    ChoiceGold,
    CodeGold,
    Gold,
    LabelGold,
    NumberGold,
    Output,
    Score,
    SpansGold,
    TextGold,
    YesNoGold,
)
from evalkit.scoring.text import head
from evalkit.scoring.verdicts import judged, missing, yes_no_word


def score(output: Output, gold: Gold) -> Score | None:
    """The verdict; None for text, spans and code."""
    if isinstance(gold, TextGold | SpansGold | CodeGold):
        return None
    if isinstance(gold, LabelGold):
        return _classified(output, gold, gold.labels, gold.label)
    if isinstance(gold, ChoiceGold):
        return _classified(output, gold, tuple(gold.options), gold.letter)
    said = head(output.text).strip()
    if not said:
        return missing(output)
    return judged(gold, said, said in _strings(gold))


def _strings(gold: NumberGold | YesNoGold) -> set[str]:
    if isinstance(gold, YesNoGold):
        return {yes_no_word(gold)}
    whole = {str(int(gold.value))} if float(gold.value).is_integer() else set()
    return {str(float(gold.value)), *whole}


def _classified(output: Output, gold: Gold, choices: tuple[str, ...], target: str) -> Score:
    said = head(output.text).lower()
    found = next((choice for choice in choices if choice.lower() in said), None)
    return judged(gold, found, found.lower() == target.lower()) if found is not None else missing(output)
