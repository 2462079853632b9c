"""FinQA's own execution accuracy: the value of the answer's program equals `exe_ans`.

The official script scores *programs*: it executes the predicted one on the page's table and compares
`round(value, 5)` with `==`; `greater` yields yes or no; "20%" means 0.2. Where the final answer is a program
of that language, that is what happens here.

The script does not read text. A committed number is compared as it stands, at the precision that it shows:
within 0.1 % of `exe_ans` or half a unit of its last digit (bounded as in `financial`), sign included, divided
by 100 if it carries %; scale words do not help. To round a text answer to five decimals and ask for equality
would reject 7.87% for 0.07874, which is a rounding of the right value and no other answer; on the hand
labels' strict verdicts that reading agrees in 149 of 175 outputs and this one in all.

Fault kept: no leniency for 7.87% written as 7.87. Not kept: the script aborts on a failed assertion, and
reads an undefined variable for table operations on `#n`. Its second score, program accuracy, is the rule
`finqa_program`.

Read at source: czyssrs/FinQA, code/evaluate/evaluate.py at dfc5b72c01ee17c442d28d5201b82a1f4e95d5af.
Its verdicts on its own example predictions are those of this rule (tests/scorers/test_upstream.py).
"""

from __future__ import annotations

from evalkit.schema import Gold, NumberGold, Output, Score, YesNoGold
from evalkit.scoring.agreement import strictly
from evalkit.scoring.answer import program_answer
from evalkit.scoring.programs import ProgramError, execute
from evalkit.scoring.verdicts import judged, score_committed


def score(output: Output, gold: Gold) -> Score | None:
    """The verdict; None for choices, labels and text."""
    if not isinstance(gold, NumberGold | YesNoGold):
        return None
    target = gold.yes if isinstance(gold, YesNoGold) else gold.value
    written = program_answer(output)
    if written:
        answer, program = written
        return judged(gold, program, _executes_to(program, gold, target), answer.span, "program")
    return score_committed(output, gold, strictly)


def _executes_to(program: str, gold: NumberGold | YesNoGold, target: float | bool) -> bool:
    try:
        value = execute(program, gold.table)
    except ProgramError:
        return False
    if isinstance(value, bool) or isinstance(target, bool):
        return value is target
    return round(value, 5) == target
