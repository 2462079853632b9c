"""Yes/no, choices and labels under `financial`."""

from __future__ import annotations

import pytest

from evalkit.schema import UNSCORED, ChoiceGold, LabelGold, Output, TextGold, YesNoGold
from evalkit.scoring import get_rule
from evalkit.scoring.answer import label_answer
from evalkit.scoring.choices import choice_answer
from evalkit.scoring.yes_no import yes_no_answer

financial = get_rule("financial")
OPTIONS = ChoiceGold("C", {"A": "500元", "B": "800元", "C": "1,000元", "D": "1,500元"})
LABELS = ("bearish", "bullish", "neutral")


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        (r"\boxed{\text{Yes}}", True),
        (r"\boxed{no}", False),
        ("NO.", False),
        ("Yes, 2014 was higher than 2013.", True),
        ("The answer is **no**, it was lower.", False),
        ("<think>是</think>否，这不是合规的", False),
        ("否", False),
        ("是的，该行为符合规定。", True),
        (r"\boxed{是}", True),
        (r"\boxed{否}", False),
        ("答案是否", False),
        ("答案：是", True),
        ("<answer>不是</answer>", False),
        ("该内容不合规", False),
        ("这是违规的", False),
        ("该行为是违规的。", False),
        ("该内容是合规的", True),
        (r"是否合规需要看具体情况。\n答案：\boxed{否}", False),
        (r"\boxed{不合规}", False),
        ("经过分析，该话术存在误导。\n因此答案为：否。", False),
        ("Yes", True),
        ("no", False),
        ("True", True),
    ],
)
def test_yes_no(text: str, yes: bool) -> None:
    found = yes_no_answer(Output(text))
    assert found
    assert found[1] is yes
    verdict = financial(Output(text), YesNoGold(yes))
    assert verdict
    assert verdict.correct


@pytest.mark.parametrize("text", ["", "maybe", r"\boxed{yes or no}", "<think>yes", "这是否违规？"])
def test_neither_yes_nor_no(text: str) -> None:
    for yes in (True, False):
        verdict = financial(Output(text), YesNoGold(yes))
        assert verdict
        assert not verdict.correct


@pytest.mark.parametrize(
    "text",
    [
        "C",
        "c",
        "（Ｃ）",
        "C.",
        "C. 1,000元",
        "C、1,000元",
        r"\boxed{C}",
        r"\boxed{\text{C}}",
        r"\boxed{c}",
        r"\boxed{\text{C. 1,000元}}",
        r"\boxed{1,000元}",
        "1,000元",
        "选C",
        "故选C。",
        "本题应选择C选项",
        "答案是C",
        "答案：C. 1,000元",
        "正确答案为（C）。",
        "<think>答案是A</think>答案是A是错的，最后 \\boxed{C}",
        "The correct answer is (C).",
        "The correct answer is option C because A is too low.",
        "**Answer: C**",
        "<answer>C</answer>",
        "A选项错误，B选项错误，D选项错误。\n综上，故选C。",
        "因此选项C正确。",
        "我认为选择C，因为A和B都错",
        "A. 500元\nB. 800元\n正确的是C",
    ],
)
def test_choice(text: str) -> None:
    found = choice_answer(Output(text), OPTIONS)
    assert found
    assert found[1] == "C"


@pytest.mark.parametrize(
    "text",
    [
        "",
        r"\boxed{AC}",
        r"\boxed{A,C}",
        "答案是A和C",
        "A、C",
        r"\boxed{F}",
        "选A或C",
        "<think>C",
        "A decline of C rates",
    ],
)
def test_no_single_choice(text: str) -> None:
    verdict = financial(Output(text), OPTIONS)
    assert verdict
    assert not verdict.correct
    assert verdict.outcome in ("unparsed", "no_final_answer", "truncated")


def test_wrong_choice() -> None:
    verdict = financial(Output(r"\boxed{B}"), OPTIONS)
    assert verdict
    assert (verdict.correct, verdict.outcome, verdict.extracted) == (False, "wrong_choice", "B")


def test_two_equal_options_named_by_their_text() -> None:
    gold = ChoiceGold("B", {"A": "利率", "B": "利率", "C": "汇率"})
    found = choice_answer(Output("利率"), gold)
    assert found
    assert found[1] == "B"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("neutral", "neutral"),
        ("Neutral.", "neutral"),
        (r"\boxed{\text{Bullish}}", "bullish"),
        ("The sentiment is not bearish but neutral.", "neutral"),
        ("The tweet is neither bearish nor bullish, so neutral", "neutral"),
        (r"<think>bullish</think>It could look bullish at first. Final answer: bearish", "bearish"),
        ("The answer is bullish, not bearish.", "bullish"),
        ("It mentions bullish analysts, but overall the sentiment is bearish.", "bearish"),
        ('{"sentiment": "bullish"}', "bullish"),
        ("positive", "bullish"),
        (r"\boxed{\text{negative}}", "bearish"),
        ("看涨", "bullish"),
        ("答案：neutral", "neutral"),
        ("Answer: not neutral, bearish", "bearish"),
        ("中性", "neutral"),
    ],
)
def test_label(text: str, label: str) -> None:
    found = label_answer(Output(text), LABELS)
    assert found
    assert found[1] == label


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bullishness",
        r"\boxed{bullish/bearish}",
        "positive results for the quarter",
        "<think>neutral",
        "not bearish",
    ],
)
def test_no_label(text: str) -> None:
    for label in LABELS:
        verdict = financial(Output(text), LabelGold(label, LABELS))
        assert verdict
        assert not verdict.correct


def test_text_is_unscored() -> None:
    assert financial(Output("anything"), TextGold("reference")) == UNSCORED
