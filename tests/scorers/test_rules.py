"""Every rule: the seam, the published behaviour with its faults, and hostile input."""

from __future__ import annotations

import importlib
import random
import time

import pytest

from evalkit.schema import (
    DEFAULT,
    ChoiceGold,
    Gold,
    LabelGold,
    NumberGold,
    Output,
    Score,
    SpansGold,
    TextGold,
    UserError,
    YesNoGold,
)
from evalkit.scoring import get_rule, rule_names

RATIO = NumberGold(0.0787, "what was the percentage change?", "7.87%", "divide(787, 10000)")
YES = YesNoGold(True, "was it higher?")
COMPLIANT = YesNoGold(False, "这是合规的吗？")
CHOICE = ChoiceGold("C", {"A": "1", "B": "2", "C": "3"})
LABEL = LabelGold("neutral", ("bearish", "bullish", "neutral"))


SPANS = SpansGold(("96.4", "88.0"), "million", "multi-span")


def number(value: float, answer: str = "") -> NumberGold:
    return NumberGold(value, "", answer)


# Rule, its source, and what of it makes up its documented behaviour: the table below has a case for each.
SOURCES = {
    "finqa_official": "czyssrs/FinQA, code/evaluate/evaluate.py",
    "finqa_program": "czyssrs/FinQA, code/evaluate/evaluate.py",
    "pot": "TIGER-AI-Lab/Program-of-Thoughts, tool.py",
    "finben_emacc": "The-FinAI/PIXIU, src/tasks/flare.py",
    "docmath": "yale-nlp/DocMath-Eval, utils/evaluation_utils.py",
    "financereasoning": "Staudinger0325/FinanceReasoning",
    "evalscope": "modelscope/evalscope, evalscope/metrics/math_parser.py",
    "helm_convfinqa": "stanford-crfm/helm, src/helm/benchmark/metrics/conv_fin_qa_calc_metrics.py",
    "jfinqa": "ajtgjmdjp/jfinqa, lm_eval_tasks/_jfinqa_utils.py",
    "bizfinbench": "HiThink-Research/BizFinBench, benchmark_code/BizFinBench/eval_financial_calculation.py",
    "fineva_official": "alipay/financial_evaluation_dataset, src/get_score.py",
    "financial": "this project's definition",
    "tatqa_em": "NExTplusplus/TAT-QA, tatqa_metric.py",
    "tatqa_f1": "NExTplusplus/TAT-QA, tatqa_metric.py",
}

CASES: list[tuple[str, str, Gold, bool]] = [
    # exact to five decimals: neither scale nor rounding is forgiven
    ("finqa_official", "0.0787", RATIO, True),
    ("finqa_official", "0.07870001", RATIO, True),
    ("finqa_official", r"\boxed{\$1.2 \text{ million}}", number(1.2), True),
    # symbolic equality, literals by their text
    ("finqa_program", "divide(787, 10000)", RATIO, True),
    ("finqa_program", "multiply(787, 10000)", RATIO, False),
    ("finqa_program", "divide(7.87, const_100)", RATIO, False),
    # as it stands, rounding forgiven, scale not
    ("finqa_official", r"\boxed{7.87\%}", number(0.07874), True),
    ("finqa_official", r"\boxed{7.87}", RATIO, False),
    ("finqa_official", r"\boxed{47.4\%}", number(47.4), False),
    ("finqa_official", r"\boxed{\$1.2 \text{ million}}", number(1.2), True),
    ("finqa_official", r"\boxed{1.2 \text{ million}}", number(1_200_000), False),
    ("finqa_official", r"\boxed{-7.87\%}", RATIO, False),
    ("finqa_official", r"\boxed{Yes}", YES, True),
    ("finqa_official", r"\boxed{7.87\%}", RATIO, True),
    ("finqa_official", r"\boxed{7.87}", RATIO, False),
    ("finqa_official", r"\boxed{7.9\%}", RATIO, True),
    ("finqa_official", r"\boxed{8.0\%}", RATIO, False),
    ("finqa_official", "divide(7871, 100000)", RATIO, False),
    ("finqa_official", "subtract(1787, 1000), divide(#0, 10000)", RATIO, True),
    ("finqa_official", "<think>divide(1, 2)</think>Program: divide(787, 10000).", RATIO, True),
    ("finqa_official", "divide(787, 0)", RATIO, False),
    ("finqa_official", "greater(2, 1)", YES, True),
    ("finqa_official", "greater(1, 2)", YES, False),
    ("pot", "So the answer is 0.1.", number(0.14), True),
    ("pot", "So the answer is 0.0", number(0.04), True),
    ("pot", "So the answer is 100", number(1.0), True),
    ("pot", "So the answer is 7.87%.", RATIO, True),
    ("pot", "So the answer is -7.87%.", RATIO, False),
    ("pot", "So the answer is yes.", YES, True),
    ("pot", "So the answer is not known.", YES, False),
    ("finben_emacc", "94.0", number(94.0), True),
    ("finben_emacc", "94", number(94.0), True),
    ("finben_emacc", "The answer is 94", number(94.0), False),
    ("finben_emacc", "It is not bearish but neutral.", LABEL, False),
    ("finben_emacc", "Neutral", LABEL, True),
    ("finben_emacc", "C, although", CHOICE, False),
    # 0.15 %, sign and powers of ten ignored
    ("docmath", r"\boxed{1001}", number(1000.0), True),
    ("docmath", r"\boxed{1002}", number(1000.0), False),
    ("docmath", r"\boxed{1000}", number(0.001), True),
    ("docmath", r"\boxed{5}", number(-5.0), True),
    ("docmath", r"\boxed{100}", number(1.0), True),
    ("docmath", r"\boxed{7.87\%}", RATIO, True),
    ("docmath", r"\boxed{7.9\%}", RATIO, False),
    ("docmath", r"\boxed{yes}", YES, True),
    ("financereasoning", r"\boxed{1001}", number(1000.0), True),
    ("financereasoning", r"\boxed{1003}", number(1000.0), False),
    ("financereasoning", r"\boxed{7.87\%}", RATIO, False),
    ("financereasoning", r"\boxed{-5}", number(5.0), False),
    # x/100, x, 100x at 1e-4
    ("evalscope", r"\boxed{1.00005}", number(1.0), True),
    ("evalscope", r"\boxed{1.0002}", number(1.0), False),
    ("evalscope", r"\boxed{-1}", number(1.0), False),
    ("evalscope", r"\boxed{100}", number(1.0), True),
    ("evalscope", r"\boxed{7.87\%}", RATIO, True),
    ("evalscope", r"\boxed{\frac{1}{4}}", number(0.25), True),
    ("evalscope", r"\boxed{7.88\%}", RATIO, False),
    ("evalscope", r"<think>\boxed{7.87}", RATIO, True),
    ("evalscope", r"\boxed{\text{C}}", CHOICE, True),
    ("evalscope", r"\boxed{Yes}", YES, True),
    ("helm_convfinqa", "1,234", number(1234.0), False),
    ("helm_convfinqa", "1,234", number(1.0), True),
    ("helm_convfinqa", "<think>7</think>0.0787", RATIO, False),
    ("helm_convfinqa", "0.0787000001", RATIO, True),
    ("helm_convfinqa", "yes", YES, False),
    ("jfinqa", "Answer: 7.8%", RATIO, True),
    ("jfinqa", "Answer: 7.96%", RATIO, False),
    ("jfinqa", "Answer: 0.0787", RATIO, False),
    ("jfinqa", "so it is\n7.87", RATIO, True),
    ("jfinqa", "EBITA: 5\nAnswer: 7.87", RATIO, False),
    ("jfinqa", "△5", number(-5.0), True),
    ("bizfinbench", '{"answer": 0.0787}', RATIO, True),
    ("bizfinbench", 'so {"cot": "x", "answer": "0.0787"}', RATIO, True),
    ("bizfinbench", '{"answer": "7.87%"}', RATIO, False),
    ("bizfinbench", r"\boxed{0.07871}", RATIO, False),
    ("bizfinbench", r"\boxed{0.0787005}", RATIO, True),
    ("fineva_official", "否，这不是合规的", COMPLIANT, False),
    ("fineva_official", "否", COMPLIANT, True),
    ("fineva_official", r"先看，答案是A？不对。\boxed{C}", CHOICE, False),
    ("fineva_official", r"\boxed{C}", CHOICE, True),
    ("fineva_official", "A选项错误。故选C。", CHOICE, True),
    ("fineva_official", "A不对，C正确", CHOICE, True),
    # the gold's words and scale, in any order; all of them
    ("tatqa_em", r"\boxed{88 million; 96.40 million}", SPANS, True),
    # upstream sorts the texts as they are written, and $ comes before any digit
    ("tatqa_em", r"\boxed{88 million; \$96.4 million}", SPANS, False),
    ("tatqa_em", r"\boxed{96.4; 88}", SPANS, False),
    ("tatqa_f1", r"\boxed{96.4 million; 88.0 million}", SPANS, True),
    ("tatqa_f1", r"\boxed{profit}", SPANS, False),
]


@pytest.mark.parametrize(("rule", "text", "gold", "right"), CASES)
def test_published_behaviour(rule: str, text: str, gold: Gold, right: bool) -> None:
    verdict = get_rule(rule)(Output(text), gold)
    assert verdict
    assert verdict.correct is right, verdict
    assert verdict.value == float(right)
    assert (verdict.outcome == "correct") is right


def test_names() -> None:
    assert DEFAULT in rule_names()
    assert {case[0] for case in CASES} | {DEFAULT} == set(rule_names())


def test_unknown_rule() -> None:
    with pytest.raises(UserError, match=r"No rule 'financal'.*Did you mean financial\?"):
        get_rule("financal")
    with pytest.raises(UserError):
        get_rule("../verdict")


def test_docstrings_say_the_source() -> None:
    for name in rule_names():
        doc = importlib.import_module(get_rule(name).__module__).__doc__ or ""
        assert "Read at source" in doc or "Source:" in doc, name
        assert SOURCES[name] in " ".join(doc.split()), name


GOLDS: list[Gold] = [
    RATIO,
    number(0.0),
    number(float("nan")),
    number(1e308),
    YES,
    COMPLIANT,
    CHOICE,
    ChoiceGold("", {}),
    LABEL,
    LabelGold("", ()),
    TextGold("x"),
    SPANS,
    SpansGold(()),
]
PIECES = [
    "\\", "(", "{", "}", "\\boxed{", "\\boxed{1}", "<think>", "</think>", "<answer>", "</answer>", "1", "1,",
    ".5", "-", "1/", "%", "**", "**1**", "答案是", "答案为", "故选",
    "选项A", "A ", "\n", " ", "\x00", "\ud800",
    "=", "≈",
    "not ", "bearish ", "answer is ", "Answer: 1. ",
    "add(1, 2), ", '"answer": ', "A:\n", "1e999 ", "10^",
    "\\frac{1}{",
    "\\text{", "是", "否", "yes ", '{"a":', "N/A ", "１", "Jan 1", "$", "(1", "from 1 to ",
    "boxed", "5 million ",
]  # fmt: skip


@pytest.mark.parametrize("rule", rule_names())
def test_never_raises(rule: str) -> None:
    draw = random.Random(rule)
    score = get_rule(rule)
    for _ in range(300):
        text = "".join(draw.choice(PIECES) for _ in range(draw.randint(0, 20)))
        for gold in GOLDS:
            verdict = score(Output(text, draw.random() < 0.2), gold)
            assert verdict is None or isinstance(verdict, Score)
            if verdict and verdict.span:
                assert 0 <= verdict.span[0] <= verdict.span[1] <= len(text)


@pytest.mark.parametrize("piece", PIECES)
def test_time_is_bounded(piece: str) -> None:
    """A quadratic step over 50,000 characters takes a minute, all rules together take well under a second."""
    text = piece * (50_000 // len(piece))
    started = time.process_time()
    for name in rule_names():
        for gold in (RATIO, YES, CHOICE, LABEL, SPANS):
            get_rule(name)(Output(text), gold)
    assert time.process_time() - started < 5
