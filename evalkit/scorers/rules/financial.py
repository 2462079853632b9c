r"""evalkit's own rule and the default: right as a careful analyst would say.

**Answer.** The last committed one, only after the reasoning (`evalkit.scorers.answer`): the last `\boxed{}`,
else the `<answer>` text, "final answer is", 答案是 and the like, else the last line. A `<think>` that is
never closed means no answer.

**Numbers** are compared with the executed value (never with the annotator's string, which contradicts it in
7 % of FinQA). Right is

- a value within 1 % of gold, or within half a unit of the last digit shown. The half-unit rule is not used
  for zero, for a single digit that stands as itself ("1" for 1.031; "6%" for 0.0588 is fine), nor beyond
  4.5 % of gold ("0.1" for 0.14, "0.1" for 0.0952). A gold below 0.001 is also its program's unrounded value;
- the same after moving between percent and decimal, where gold is a ratio or a percentage
  (`evalkit.scorers.gold_scale`); never a factor 100 between amounts. "0.3%" for a ratio of 0.3 is wrong;
- the same after explicit scale words (thousand, million, billion, trillion, 万, 亿), against a page in ones,
  thousands, millions or billions (万, 亿 too for Chinese words). Without a scale word there is no such move;
- with the sign of gold, except where the question asks for a size ("by how much did it decline", "how much
  did it vary"; not "change", "difference") or the answer says the direction in words ("a decrease of 5.3%").

A ratio `127:81` and a fraction count as their quotient. Several numbers or a range are no answer.

**Yes/no**: any case, 是/否, negations understood. **Choices**: one letter, or the text of exactly one option;
several letters are no answer. **Labels**: the last one that is not negated; "positive" and "negative" (看涨,
看跌, ...) stand for bullish and bearish only if they are the whole answer. **Text** is unscored: it needs a
judge.

Source: this project's definition; the lenient rule of hand labels for FinQA and ConvFinQA outputs, with
which it agrees on all but a few per cent.
"""

from __future__ import annotations

from evalkit.example import ChoiceGold, Gold, LabelGold, NumberGold, YesNoGold
from evalkit.scorers.agreement import agreement
from evalkit.scorers.answer import Answer, unfinished
from evalkit.scorers.choice_answer import choice_answer
from evalkit.scorers.label_answer import label_answer
from evalkit.scorers.number_answer import number_answer
from evalkit.scorers.verdict import UNSCORED, Failure, Output, Verdict
from evalkit.scorers.yes_no_answer import yes_no_answer


def score(output: Output, gold: Gold) -> Verdict | None:
    """The verdict; see the module for the rule."""
    if isinstance(gold, NumberGold):
        return _number(output, gold)
    if isinstance(gold, YesNoGold):
        said = yes_no_answer(output)
        return _compared(output, said and (said[0], said[1] is gold.yes if said[1] is not None else None))
    if isinstance(gold, ChoiceGold):
        chosen = choice_answer(output, gold)
        return _compared(output, chosen and (chosen[0], chosen[1] == gold.letter if chosen[1] else None))
    if isinstance(gold, LabelGold):
        label = label_answer(output, gold.labels)
        return _compared(output, label and (label[0], label[1] == gold.label if label[1] else None))
    return UNSCORED


def _number(output: Output, gold: NumberGold) -> Verdict:
    found = number_answer(output)
    if found is None:
        return _missing(output)
    if found.quantity is None:
        failure: Failure = "no_final_answer" if found.missing == "abstains" else "unparsed"
        return _verdict(found.answer, False, failure, found.missing)
    failure, note = agreement(found.quantity, gold)
    return _verdict(found.answer, failure == "correct", failure, note)


def _compared(output: Output, found: tuple[Answer, bool | None] | None) -> Verdict:
    """`found` is None without an answer; its second part None if that names not exactly one thing."""
    if found is None:
        return _missing(output)
    answer, right = found
    if right is None:
        return _verdict(answer, False, "unparsed", "not one of the possible answers")
    return _verdict(answer, right, "correct" if right else "wrong_choice", "")


def _missing(output: Output) -> Verdict:
    failure: Failure = "truncated" if unfinished(output) else "no_final_answer"
    return Verdict(None, False, 0.0, failure)


def _verdict(answer: Answer, right: bool, failure: Failure, note: str) -> Verdict:
    return Verdict(answer.text[:200], right, float(right), failure, note, answer.span)
