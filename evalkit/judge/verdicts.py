"""The rule `judged`: the default rule's verdict where it decides, the judge's where it does not.

The path is the first word of a verdict's note: `rule` or `judge`.
"""

from __future__ import annotations

from typing import Literal

from evalkit.example import Gold, TextGold
from evalkit.judge.ledger import Entry, Ledger
from evalkit.runner.record import Generation
from evalkit.scorers.answer import unfinished
from evalkit.scorers.reasoning import answer_part
from evalkit.scorers.verdict import Failure, Output, Verdict

JUDGED = "judged"
When = Literal["undecided", "always", "never"]

NOT_YET = "judge: not judged yet"
_UNDECIDED = ("unparsed", "no_final_answer")


def needs_judge(output: Output, gold: Gold, rule: Verdict, when: When) -> bool:
    """Whether the judge is asked about an output.

    Never where nothing was answered: that is wrong without asking. Where something was, and `when` is
    `undecided`: free text, and outputs in which the default rule found no answer, or none that it could read,
    though they were not cut off.

    Args:
        rule: the default rule's verdict.
    """
    if when == "never" or not answered(output.text):
        return False
    if when == "always" or isinstance(gold, TextGold):
        return True
    return rule.failure in _UNDECIDED and not output.truncated


def judged_verdict(record: Generation, output: Output, gold: Gold, rule: Verdict, ledger: Ledger) -> Verdict:
    """The verdict of a judged run on one of its answers.

    Args:
        rule: the default rule's verdict.
    """
    entry = ledger.entry(record)
    if entry is not None:
        return _judges(entry, rule)
    if isinstance(gold, TextGold):
        if answered(output.text):
            return Verdict(None, None, None, "judge_error", NOT_YET)
        failure: Failure = "truncated" if unfinished(output) else "no_final_answer"
        return Verdict(None, False, 0.0, failure, "rule: nothing was answered")
    return Verdict(rule.extracted, rule.correct, rule.score, rule.failure, _rules(rule), rule.span)


def _judges(entry: Entry, rule: Verdict) -> Verdict:
    if entry.score is None:
        return Verdict(rule.extracted, None, None, "judge_error", f"judge: {entry.error}", rule.span)
    failure: Failure = "correct" if entry.correct else "judged_wrong"
    note = f"judge: grade {entry.score:g}" if entry.task == "free_text" else "judge"
    return Verdict(rule.extracted, entry.correct, entry.score, failure, note, rule.span)


def _rules(rule: Verdict) -> str:
    return f"rule: {rule.note}" if rule.note else "rule"


def path_of(verdict: Verdict) -> str:
    """`rule` or `judge`: who decided, by a verdict under `judged`."""
    return verdict.note.partition(":")[0]


def answered(text: str) -> bool:
    """Whether an output has any text after its reasoning."""
    part = answer_part(text)
    return part is not None and bool(part.text.strip())
