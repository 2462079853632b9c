"""An answer that was ended as a loop: how it is scored, counted and kept."""

from __future__ import annotations

import pytest

from evalkit.metrics import failures
from evalkit.run.folder import generation
from evalkit.run.provenance import cost_line, measured
from evalkit.run.scoring import items_of, output_of
from evalkit.schema import Answer, Completion, Loaded, Message, Outcome, Request
from tests.runner.toy import example

LOOPING = "Therefore the answer is what the answer is. " * 60


def record(text: str, finish: str, tokens: int = 540) -> Answer:
    completion = Completion(text, finish, 10, 0, tokens)
    return generation(Request(example("a"), 0), "key", [Message("user", "What is 1 + 1?")], completion)


@pytest.mark.parametrize(
    ("text", "finish", "outcome", "correct"),
    [
        (LOOPING, "loop", "loop", False),
        (LOOPING, "length", "truncated", False),
        ("\\boxed{2} " * 100, "loop", "correct", True),  # it had answered: the loop takes nothing away
        ("\\boxed{2} " * 100, "length", "correct", True),
        ("\\boxed{3} " * 100, "loop", "wrong_number", False),
        ("<think>\n" + LOOPING, "loop", "loop", False),
    ],
)
def test_a_loop_is_scored_as_what_was_cut_off(
    text: str, finish: str, outcome: Outcome, correct: bool
) -> None:
    data = {"toy": Loaded([example("a")], {})}
    [item] = items_of([record(text, finish)], data, ["financial"])
    score = item.samples[0].scores["financial"]
    assert (score.outcome, score.correct) == (outcome, correct)
    assert failures([item], "financial").truncated == 1
    assert output_of(record(text, finish)).truncated


def test_saved_tokens_are_counted_where_there_are_any() -> None:
    ended = [record(LOOPING, "loop", 540), record(LOOPING, "loop", 300), record("\\boxed{2}", "stop", 6)]
    figures = measured([], ended, None, 2048)
    assert (figures["loops"], figures["loop_tokens_saved"]) == (2, 2048 - 540 + 2048 - 300)
    assert "2 answers were loops and ended 3,256 tokens short of the limit" in cost_line(figures)
    whole = measured([], ended[2:], None, 2048)
    assert not {"loops", "loop_tokens_saved"} & whole.keys()
