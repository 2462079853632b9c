"""Hostile outputs: nothing raises, nothing is slow, memory stays flat, spans stay right."""

from __future__ import annotations

import time

import pytest

from bench.hostile import LIMIT_GROWTH_BYTES, LIMIT_MS, LONG_EVERY, MEGABYTE, fuzz, hostile
from evalkit.schema import NumberGold, Output
from evalkit.scoring import get_rule, rule_names
from evalkit.scoring.abandoned import right_then_abandoned
from evalkit.scoring.number_answer import number_answer
from evalkit.scoring.text import ANSWER_CHARS, answer_part

GOLD = NumberGold(0.0787, "what was the percentage change?", "7.87%", "divide(787, 10000)")
LONG = "the trace goes on 1 = 2; " * 100_000


def test_fuzz() -> None:
    found = fuzz(1_200)
    assert (found.outputs, found.fault_count, found.faults) == (1_200, 0, ())
    assert found.growth_bytes <= LIMIT_GROWTH_BYTES
    assert found.slowest_ms <= LIMIT_MS, found.slowest


def test_hostile_outputs_are_reproducible_and_some_are_long() -> None:
    assert [hostile(number) for number in range(50)] == [hostile(number) for number in range(50)]
    assert len(hostile(LONG_EVERY).text) > MEGABYTE * 0.9


@pytest.mark.parametrize(
    "piece", ["1", "１", "<", "</think", "<think", "\\boxed{", "A: ", "是", "= 7.87 ", "\x00"]
)
def test_the_cost_does_not_grow_with_the_output(piece: str) -> None:
    """Eight megabytes: a step that reads them all in Python would take seconds."""
    output = Output(piece * (8 * MEGABYTE // len(piece)))
    started = time.thread_time()
    for name in rule_names():
        get_rule(name)(output, GOLD)
    right_then_abandoned(output, GOLD)
    assert time.thread_time() - started < 1


def test_a_long_trace_before_the_answer() -> None:
    text = f"<think>{LONG}</think>{LONG[:60_000]}\nThe answer is \\boxed{{7.87\\%}}"
    found = number_answer(Output(text))
    assert found
    assert text[slice(*found.answer.span)] == "7.87\\%"
    verdict = get_rule("financial")(Output(text), GOLD)
    assert verdict
    assert verdict.correct


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        (f"<think>{LONG}", False),
        (f"<think>a</think>{LONG}", True),
        (f"{LONG}</think>{LONG}", True),
        (f"</think>{LONG}<think>{LONG}", False),
        (f"<think>{LONG}</Thinking >5", True),
        (LONG, True),
        ("<think>" + "x" * (ANSWER_CHARS - 3) + "</think>5", True),
    ],
)
def test_the_end_of_the_reasoning_is_found_far_back(text: str, ends: bool) -> None:
    part = answer_part(text)
    assert (part is not None) is ends
    if part:
        assert len(part.text) <= ANSWER_CHARS
        assert text[part.offset :] == part.text
