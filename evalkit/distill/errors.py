"""How many wrong answers the set for fine-tuning may hold: the judge's own error, carried through.

Of what the judge decided, θ is right, corrected for the judge's error on its canaries (evalkit.stats.judged).
It accepts 1 - q₀ of what is wrong, so of the p that it accepted (1 - θ)(1 - q₀) / p is wrong. Of what a rule
accepted, the share 1 - θ is wrong, with θ from the sample that an audit (`judge.when=audit`) put before the
judge. The interval takes each factor's worst end, and so covers more than 95 %.

Two things are assumed: that canaries, which are made, are judged as the teacher's answers are, and that the
check of the reasoning lets wrong answers through as it does right ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evalkit.run.judgements import Entry, Ledger
from evalkit.stats.intervals import wilson
from evalkit.stats.judged import JudgedScore, LabelledItems, corrected


@dataclass(frozen=True, slots=True)
class WrongShare:
    """Of `answers` in the set that `by` accepted: the share of wrong ones, as a fraction of 1.

    `value` is None where nothing can be said, for the reason `why`; the interval is then the widest one.
    """

    by: Literal["rule", "judge"]
    answers: int
    value: float | None
    low: float
    high: float
    why: str = ""


def wrong_shares(
    ledger: Ledger | None, benchmark: str, by_rule: int, by_judge: int
) -> tuple[WrongShare, ...]:
    """For the answers in the set that a rule accepted, and for those that the judge did; none of none."""
    entries = [each for each in ledger.every if each.benchmark == benchmark] if ledger else []
    canaries = [each for each in entries if each.canary is not None and each.correct is not None]
    audited = [each for each in entries if each.audit and each.correct is not None]
    judged = [each for each in entries if each.is_answer and each.correct is not None]
    found = []
    if by_rule:
        found.append(_of_rule(by_rule, audited, canaries))
    if by_judge:
        found.append(_of_judge(by_judge, judged, canaries))
    return tuple(found)


def _of_rule(answers: int, audited: Sequence[Entry], canaries: Sequence[Entry]) -> WrongShare:
    if not audited:
        return WrongShare("rule", answers, None, 0.0, 1.0, "not audited: judge.when=audit")
    right = _right(audited, canaries)
    if right is None or right.estimate is None:
        return WrongShare(
            "rule", answers, None, 0.0, 1.0, "the judge's canaries do not tell right from wrong"
        )
    theta = right.estimate
    return WrongShare("rule", answers, 1 - theta.value, 1 - theta.high, 1 - theta.low)


def _of_judge(answers: int, judged: Sequence[Entry], canaries: Sequence[Entry]) -> WrongShare:
    accepted = sum(bool(each.correct) for each in judged)
    right = _right(judged, canaries)
    if right is None or right.estimate is None or not accepted:
        return WrongShare(
            "judge", answers, None, 0.0, 1.0, "the judge's canaries do not tell right from wrong"
        )
    theta, share = right.estimate, accepted / len(judged)
    wrong = [bool(each.correct) for each in canaries if not each.expected]
    low, high = wilson(sum(wrong), len(wrong))
    return WrongShare(
        "judge",
        answers,
        min(1.0, (1 - theta.value) * sum(wrong) / len(wrong) / share),
        min(1.0, (1 - theta.high) * low / share),
        min(1.0, (1 - theta.low) * high / share),
    )


def _right(judged: Sequence[Entry], canaries: Sequence[Entry]) -> JudgedScore | None:
    """The share of right answers among these, corrected for the judge's error on the canaries."""
    if not judged or not canaries:
        return None
    labelled = LabelledItems(
        [float(bool(each.correct)) for each in canaries], [float(bool(each.expected)) for each in canaries]
    )
    return corrected([float(bool(each.correct)) for each in judged], labelled)
