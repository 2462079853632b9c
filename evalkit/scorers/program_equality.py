"""Whether two programs of FinQA's language are the same formula.

The official script gives every literal of the gold program a symbol and compares the two formulas after
sympy's `simplify`. Here each formula is a point of a finite field: a symbol's value is a hash of its text,
and the two formulas, rational functions of the symbols, are equal exactly if their values are (up to a
chance of about 2 in 10^37, by Schwartz and Zippel's lemma). That needs no symbolic algebra on model text,
and its cost is linear in the number of steps.

Source: czyssrs/FinQA, code/evaluate/evaluate.py, `equal_program`. Kept: a literal is its text, so
`const_100` is not `100` and `20%` not `0.2`; a literal that the gold does not use makes a program unequal,
even in a step that has no effect; the last step is the formula; table operations are symbols. Not
recognized, unlike there: laws of powers (`exp` of two things is a symbol of those two).
"""

from __future__ import annotations

from hashlib import blake2b

from evalkit.scorers import dsl

_PRIME = 2**127 - 1

Formula = tuple[str, int, int]
"""`("value", v, 0)`, or `("greater", left, right)`, in the field."""


def equal_programs(gold: str, predicted: str) -> bool:
    """Whether `predicted` is the gold program up to algebra; False for what is no program."""
    try:
        gold_steps, steps = dsl.parse(gold), dsl.parse(predicted)
        return _symbols(steps) <= _symbols(gold_steps) and _formula(gold_steps) == _formula(steps)
    except dsl.ProgramError:
        return False


def _symbols(steps: list[dsl.Step]) -> set[str]:
    """The literals of a program, and its table operations as a whole."""
    symbols: set[str] = set()
    for step in steps:
        if step.op.startswith("table_"):
            symbols.add(_whole(step))
        else:
            symbols |= {argument for argument in step.args if "#" not in argument}
    return symbols


def _formula(steps: list[dsl.Step]) -> Formula:
    results: list[Formula] = []
    for step in steps:
        results.append(_apply(step, results))
    return results[-1]


def _apply(step: dsl.Step, results: list[Formula]) -> Formula:
    if step.op.startswith("table_"):
        return "value", _hashed(_whole(step)), 0
    left, right = (_value(argument, results) for argument in step.args)
    if step.op == "greater":
        return "greater", left, right
    if step.op == "exp":
        return "value", _hashed(f"{left}**{right}"), 0
    if step.op == "divide":
        if right == 0:
            raise dsl.ProgramError("division by zero")
        return "value", left * pow(right, -1, _PRIME) % _PRIME, 0
    combined = {"add": left + right, "subtract": left - right, "multiply": left * right}[step.op]
    return "value", combined % _PRIME, 0


def _value(argument: str, results: list[Formula]) -> int:
    if "#" not in argument:
        return _hashed(argument)
    index = argument.strip("#")
    if not (index.isascii() and index.isdigit() and len(index) <= 3 and int(index) < len(results)):
        raise dsl.ProgramError("refers to no earlier step")
    kind, value, _ = results[int(index)]
    if kind != "value":
        raise dsl.ProgramError("a comparison is not a number")
    return value


def _whole(step: dsl.Step) -> str:
    return f"{step.op}({step.args[0]}, {step.args[1]})"


def _hashed(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=24).digest()) % _PRIME
