"""What answers do apart from being right: language, box, length, repetition, refusal."""

from __future__ import annotations

import pytest

from evalkit.behaviour import (
    WITHIN,
    behaviours,
    in_a_box,
    in_the_questions_language,
    loops,
    refuses,
    share_of,
    within_tokens,
)
from evalkit.schema import LOOP, Item, Output, Sample, YesNoGold
from evalkit.scoring import get_rule

BOX = "Reason step by step, then put the answer in \\boxed{}."


def item(
    text: str,
    *,
    question: str = "Was net revenue higher in 2020?",
    prompt: str = BOX,
    finish: str = "stop",
    tokens: int | None = 20,
    name: str = "a",
) -> Item:
    """A yes or no question with one answer."""
    score = get_rule("financial")(Output(text), YesNoGold(True, question))
    assert score
    messages = (("user", f"{question} {prompt}"),)
    sample = Sample(0, messages, text, finish, 10, tokens, None, {"financial": score})
    return Item("own", name, None, name, {}, "yes_no", "yes", question, (sample,))


ENGLISH = "Revenue rose from 8 to 29 million, so the answer is \\boxed{yes}."
CHINESE = "收入从八百万增加到两千九百万，因此答案为 \\boxed{是}。"


@pytest.mark.parametrize(
    ("text", "question", "right"),
    [
        (ENGLISH, "Was it higher?", True),
        (CHINESE, "Was it higher?", False),
        (CHINESE, "收入是否增加？", True),
        (ENGLISH, "收入是否增加？", False),
        (f"<think>{CHINESE * 9}</think>{ENGLISH}", "Was it higher?", True),
        (r"\boxed{yes}", "收入是否增加？", None),
        ("<think>It rose, and then it rose again", "Was it higher?", None),
    ],
)
def test_language(text: str, question: str, right: bool | None) -> None:
    found = item(text, question=question)
    assert in_the_questions_language(found, found.samples[0]) is right


@pytest.mark.parametrize(
    ("text", "prompt", "kept"),
    [
        (ENGLISH, BOX, True),
        ("The answer is yes.", BOX, False),
        ("It is \\boxed{yes", BOX, False),
        ("<think>\\boxed{yes}</think>The answer is yes.", BOX, False),
        ("The answer is yes.", "Answer yes or no.", None),
    ],
)
def test_format(text: str, prompt: str, kept: bool | None) -> None:
    found = item(text, prompt=prompt)
    assert in_a_box(found, found.samples[0]) is kept


def test_length_and_repetition() -> None:
    cases = {
        ("stop", WITHIN): (True, False),
        ("stop", WITHIN + 1): (False, False),
        ("length", 100): (False, False),
        (LOOP, 300): (False, True),
        ("stop", None): (None, False),
    }
    for (finish, tokens), expected in cases.items():
        found = item(ENGLISH, finish=finish, tokens=tokens)
        assert (within_tokens(found, found.samples[0]), loops(found, found.samples[0])) == expected


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("I'm sorry, I cannot provide financial advice.", True),
        ("根据材料无法判断。", True),
        ("The page does not say it outright, and I was not sure at first, but \\boxed{yes}.", False),
        (ENGLISH, False),
    ],
)
def test_refusal(text: str, refused: bool) -> None:
    found = item(text)
    assert refuses(found, found.samples[0]) is refused


def test_differences_are_of_what_can_be_told_on_both_sides() -> None:
    names = "abcdefgh"
    reference = [item(ENGLISH, name=name) for name in names]
    candidate = [item(CHINESE if name in "abc" else ENGLISH, name=name) for name in names]
    candidate[-1] = item(r"\boxed{yes}", name="h")
    found = {each.name: each for each in behaviours(list(zip(candidate, reference, strict=True)))}
    language = found["in the question's language"]
    assert language.reference
    assert language.candidate
    assert language.difference
    assert (language.reference.value, language.reference.n) == (1.0, 8)
    assert language.candidate.value == pytest.approx(4 / 7)
    assert language.difference.value == pytest.approx(-3 / 7)
    assert (language.candidate.n, language.difference.n) == (7, 7)
    assert language.difference.low < -3 / 7 < language.difference.high
    assert found["refused to answer"].difference
    assert share_of([], loops) is None
