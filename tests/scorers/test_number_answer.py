"""What is taken as the final number of an output."""

from __future__ import annotations

import pytest

from evalkit.schema import Output
from evalkit.scoring.number_answer import number_answer

# text, value as shown, percent, scale
COMMITTED = [
    (r"\boxed{5.3}", 5.3, False, 1),
    (r"<think>maybe \boxed{7}</think><answer>\boxed{5.3}</answer>", 5.3, False, 1),
    (r"maybe 12, so 9</think>The answer is 5.3.", 5.3, False, 1),
    (r"<think>x</think><answer>5.3</answer", 5.3, False, 1),
    (r"<think>x</think><answer>5.3</", 5.3, False, 1),
    (r"first \boxed{4}, corrected: \boxed{5}", 5, False, 1),
    (r"\boxed{}\boxed{5} and \boxed{ }", 5, False, 1),
    (r"\boxed{\text{Net income: } \$1{,}234.5}", 1234.5, False, 1),
    (r"\boxed{1\,234\,567}", 1234567, False, 1),
    (r"\boxed{29,\!889,\!860}", 29889860, False, 1),
    (r"\boxed{\frac{3}{4}}", 0.75, False, 1),
    (r"\boxed{-\dfrac{1}{8}}", -0.125, False, 1),
    (r"\boxed{1\frac{1}{2}}", 1.5, False, 1),
    (r"\boxed{127:81}", 127 / 81, False, 1),
    (r"\boxed{3/4}", 0.75, False, 1),
    (r"\boxed{4.2 \text{ to } 1}", 4.2, False, 1),
    (r"\boxed{7.87\%}", 7.87, True, 1),
    (r"\boxed{7.87} %", 7.87, True, 1),
    (r"\boxed{7.87}\%", 7.87, True, 1),
    (r"\(\boxed{7.87}\)%", 7.87, True, 1),
    (r"$\boxed{190}$ million", 190, False, 1e6),
    (r"\(\boxed{6.3}\) million.", 6.3, False, 1e6),
    (r"\boxed{\$1.2\text{ billion}}", 1.2, False, 1e9),
    (r"\boxed{12.5亿元}", 12.5, False, 1e8),
    (r"\boxed{３，０００万元}", 3000, False, 1e4),
    (r"\boxed{7.87％}", 7.87, True, 1),
    (r"\boxed{x = 5.3}", 5.3, False, 1),
    (r"\boxed{\approx 5.3}", 5.3, False, 1),
    (r"\boxed{\frac{21}{8} \approx 2.625}", 2.625, False, 1),
    (r"\boxed{(4.2)}", -4.2, False, 1),
    (r"\boxed{\$(4.2)}", -4.2, False, 1),
    (r"\boxed{(\$4.2)}", -4.2, False, 1),
    (r"\boxed{-\$4.2}", -4.2, False, 1),
    (r"\boxed{\$-4.2}", -4.2, False, 1),
    (r"The result is -\boxed{4.2}", -4.2, False, 1),
    ("\\boxed{\u22124.2}", -4.2, False, 1),
    ("\\boxed{\u20134.2}", -4.2, False, 1),
    (r"\boxed{1.2e6}", 1.2e6, False, 1),
    (r"\boxed{1.2 \times 10^6}", 1.2e6, False, 1),
    (r"\boxed{1.2 \times 10^{-3}}", 1.2e-3, False, 1),
    (r"\boxed{2014}", 2014, False, 1),
    (r"\boxed{\text{In 2014: } 31}", 31, False, 1),
    (r"\boxed{5.3", 5.3, False, 1),
    (r"\boxed{\text{5.3\% decrease}}", 5.3, True, 1),
    ("The final answer is $1.2 million, up from $1.1 million in 2013.", 1.2, False, 1e6),
    ("**Final Answer:** 42", 42, False, 1),
    ("**Final Answer**\n\n42", 42, False, 1),
    ("Answer: 42", 42, False, 1),
    ("#### 42", 42, False, 1),
    ("答案是12.5亿元。", 12.5, False, 1e8),
    ("答案：７.８７％", 7.87, True, 1),
    ("因此，最终答案为：-3.5", -3.5, False, 1),
    ("2013年为20，2014年为25，所以增长率为25%。", 25, True, 1),
    ("Revenue rose from 20 to 25.\nThus the increase was **5** million.", 5, False, 1e6),
    ("Net revenue was 20 in 2013 and 25 in 2014, an increase of 5.", 5, False, 1),
    ("The total as of December 31, 2014 is 31.5.", 31.5, False, 1),
    ("29 - 8 = 21", 21, False, 1),
    ("Final answer: $5.3$ million", 5.3, False, 1e6),
    (r"\boxed{5.3 \text{ (in millions)}}", 5.3, False, 1e6),
    (r"\boxed{33 \frac{1}{3}\%}", 100 / 3, True, 1),
    (r"\boxed{30 \text{ basis points}}", 0.3, True, 1),
    ("7.87%", 7.87, True, 1),
    ("0.0787", 0.0787, False, 1),
    ("It fell 30 basis points.", 0.3, True, 1),
    ("\\boxed{5 (rounded from 4.96)}", 5, False, 1),
]

NOT_COMMITTED = [
    "",
    "<think>The total is 5.3 and \\boxed{5.3}",
    "<think>a</think><think>5.3",
    "<think>so 5.3</think>",
    "\\boxed{N/A - fiscal 2014 data is not available}",
    "The answer is that the 2014 data is not available.",
    "\\boxed{\\text{cannot be determined}}",
    "无法计算，缺少2014年数据",
    "\\boxed{5-10}",
    "\\boxed{5 \\text{ to } 10}",
    "\\boxed{5, 10}",
    "\\boxed{\\text{between } 5 \\text{ and } 10}",
    "This concerns fiscal 2014.",
    "\\boxed{no}",
]


@pytest.mark.parametrize(("text", "value", "percent", "scale"), COMMITTED)
def test_committed(text: str, value: float, percent: bool, scale: float) -> None:
    found = number_answer(Output(text))
    assert found
    assert found.quantity
    assert found.quantity.value == pytest.approx(value)
    assert (found.quantity.percent, found.quantity.scale) == (percent, scale)


@pytest.mark.parametrize("text", NOT_COMMITTED)
def test_not_committed(text: str) -> None:
    found = number_answer(Output(text))
    assert found is None or found.quantity is None


def test_span_is_of_the_raw_output() -> None:
    text = "<think>９</think>答案：\\boxed{\\text{７.８７}％} ok"
    found = number_answer(Output(text))
    assert found
    start, end = found.answer.span
    assert text[start:end] == "\\text{７.８７}％"


@pytest.mark.parametrize(
    "phrase", ["The final answer is", "Final answer:", "**Final Answer**\n\n", "Answer:"]
)
def test_the_extracted_text_is_the_answer_without_its_phrase(phrase: str) -> None:
    found = number_answer(Output(f"{phrase} 20.74."))
    assert found
    assert found.answer.text.rstrip(".") == "20.74"


def test_cut_off_text_commits_only_what_is_complete() -> None:
    assert number_answer(Output("Revenue was 5.3 and so 1", truncated=True)) is None
    assert number_answer(Output("The final answer is 12", truncated=True)) is None
    assert number_answer(Output("so \\boxed{12", truncated=True)) is None
    complete = number_answer(Output("so \\boxed{12}. Then I", truncated=True))
    assert complete
    assert complete.quantity
    assert complete.quantity.value == 12
