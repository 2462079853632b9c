"""FinQA's own execution accuracy: the value, rounded to five decimals, equals `exe_ans`.

The official script scores *programs*: it executes the predicted one on the page's table and compares
`round(value, 5)` with `==`; `greater` yields yes or no; "20%" means 0.2. So where the final answer is a
program of that language, it is executed. Otherwise the committed number is compared in the same way, a
number with % divided by 100 and scale words ignored; that extension is ours, since the script does not
read text.

Faults kept: no leniency for 7.87% written as 7.87, nor for any rounding: 7.87% for 0.07874 is wrong. Not
kept: the script aborts on a failed assertion, and reads an undefined variable for table operations on
`#n`. Its second score, program accuracy, is the rule `finqa_program`.

Read at source: czyssrs/FinQA, code/evaluate/evaluate.py.
"""

from __future__ import annotations

from evalkit.example import Gold, NumberGold, YesNoGold
from evalkit.scorers import dsl
from evalkit.scorers.judged import judged, missing
from evalkit.scorers.number_answer import number_answer
from evalkit.scorers.program_answer import program_answer
from evalkit.scorers.verdict import Output, Verdict
from evalkit.scorers.yes_no_answer import yes_no_answer


def score(output: Output, gold: Gold) -> Verdict | None:
    """The verdict; None for choices, labels and text."""
    if not isinstance(gold, NumberGold | YesNoGold):
        return None
    target = gold.yes if isinstance(gold, YesNoGold) else gold.value
    written = program_answer(output)
    if written:
        answer, program = written
        return judged(gold, program, _executes_to(program, gold, target), answer.span, "program")
    if isinstance(gold, YesNoGold):
        said = yes_no_answer(output)
        return judged(gold, said[0].text, said[1] is gold.yes, said[0].span) if said else missing(output)
    found = number_answer(output)
    if found is None or found.quantity is None:
        return missing(output)
    quantity = found.quantity
    value = quantity.value / 100 if quantity.percent else quantity.value
    return judged(gold, found.answer.text, round(value, 5) == gold.value, found.answer.span)


def _executes_to(program: str, gold: NumberGold | YesNoGold, target: float | bool) -> bool:
    try:
        value = dsl.execute(program, gold.table)
    except dsl.ProgramError:
        return False
    if isinstance(value, bool) or isinstance(target, bool):
        return value is target
    return round(value, 5) == target
