"""evalkit's own rule and the default: right as a careful analyst would say.

**Answer.** The committed one, only after the reasoning (`evalkit.scoring.places`): the last `\\boxed{}`,
else the `<answer>` text, a JSON object's "answer", "final answer is", 答案是 and the like, else bold text,
else the last lines. A `<think>` that is never closed means no answer, unless an answer stood before it was
opened again. What is denied, asked, supposed or only repeated from the prompt is no answer
(`evalkit.scoring.stance`).

**Numbers** are compared with the executed value (never with the annotator's string, which contradicts it in
7 % of FinQA). Which number a sentence states is said in `evalkit.scoring.number_answer`. Right is

- a value within 1 % of gold, or within half a unit of the last digit shown. The half-unit rule is not used
  for zero, for a single digit that stands as itself ("1" for 1.031; "6%" for 0.0588 is fine), nor beyond 4.5
  % of gold ("0.1" for 0.14, "0.1" for 0.0952). A gold below 0.001 is also its program's unrounded value;
- the same after moving between percent and decimal, where gold is a ratio or a percentage
  (`evalkit.scoring.agreement.gold_scale`); never a factor 100 between amounts, and no percentage for a price
  or a count. "0.3%" for a ratio of 0.3 is wrong;
- the same after explicit scale words (thousand, million, billion, trillion, 万, 亿): against the unit that
  the question names ("in millions", "per share"), else against a page in ones, thousands, millions or
  billions (万, 亿 too for Chinese words). Without a scale word there is no such move;
- with the sign of gold. A direction in words is a sign: "a decrease of 5.3%" is -5.3 % and wrong for a
  growth of 5.3 %, whether the words stand before or after the number. The sign does not matter where the
  question asks for a size ("by how much did it decline", "how much did it vary"; not "change",
  "difference"), nor do such words where the question itself speaks of less.

A ratio `127:81` and a fraction count as their quotient. Several numbers or a range are no answer; two forms
of one value (7.87%, 0.0787) are one.

**Yes/no**: any case, 是/否, negations counted (没有不合规之处 is yes); a bare verdict outweighs its
explanation. **Choices**: one letter, or the text or value of exactly one option; several letters are no
answer, a letter that is called wrong is not chosen. **Labels**: one that is asserted; "positive" and
"negative" (看涨, 看跌, ...) stand for bullish and bearish if they are the whole answer or said of the
sentiment. **Spans** are TAT-QA's, and compared as published (`tatqa_em`). **Text** is unscored: it needs a
judge. **Code** is unscored here: no rule runs it; where `allow_code=true` was given, what its cases gave
stands in the place of this rule's score (`evalkit.run.code`).

An output without an answer is `truncated`, `echo` (it ends with words of its prompt), or `no_final_answer`.

Source: this project's definition; the lenient rule of hand labels for FinQA and ConvFinQA outputs, with
which it agrees on all but a few per cent.
"""

from __future__ import annotations

from evalkit.schema import (
    CODE_UNSCORED,
    UNSCORED,
    ChoiceGold,
    CodeGold,
    Gold,
    LabelGold,
    NumberGold,
    Outcome,
    Output,
    Score,
    SpansGold,
    YesNoGold,
)
from evalkit.scoring.agreement import agreement
from evalkit.scoring.answer import label_answer
from evalkit.scoring.choices import choice_answer
from evalkit.scoring.number_answer import number_answer
from evalkit.scoring.places import FinalAnswer, abstains, echoes, in_echoed_box, unfinished
from evalkit.scoring.rules import tatqa_em
from evalkit.scoring.yes_no import yes_no_answer


def score(output: Output, gold: Gold) -> Score | None:
    """The verdict; see the module for the rule."""
    if isinstance(gold, NumberGold):
        return _number(output, gold)
    if isinstance(gold, YesNoGold):
        said = yes_no_answer(output, gold.question)
        return _compared(output, said and (said[0], said[1] is gold.yes if said[1] is not None else None))
    if isinstance(gold, ChoiceGold):
        chosen = choice_answer(output, gold)
        return _compared(output, chosen and (chosen[0], chosen[1] == gold.letter if chosen[1] else None))
    if isinstance(gold, LabelGold):
        label = label_answer(output, gold.labels)
        return _compared(output, label and (label[0], label[1] == gold.label if label[1] else None))
    if isinstance(gold, SpansGold):
        verdict = tatqa_em.score(output, gold)
        return verdict if verdict and verdict.extracted is not None else _missing(output)
    return CODE_UNSCORED if isinstance(gold, CodeGold) else UNSCORED


def _number(output: Output, gold: NumberGold) -> Score:
    found = number_answer(output, gold.question)
    if found is None:
        return _missing(output)
    if found.answer.how != "box" and in_echoed_box(output, found.answer):
        return _missing(output)
    if found.quantity is None:
        if found.answer.how == "tail":
            return _missing(output)
        if found.missing == "abstains":
            return _missing(output, found.answer, found.missing)
        return _verdict(found.answer, False, "unparsed", found.missing)
    failure, note = agreement(found.quantity, gold)
    return _verdict(found.answer, failure == "correct", failure, note)


def _compared(output: Output, found: tuple[FinalAnswer, bool | None] | None) -> Score:
    """`found` is None without an answer; its second part None if that names not exactly one thing."""
    if found is None:
        return _missing(output)
    answer, right = found
    if right is None:
        if abstains(answer.text):
            return _missing(output, answer, "abstains")
        return _verdict(answer, False, "unparsed", "not one of the possible answers")
    return _verdict(answer, right, "correct" if right else "wrong_choice", "")


def _missing(output: Output, answer: FinalAnswer | None = None, note: str = "") -> Score:
    """The verdict on an output without an answer: cut off, an echo of its prompt, or neither."""
    failure: Outcome = "truncated" if unfinished(output) else "no_final_answer"
    if failure == "no_final_answer" and note != "abstains" and echoes(output):
        failure, note = "echo", "the prompt's own words"
    return _verdict(answer, False, failure, note) if answer else Score(None, False, 0.0, failure, note)


def _verdict(answer: FinalAnswer, right: bool, failure: Outcome, note: str) -> Score:
    return Score(answer.text[:200], right, float(right), failure, note, answer.span)
