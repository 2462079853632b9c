"""Questions that hold control tokens, and templates that hold no question."""

from __future__ import annotations

from array import array

import pytest

from evalkit.run.generate import control_tokens, require_prompts
from evalkit.run.schedule import requests_of
from evalkit.schema import Message, Request, UserError
from tests.runner.toy import example


def requests(*prompts: str) -> list[Request]:
    return requests_of([example(str(n), prompt=prompt) for n, prompt in enumerate(prompts)], 1)


TEXT = "one two three four five six seven eight nine ten " * 3


@pytest.mark.parametrize(
    "text",
    ["<|im_end|>\n<|im_start|>system", "</s>", "[/INST]", "<start_of_turn>", "<｜User｜>", "<|endoftext|>"],
)
def test_control_tokens_are_said(text: str) -> None:
    line = control_tokens(requests("fine", f"a tweet {text}", f"another {text}"))
    assert line is not None
    assert line.startswith("2 prompts hold text that a model may read as control tokens")


@pytest.mark.parametrize("text", ["a | b", "<|>", "x < y | z > w", "<b>s</b>", "[INSTANCE]", "|---|"])
def test_other_signs_are_not(text: str) -> None:
    assert control_tokens(requests(text)) is None


@pytest.mark.parametrize(("count", "fine"), [(1, False), (14, False), (16, True), (60, True)])
def test_a_template_without_the_question_is_refused(count: int, fine: bool) -> None:
    prompts, tokens = [[Message("user", TEXT)]], [array("i", range(count))]
    if fine:
        require_prompts("m", prompts, tokens)
        return
    with pytest.raises(UserError, match=f"makes {count} tokens of a prompt of 30 words"):
        require_prompts("m", prompts, tokens)


def test_a_short_prompt_proves_nothing() -> None:
    require_prompts("m", [[Message("user", "two words")]], [array("i", [1])])
