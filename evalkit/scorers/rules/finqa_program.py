"""FinQA's program accuracy: the predicted program is the gold program up to algebra.

For outputs to a prompt that asks for the program (`benchmark.finqa.prompt=program.jinja`). It applies
where the gold has a program (not a bare look-up) and the final answer holds one; other outputs are not
judged, so read it beside their count. Equality is defined, with its faults, in
`evalkit.scorers.program_equality`.

Faults kept: `const_100` is not `100`, `20%` not `0.2`; another way to the same value is wrong; an unused
literal makes a program wrong. Not kept: the official script aborts where an equal program has another
value, and on row names with brackets or commas.

Read at source: czyssrs/FinQA, code/evaluate/evaluate.py.
"""

from __future__ import annotations

from evalkit.example import Gold, NumberGold, YesNoGold
from evalkit.scorers.judged import judged
from evalkit.scorers.program_answer import program_answer
from evalkit.scorers.program_equality import equal_programs
from evalkit.scorers.verdict import Output, Verdict


def score(output: Output, gold: Gold) -> Verdict | None:
    """The verdict; None where gold or output has no program."""
    if not isinstance(gold, NumberGold | YesNoGold) or "(" not in gold.program:
        return None
    found = program_answer(output)
    if found is None:
        return None
    answer, program = found
    return judged(gold, program, equal_programs(gold.program, program), answer.span, "program")
