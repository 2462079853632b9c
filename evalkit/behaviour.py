"""What answers do apart from being right: the things on which deployments break.

Each is a share of the answers of which it can be told, with an interval that knows of pages and dialogues,
and for two runs the difference example by example. An example with several answers counts as their mean.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from evalkit.schema import DEFAULT, LOOP, Estimate, Item, Sample
from evalkit.scoring.stance import REFUSAL
from evalkit.scoring.text import answer_part, boxes
from evalkit.stats.paired import mean_estimate, paired_difference

WITHIN = 512  # tokens
_FEWEST_WORDS = 5  # fewer show no language: a number, a letter, a label
_READ = 20_000  # characters of an answer's end
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_NO_ANSWER = frozenset({"no_final_answer", "unparsed", "unscored"})

Test = Callable[[Item, Sample], bool | None]


def in_the_questions_language(item: Item, sample: Sample) -> bool | None:
    """Whether what follows the reasoning is Chinese where the question is, and is not where it is not.

    None where it has too few words to tell.
    """
    text = _COMMAND.sub(" ", _said(sample))
    chinese, words = len(_CHINESE.findall(text)), len(_LATIN_WORD.findall(text))
    if chinese + words < _FEWEST_WORDS:
        return None
    return bool(_CHINESE.search(item.question)) == (chinese > words)


def in_a_box(_: Item, sample: Sample) -> bool | None:
    """Whether the answer stands in a closed `\\boxed{}`, where the prompt asks for one; else None."""
    asked = next((text for role, text in reversed(sample.messages) if role == "user"), "")
    if "\\boxed" not in asked:
        return None
    return any(closed for _, _, _, closed in boxes(_said(sample)))


def within_tokens(_: Item, sample: Sample) -> bool | None:
    """Whether it ended by itself within `WITHIN` tokens, reasoning included; None if they are not known."""
    if sample.completion_tokens is None:
        return None
    return sample.completion_tokens <= WITHIN and not sample.cut_off


def loops(_: Item, sample: Sample) -> bool | None:
    """Whether it was ended as a proven repetition."""
    return sample.finish_reason == LOOP


def refuses(_: Item, sample: Sample) -> bool | None:
    """Whether it says that there is no answer to give, and the default rule finds none."""
    score = sample.scores.get(DEFAULT)
    without = score is None or score.outcome in _NO_ANSWER
    return without and REFUSAL.search(_said(sample)) is not None


def _said(sample: Sample) -> str:
    """What follows the reasoning; '' where that never ends."""
    part = answer_part(sample.text or "")
    return part.text[-_READ:] if part else ""


BEHAVIOURS: dict[str, Test] = {
    "in the question's language": in_the_questions_language,
    "answer in a box, as asked": in_a_box,
    f"ended within {WITHIN} tokens": within_tokens,
    "endless repetition": loops,
    "refused to answer": refuses,
}
"""What is counted, by what a table calls it."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One of `BEHAVIOURS` on both sides; ``difference`` is candidate - reference, where both can be told.

    None where it can be told of no answer.
    """

    name: str
    reference: Estimate | None
    candidate: Estimate | None
    difference: Estimate | None


def share_of(items: Iterable[Item], test: Test) -> Estimate | None:
    """The share of answers of which a test holds; None if it can be told of none."""
    found = [(value, _cluster(item)) for item in items if (value := _value(item, test)) is not None]
    return mean_estimate([value for value, _ in found], [group for _, group in found]) if found else None


def behaviours_alone(items: Sequence[Item]) -> list[Behaviour]:
    """All of them over the items of a run that is compared with none: there is only a candidate."""
    return [Behaviour(name, None, share_of(items, test), None) for name, test in BEHAVIOURS.items()]


def behaviours(pairs: Sequence[tuple[Item, Item]]) -> list[Behaviour]:
    """All of them over pairs of (candidate's item, reference's item)."""
    return [_behaviour(name, test, pairs) for name, test in BEHAVIOURS.items()]


def _behaviour(name: str, test: Test, pairs: Sequence[tuple[Item, Item]]) -> Behaviour:
    known = [
        (ours, theirs, _cluster(item))
        for item, other in pairs
        if (ours := _value(item, test)) is not None and (theirs := _value(other, test)) is not None
    ]
    candidate = [ours for ours, _, _ in known]
    reference = [theirs for _, theirs, _ in known]
    groups = [group for _, _, group in known]
    return Behaviour(
        name=name,
        reference=share_of((other for _, other in pairs), test),
        candidate=share_of((item for item, _ in pairs), test),
        difference=paired_difference(candidate, reference, groups) if known else None,
    )


def _value(item: Item, test: Test) -> float | None:
    told = [test(item, sample) for sample in item.samples if sample.error is None]
    values = [float(each) for each in told if each is not None]
    return statistics.fmean(values) if values else None


def _cluster(item: Item) -> str:
    return f"{item.benchmark}\0{item.group}"
