"""Chat answers as services write them, and as none should."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evalkit.engines.client import BrokenAnswer, ErrorAnswer, joined, read_answer


def body(message: Any, usage: Any = None, finish: Any = "stop") -> bytes:
    return json.dumps({"choices": [{"message": message, "finish_reason": finish}], "usage": usage}).encode()


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_of_its_own_field_goes_before_the_text(field: str) -> None:
    answer = read_answer(body({"content": "42", field: "6 times 7"}), 1.5)
    assert answer.text == "<think>\n6 times 7\n</think>\n42"
    assert (answer.finish_reason, answer.latency_s) == ("stop", 1.5)


def test_reasoning_that_is_in_the_text_already_stays_as_it_is() -> None:
    for content in ("<think>a</think>42", "a</think>42"):
        assert joined("a", content, "stop") == content
    assert joined(" \n", "42", "stop") == "42"


def test_reasoning_that_was_cut_off_stays_unclosed() -> None:
    assert joined("so far", "", "length") == "<think>\nso far"
    assert joined("done", "", "stop") == "<think>\ndone\n</think>\n"


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 3}, (9, None, 3)),
        (
            {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}},
            (9, 4, 3),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 3, "prompt_cache_hit_tokens": 5}, (9, 5, 3)),
        ({"prompt_tokens": 9, "prompt_tokens_details": None, "prompt_cache_hit_tokens": 50}, (9, 9, None)),
        ({"prompt_tokens": -1, "completion_tokens": "3"}, (None, None, None)),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, (None, None, None)),
        ({"prompt_tokens": True, "completion_tokens": 10**30}, (None, None, None)),
        (None, (None, None, None)),
        ([1], (None, None, None)),
    ],
)
def test_usage(usage: Any, counts: tuple[int | None, int | None, int | None]) -> None:
    answer = read_answer(body({"content": "x"}, usage), 0.0)
    assert (answer.prompt_tokens, answer.cached_tokens, answer.completion_tokens) == counts


def test_lone_surrogates_and_missing_text_do_not_break_a_record() -> None:
    broken = b'{"choices": [{"message": {"content": "a\\ud800b"}, "finish_reason": null}]}'
    assert read_answer(broken, 0.0).text == "a?b"
    assert read_answer(body({"content": None}), 0.0).text == ""


def test_an_answer_of_no_tokens_has_none() -> None:
    empty = read_answer(body({"content": ""}, {"prompt_tokens": 9, "completion_tokens": 0}), 0.0)
    assert empty.completion_tokens == 0


def test_an_answer_in_parts_is_one_text() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "6 times "}, {"text": "7"}]}
    parts = [thinking, {"type": "text", "text": "4"}, {"type": "reference", "reference_ids": [1]}, "2"]
    assert read_answer(body({"content": parts}), 0.0).text == "<think>\n6 times 7\n</think>\n42"
    assert read_answer(body({"content": []}), 0.0).text == ""


def test_a_refusal_of_its_own_field_is_the_text() -> None:
    assert read_answer(body({"content": None, "refusal": "I cannot."}), 0.0).text == "I cannot."


@pytest.mark.parametrize(
    "finish", ["length", "max_tokens", "MAX_TOKENS", "model_length", "max_output_tokens"]
)
def test_every_name_of_the_token_limit_is_length(finish: str) -> None:
    answer = read_answer(body({"content": "cut off in the mid"}, finish=finish), 0.0)
    assert answer.finish_reason == "length"


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        ({"error": {"code": 502, "message": "upstream"}, "message": {"content": ""}}, 502, "upstream"),
        ({"error": {"code": 429, "message": "slower"}}, 429, "slower"),
        ({"message": {"content": "half an ans"}, "finish_reason": "error"}, 502, "gave up"),
    ],
)
def test_an_error_in_a_choice_is_no_answer(wrong: Any, status: int, said: str) -> None:
    with pytest.raises(ErrorAnswer, match=said) as error:
        read_answer(json.dumps({"choices": [wrong]}).encode(), 0.0)
    assert error.value.status == status


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"<html>",
        b'{"choices": [{"mess',
        b"[" * 100_000,
        b"7",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [7]}',
        b'{"choices": null, "error": {"message": "upstream is gone"}}',
        body({"content": [{"type": "text", "text": 7}]}),
        body({"content": [7]}),
        body({"content": {"text": "x"}}),
        b'{"choices": [{"text": "x", "finish_reason": "stop"}]}',
        body({"content": "x"}, finish=3),
        b"\xff\xfe\x00",
    ],
)
def test_broken_answers(wrong: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        read_answer(wrong, 0.0)


def test_an_error_in_a_good_answer_says_what_it_is() -> None:
    with pytest.raises(BrokenAnswer, match="upstream is gone"):
        read_answer(b'{"error": {"message": "upstream is gone"}}', 0.0)
