"""FinQA's program accuracy: the predicted program is the gold program up to algebra.

For outputs to a prompt that asks for the program (`benchmark.finqa.prompt=program.jinja`). It applies
where the gold has a program (not a bare look-up) and the final answer holds one; other outputs are not
judged, so read it beside their count. Equality is defined, with its faults, in
`evalkit.scoring.programs`.

Faults kept: `const_100` is not `100`, `20%` not `0.2`; another way to the same value is wrong; an unused
literal makes a program wrong. Not kept: the official script aborts where an equal program has another
value, and on row names with brackets or commas.

Read at source: czyssrs/FinQA, code/evaluate/evaluate.py at dfc5b72c01ee17c442d28d5201b82a1f4e95d5af.
Its verdicts on its own example predictions are those of this rule (tests/scorers/test_upstream.py).
"""

from __future__ import annotations

from evalkit.schema import Gold, NumberGold, Output, Score, YesNoGold
from evalkit.scoring.answer import program_answer
from evalkit.scoring.programs import equal_programs
from evalkit.scoring.verdicts import judged


def score(output: Output, gold: Gold) -> Score | None:
    """The verdict; None where gold or output has no program."""
    if not isinstance(gold, NumberGold | YesNoGold) or "(" not in gold.program:
        return None
    found = program_answer(output)
    if found is None:
        return None
    answer, program = found
    return judged(gold, program, equal_programs(gold.program, program), answer.span, "program")
