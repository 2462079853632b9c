"""Hostile outputs through every rule: what breaks, how long the slowest takes, whether memory stays flat.

Outputs made to break a scorer: the n-th of them is always the same.

Random unicode (surrogates, NUL, bidi marks), nested and unbalanced braces and tags, towers of powers, digits
without end, patterns that blow up backtracking regexes, and strings of a megabyte.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import reduce
from multiprocessing import get_context

from evalkit.schema import (
    ChoiceGold,
    Gold,
    LabelGold,
    NumberGold,
    Output,
    Score,
    SpansGold,
    TextGold,
    YesNoGold,
)
from evalkit.scoring import Rule, get_rule, rule_names
from evalkit.scoring.abandoned import right_then_abandoned

LIMIT_MS = 50.0
LIMIT_GROWTH_BYTES = 64 << 20  # a megabyte of astral characters and its copies are 20 MB
WARM_UP = 2_000
_SHOWN = 5

_TABLE = (("year", "2014", "2013"), ("net, total ( loss )", "$ 1,200", "-32 ( 32 )"))
_GOLDS: tuple[Gold, ...] = (
    NumberGold(0.0787, "what was the percentage change?", "7.87%", "divide(787, 10000)", _TABLE),
    NumberGold(-1200.0, "by how much did it decline?", "", "subtract(700, 1900)", _TABLE),
    NumberGold(0.0, "", "", "1e-5"),
    YesNoGold(True, "was it higher?", "greater(2, 1)", _TABLE),
    YesNoGold(False, "这是合规的吗？"),
    ChoiceGold("C", {"A": "500元", "B": "A", "C": "1,000元", "D": ""}),
    LabelGold("neutral", ("bearish", "bullish", "neutral")),
    TextGold("a reference"),
    SpansGold(("96.4", "88.0"), "million", "multi-span"),
    SpansGold(("net debt",)),
)


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """What a fuzz found. Times are CPU time of one rule on one output: another process on the machine is
    no fault of the rule. ``growth_bytes`` is the most that memory grew after the warm-up, in any process."""

    outputs: int
    calls: int
    slowest_ms: float
    slowest: str
    growth_bytes: int
    faults: tuple[str, ...]
    fault_count: int

    @property
    def passed(self) -> bool:
        flat = self.growth_bytes <= LIMIT_GROWTH_BYTES
        return self.fault_count == 0 and self.slowest_ms <= LIMIT_MS and flat


def fuzz(count: int, processes: int = 1) -> Fuzzed:
    """`count` hostile outputs, each through every rule with one kind of gold, in `processes` processes."""
    if processes == 1:
        return _fuzz(range(count))
    shares = [range(start, count, processes) for start in range(processes)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return reduce(_merged, pool.map(_fuzz, shares))


def _fuzz(numbers: Iterable[int]) -> Fuzzed:
    import psutil

    process = psutil.Process()
    rules = {name: get_rule(name) for name in rule_names()} | {"right_then_abandoned": _abandoned}
    for number in range(WARM_UP):
        _run(rules, hostile(number * 7 + 1), _GOLDS[number % len(_GOLDS)])
    base = peak = process.memory_info().rss
    outputs = calls = fault_count = 0
    faults: list[str] = []
    slowest, where = 0.0, ""
    for number in numbers:
        output = hostile(number)
        for name, seconds, fault in _run(rules, output, _GOLDS[number % len(_GOLDS)]):
            calls += 1
            if fault:
                fault_count += 1
                faults = [*faults, f"output {number}, {name}: {fault}"][:_SHOWN]
            if seconds > slowest:
                slowest, where = seconds, f"output {number}, {name}"
        outputs += 1
        if outputs % 500 == 1:  # the long ones are among these
            peak = max(peak, process.memory_info().rss)
    return Fuzzed(outputs, calls, slowest * 1000, where, peak - base, tuple(faults), fault_count)


def _run(rules: dict[str, Rule], output: Output, gold: Gold) -> list[tuple[str, float, str]]:
    """Rule, CPU seconds and fault ('' for none) of every rule on one output."""
    return [(name, *_timed(rule, output, gold)) for name, rule in rules.items()]


def _timed(rule: Rule, output: Output, gold: Gold) -> tuple[float, str]:
    started = time.thread_time()
    try:
        verdict = rule(output, gold)
    except Exception as error:
        return 0.0, repr(error)[:200]
    seconds = time.thread_time() - started
    if verdict and verdict.span and not 0 <= verdict.span[0] <= verdict.span[1] <= len(output.text):
        return seconds, f"the span {verdict.span} is not in the output"
    return seconds, ""


def _abandoned(output: Output, gold: Gold) -> Score | None:
    right_then_abandoned(output, gold)
    return None


def _merged(one: Fuzzed, other: Fuzzed) -> Fuzzed:
    slower = max(one, other, key=lambda fuzzed: fuzzed.slowest_ms)
    return Fuzzed(
        one.outputs + other.outputs,
        one.calls + other.calls,
        slower.slowest_ms,
        slower.slowest,
        max(one.growth_bytes, other.growth_bytes),
        (*one.faults, *other.faults)[:_SHOWN],
        one.fault_count + other.fault_count,
    )


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
