"""From checked answers to the two sets: what is taken out, which question goes where, and every count.

A question goes through in this order: is it asked twice, is it an evaluation item, has it an answer that is
good and good. If it has, its good answers are in the set for fine-tuning; if not, and a rule can tell a right
answer to it, the question and its gold answer are in the set for reinforcement learning. So every question is
counted once, at the step at which it left.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from evalkit.distill.answers import TeacherAnswer, Verdict
from evalkit.distill.contamination import REMOVED, Contamination
from evalkit.distill.duplicates import Duplicate
from evalkit.judge.judge import language_of
from evalkit.schema import CodeGold, Example, TextGold, UserError, gold_text, is_cut_off, rank

Split = Literal["train", "validation"]
SPLITS: tuple[Split, ...] = ("train", "validation")
Fate = Literal["sft", "rl", "exact duplicate", "near duplicate", "evaluation item", "free text", "failed"]
"""Where a question went. `free text`: not good and good, and no rule could reward an answer to it; `failed`:
the engine gave no answer."""

_HASH_SPAN = 1 << 128


@dataclass(frozen=True, slots=True)
class Question:
    """A question with all answers to it, of however many teachers, and what became of it.

    `good` are the answers that are good and good, each text once.
    """

    example: Example
    answers: tuple[TeacherAnswer, ...]
    fate: Fate
    split: Split
    good: tuple[TeacherAnswer, ...] = ()
    duplicate_of: str | None = None
    evaluation_item: Contamination | None = None

    @property
    def wrong(self) -> tuple[TeacherAnswer, ...]:
        """Its whole answers that are wrong, each text once: the other half of a pair of preferences.

        With reasoning, as the good ones have: or else what is preferred is to reason, and not to be right.
        """
        whole = (
            each for each in self.answers if each.answer_check.good is False and each.thinking and each.final
        )
        return _distinct(each for each in whole if not is_cut_off(each.answer.finish_reason))

    @property
    def pairs(self) -> list[tuple[TeacherAnswer, TeacherAnswer]]:
        """A good answer and a wrong one, each answer once."""
        return list(zip(self.good, self.wrong, strict=False)) if self.fate == "sft" else []


@dataclass(frozen=True, slots=True)
class Counts:
    """One source's way through the stages. The first half counts answers, the second questions.

    `questions` is the sum of what stands below it, except `same_page` (questions about an evaluation item's
    page, which are kept), `sft_answers` and `pairs`.
    """

    answers: int
    no_answer: int
    answer_right: int
    answer_right_by_judge: int
    answer_wrong: int
    answer_undecided: int
    reasoning_good: int
    reasoning_bad: int
    reasoning_undecided: int
    questions: int
    exact_duplicates: int
    near_duplicates: int
    evaluation_items: dict[str, int]
    free_text: int
    failed: int
    sft: dict[str, int]
    rl: dict[str, int]
    sft_answers: dict[str, int]
    pairs: dict[str, int]
    same_page: int
    reasons: dict[str, int] = field(default_factory=dict)
    """Why reasoning was found bad, most frequent first: an answer that fails several criteria has several."""


@dataclass(frozen=True, slots=True)
class Balance:
    """Of the answers in a set for fine-tuning: their languages, and characters of reasoning."""

    languages: dict[str, int]
    thinking_median: int
    thinking_p95: int
    thinking_longest: int


def grouped(answers: Iterable[TeacherAnswer]) -> list[tuple[Example, list[TeacherAnswer]]]:
    """The answers by question, in the order of the first ones.

    Raises:
        UserError: two runs mean different questions by one name.
    """
    found: dict[tuple[str, str, int | None], tuple[Example, list[TeacherAnswer]]] = {}
    for each in answers:
        example = each.example
        first, members = found.setdefault((example.benchmark, example.id, example.turn), (example, []))
        if (first.question, first.context, gold_text(first.gold)) != (
            example.question,
            example.context,
            gold_text(example.gold),
        ):
            raise UserError(
                f"two of the runs have different questions called {example.benchmark} {example.id}"
            )
        members.append(each)
    return list(found.values())


def routed(
    asked: Sequence[tuple[Example, Sequence[TeacherAnswer]]],
    repeats: Mapping[int, tuple[Duplicate, int]],
    items: Sequence[Contamination | None],
    *,
    unjudged: bool,
    seed: int,
    validation: float,
) -> list[Question]:
    """Where each question goes.

    Args:
        repeats: by place, which one it repeats.
        items: for each, the evaluation item that it is, or whose page it has.
        unjudged: as of `TeacherAnswer.good`.
        validation: the share of pages, or of questions without one, that is held out, by hash.
    """
    found = []
    for place, ((example, answers), item) in enumerate(zip(asked, items, strict=True)):
        good = _distinct(each for each in answers if each.good(unjudged))
        repeat = repeats.get(place)
        fate = _fate(example, answers, good, repeat, item)
        found.append(
            Question(
                example,
                tuple(answers),
                fate,
                split_of(example, seed, validation),
                good if fate == "sft" else (),
                name_of(asked[repeat[1]][0]) if repeat else None,
                item,
            )
        )
    return found


def _fate(
    example: Example,
    answers: Sequence[TeacherAnswer],
    good: Sequence[TeacherAnswer],
    repeat: tuple[Duplicate, int] | None,
    item: Contamination | None,
) -> Fate:
    if repeat is not None:
        return "exact duplicate" if repeat[0] == "exact" else "near duplicate"
    if item is not None and item.kind in REMOVED:
        return "evaluation item"
    if good:
        return "sft"
    if all(each.answer.error is not None for each in answers):
        return "failed"
    # Nothing can reward an answer that nothing but a judge, or a sandbox, can check.
    return "free text" if isinstance(example.gold, TextGold | CodeGold) else "rl"


def split_of(example: Example, seed: int, validation: float) -> Split:
    """The same for every question of a page, whichever benchmark and run it is from."""
    about = hashlib.sha256(example.context.encode()).hexdigest() if example.context else example.group
    return "validation" if rank(seed, f"split\0{about}") < validation * _HASH_SPAN else "train"


def name_of(example: Example) -> str:
    """`finqa ETR/2016/page_23.pdf-2`, with `turn 3` where there are turns."""
    turn = "" if example.turn is None else f" turn {example.turn}"
    return f"{example.benchmark} {example.id}{turn}"


def _distinct(answers: Iterable[TeacherAnswer]) -> tuple[TeacherAnswer, ...]:
    return tuple({each.answer.text: each for each in reversed(list(answers))}.values())[::-1]


def counts(questions: Sequence[Question]) -> dict[str, Counts]:
    """By source, in the order of their first questions."""
    sources = dict.fromkeys(each.example.benchmark for each in questions)
    return {name: _counts([each for each in questions if each.example.benchmark == name]) for name in sources}


def _counts(questions: Sequence[Question]) -> Counts:
    answers = [answer for question in questions for answer in question.answers]
    fates = Counter(question.fate for question in questions)
    items = Counter(
        question.evaluation_item.kind
        for question in questions
        if question.evaluation_item is not None and question.fate == "evaluation item"
    )
    right = [answer for answer in answers if answer.answer_check.good]
    reasoning = Counter(answer.reasoning_check.good for answer in right)
    failed = sum(answer.answer.error is not None for answer in answers)
    return Counts(
        answers=len(answers),
        no_answer=failed,
        answer_right=len(right),
        answer_right_by_judge=sum(answer.answer_check.by == "judge" for answer in right),
        answer_wrong=sum(answer.answer_check.good is False for answer in answers),
        answer_undecided=sum(answer.answer_check.good is None for answer in answers) - failed,
        reasoning_good=reasoning[True],
        reasoning_bad=reasoning[False],
        reasoning_undecided=reasoning[None],
        questions=len(questions),
        exact_duplicates=fates["exact duplicate"],
        near_duplicates=fates["near duplicate"],
        evaluation_items={kind: items[kind] for kind in REMOVED},
        free_text=fates["free text"],
        failed=fates["failed"],
        sft=_by_split(questions, "sft", lambda _: 1),
        rl=_by_split(questions, "rl", lambda _: 1),
        sft_answers=_by_split(questions, "sft", lambda question: len(question.good)),
        pairs=_by_split(questions, "sft", lambda question: len(question.pairs)),
        same_page=sum(
            question.evaluation_item is not None
            and question.evaluation_item.kind == "page"
            and question.fate in ("sft", "rl")
            for question in questions
        ),
        reasons=_reasons(right),
    )


def _reasons(right: Iterable[TeacherAnswer]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for answer in right:
        if answer.reasoning_check.good is False:
            found.update(_why(answer.reasoning_check))
    return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))


def _why(verdict: Verdict) -> list[str]:
    failed = [name for name, holds in verdict.criteria.items() if not holds]
    return failed or [verdict.reason]


def _by_split(questions: Iterable[Question], fate: Fate, weight: Callable[[Question], int]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for question in questions:
        if question.fate == fate:
            found[question.split] += weight(question)
    return {split: found[split] for split in SPLITS}


def balance(questions: Sequence[Question]) -> Balance:
    """What the set for fine-tuning is like."""
    kept = [(question, answer) for question in questions for answer in question.good]
    languages = Counter(language_of(question.example.question) for question, _ in kept)
    lengths = sorted(len(answer.thinking) for _, answer in kept) or [0]
    return Balance(
        dict(sorted(languages.items())),
        round(median(lengths)),
        lengths[min(len(lengths) - 1, int(0.95 * len(lengths)))],
        lengths[-1],
    )
