"""Golds and prompts for tests of how answers are read, and whether the rule `financial` gets one right."""

from __future__ import annotations

from evalkit.benchmarks.prompts import render
from evalkit.schema import ChoiceGold, Gold, LabelGold, NumberGold, Outcome, Output, YesNoGold
from evalkit.scoring import get_rule

RIGHT, WRONG = True, False
Expected = bool | Outcome
Case = tuple[str, Gold, Expected]

UP = NumberGold(
    0.0523,
    "what was the percentage change in operating income from 2011 to 2012?",
    "5.23%",
    "subtract(42.3, 40.2), divide(#0, 40.2)",
)
DN = NumberGold(
    -0.0523,
    "what was the percentage change in operating income from 2011 to 2012?",
    "-5.23%",
    "subtract(38.1, 40.2), divide(#0, 40.2)",
)
CH = NumberGold(
    -6.4,
    "what was the change in deferred tax from 2011 to 2012?",
    "",
    "subtract(3.6, 10)",
)
TOT = NumberGold(64.2, "what was the total interest expense in 2012?", "", "add(40.1, 24.1)")
TOTM = NumberGold(
    64.2,
    "what was the total interest expense in 2012, in millions?",
    "",
    "add(40.1, 24.1)",
)
BIG = NumberGold(
    3456.7,
    "what was the total amount of assets in 2012?",
    "",
    "add(1000, 2456.7)",
)
LOSS = NumberGold(
    -2345.6,
    "what was the change in net earnings from 2011 to 2012?",
    "",
    "subtract(1, 2346.6)",
)
DEBT = NumberGold(1800.0, "what was the total debt in millions?", "1800", "add(700, 1100)")
PRICE = NumberGold(
    23.35,
    "what was the average price paid per share?",
    "23.35",
    "divide(205500, 8800)",
)
RATIO = NumberGold(
    2.5,
    "what is the ratio of current assets to current liabilities?",
    "",
    "divide(5000, 2000)",
)
YEARLIKE = NumberGold(
    1987.0,
    "what was the amount of the lease obligations due in 2010?",
    "",
    "1987",
)
YEAR = NumberGold(2027.0, "in what year does the credit facility mature?", "", "2027")
ZERO = NumberGold(0.0, "what was the change in goodwill?", "", "subtract(5, 5)")
FOUR = NumberGold(4.0, "how many years is the vesting period?", "", "4")
YQ = YesNoGold(True, "was net income in 2012 higher than in 2011?", "greater(3, 2)")
NQ = YesNoGold(False, "was net income in 2012 higher than in 2011?", "greater(2, 3)")
INC = YesNoGold(True, "did operating expenses decrease in 2012?", "greater(3, 2)")
ZY = YesNoGold(True, "定期存款利率由银行公布，投资者应了解风险。", "")
ZN = YesNoGold(False, "本基金承诺年化收益不低于百分之八，零风险。", "")
SMALL = NumberGold(7.87, "what was the total?", "", "add(1, 6.87)")
HUGE = NumberGold(12345678.0, "what was the total?", "", "add(1, 2)")
TAX = NumberGold(6.4, "what was the change in tax, in millions?", "", "subtract(10, 3.6)")
OPTIONS = {"A": "上升", "B": "持平", "C": "下降", "D": "无法判断"}
FUNDS = {"A": "B股基金投资于外币股票", "B": "B股基金只投资债券", "C": "货币基金", "D": "增强型货币基金"}
AMOUNTS = {"A": "2,000元", "B": "2,200元", "C": "2,400元", "D": "2,600元"}
LABELS = ("bearish", "bullish", "neutral")
_TABLE = [["", "2012", "2011"], ["operating income", "42.3", "40.2"]]


def choice(letter: str, options: dict[str, str] | None = None) -> ChoiceGold:
    return ChoiceGold(letter, options or OPTIONS)


def label(name: str) -> LabelGold:
    return LabelGold(name, LABELS)


def prompt_of(gold: Gold) -> str:
    """The prompt of the gold's benchmark, with its question."""
    if isinstance(gold, LabelGold):
        return render("tfns", "prompt.jinja", text="$QX invented tweet number 5")
    if isinstance(gold, ChoiceGold):
        values = {"task": "研判观点提取", "question": "下面的文本反映的利率走向是哪一种？"}
        return render("ant_finance", "prompt.jinja", context="", options=gold.options, **values)
    assert isinstance(gold, NumberGold | YesNoGold)
    if not gold.question.isascii():
        values = {"task": "金融合规性", "question": gold.question}
        return render("ant_finance", "prompt.jinja", context="", options={}, **values)
    page = {"pre_text": "an invented company .", "table": _TABLE, "post_text": "."}
    return render("finqa", "prompt.jinja", question=gold.question, **page)


def missed(cases: list[Case]) -> list[tuple[str, str | None, str, Expected]]:
    """The cases in which the rule says something else: text, what it read, its outcome, what is expected."""
    found: list[tuple[str, str | None, str, Expected]] = []
    for text, gold, expected in cases:
        verdict = get_rule("financial")(Output(text, prompt=prompt_of(gold)), gold)
        assert verdict
        said = bool(verdict.correct) if isinstance(expected, bool) else verdict.outcome
        if said != expected:
            found.append((text, verdict.extracted, verdict.outcome, expected))
    return found
