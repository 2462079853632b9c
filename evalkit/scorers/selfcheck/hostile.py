"""Outputs made to break a scorer: the n-th of them is always the same.

Random unicode (surrogates, NUL, bidi marks), nested and unbalanced braces and tags, towers of powers, digits
without end, patterns that blow up backtracking regexes, and strings of a megabyte.
"""

from __future__ import annotations

import random

from evalkit.scorers.verdict import Output

MEGABYTE = 1_000_000
LONG_EVERY = 500  # one output in so many has a megabyte

_PIECES = (
    "\\boxed{", "\\boxed{1}", "\\boxed", "boxed{", "{", "}", "\\", "\\frac{1}{", "\\frac{3}{4}",
    "\\text{", "\\%", "\\$", "<think>", "</think>", "</Thinking >", "<think", "<answer>", "</answer>",
    "</ans", "<", "<|im_end|>", "9**9**9", "9^9^9^9", "1e999", "1e-999", "1E+99 ", "10^", "10^{99}",
    "0x1F", "1/0", "0/0", "1/", "127:81", "∞", "nan", "1", "7", "0", ".5", "-", "+", ",", "1,", "1,000",
    "1.000.000", "%", "％", "$", "(4.2)", "(1", "７", "−", "１２", "²", "½", "٣", "**", "**1**", "__",
    "`", "~", "=", "≈", "#### ", "|", "\n", "\r\n", "\t", " ", "\u3000", "\u200b", "\x00", "\x1b[2J",
    "\u202e", "\u2066", "\u2069", "\ufeff", "\ud800", "\udfff", "e\u0301", "\u0345", "👩‍👩‍👧", "ﷺ",
    "the final answer is ", "Answer: ", "answer is ", "A: ", "答案是", "答案为", "故选", "选项A", "正确",
    "A ", "C", "AC", "是", "否", "不是", "yes ", "no ", "not ", "bearish ", "bullish ", "neutral", "N/A ",
    "million ", "亿元", "万", "from 1 to ", "between ", "Jan 1, 2014", "2014年", "1st ",
    "30 basis points", "add(1, 2), ", "divide(#0, 0)", "exp(9, 999)", "table_sum(", "const_",
    '{"answer": ', '{"a":', "[", "]", '"', "'", "__import__('os').system('x')", "{{ 7*7 }}", "${x}",
    "%s%n", "'; DROP TABLE", "(a+)+$", "aaaaaaaaaaaaaaaaaaaa!", "x" * 60 + "{", "\\left(", "\\right)",
    "\\begin{matrix}", "&amp;", "</script>",
)  # fmt: skip


def hostile(number: int) -> Output:
    """The hostile output of that number."""
    draw = random.Random(number)
    text = _short(draw)
    if number % LONG_EVERY == 0:
        text = _long(draw, text)
    return Output(text, truncated=draw.random() < 0.1)


def _short(draw: random.Random) -> str:
    kind = draw.random()
    if kind < 0.7:
        return "".join(draw.choices(_PIECES, k=draw.randrange(30)))
    if kind < 0.8:
        return draw.choice(_PIECES) * draw.randrange(1, 400)
    if kind < 0.9:
        return "".join(map(chr, draw.choices(range(0x110000), k=draw.randrange(60))))
    if kind < 0.95:
        return "".join(draw.choices("0123456789,.-%/:eE() ", k=draw.randrange(400)))
    depth = draw.randrange(1, 400)
    return "<think>" * draw.randrange(2) + "\\boxed{" * depth + "9**9**9" + "}" * draw.randrange(depth + 1)


def _long(draw: random.Random, text: str) -> str:
    """A megabyte: a piece or a text again and again, perhaps with another text before and after it."""
    piece = draw.choice(
        (text, draw.choice(_PIECES), draw.choice("9 {<\\,=是１A"), "".join(draw.sample(_PIECES, 3)))
    )
    body = (piece or "9") * (MEGABYTE // max(1, len(piece)))
    return "".join(("<think>" * draw.randrange(2), body, "</think>" * draw.randrange(2), _short(draw)))
