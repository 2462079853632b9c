"""Messages, seeds and keys of requests."""

from __future__ import annotations

from dataclasses import replace

from evalkit.schema import GenerationSettings, Message, Request, generation_key, messages_of, seeded, visible
from tests.runner.toy import dialogue, example

SAMPLING = GenerationSettings(0.0, 1.0, 0, 0.0, 1.0, 16, 0)


def test_the_reasoning_does_not_go_into_the_history() -> None:
    assert visible("<think>maybe 3</think>\n2") == "2"
    assert visible("maybe 3</think> 2") == "2"
    assert visible("<think>maybe 3") == ""
    assert visible(" 2 ") == "2"


def test_own_answers_are_filled_in_when_they_exist() -> None:
    first, second, third = (Request(e, 0) for e in dialogue("d", 3))
    answers: dict[tuple[str, str, int | None, int], str | None] = {}
    assert messages_of(second, None, answers) is None
    answers[first.name] = "<think>hm</think>4"
    messages = messages_of(second, None, answers)
    assert messages == (
        Message("user", "question 0"),
        Message("assistant", "4"),
        Message("user", "question 1"),
    )
    assert messages_of(third, None, answers) is None


def test_system_prompts_become_one() -> None:
    own = replace(example("a"), messages=(Message("system", "Be brief."), Message("user", "Hi")))
    assert messages_of(Request(own, 0), "Think.", {}) == (
        Message("system", "Think.\n\nBe brief."),
        Message("user", "Hi"),
    )
    plain = messages_of(Request(example("a"), 0), "Think.", {})
    assert plain is not None
    assert plain[0] == Message("system", "Think.")


def test_every_request_has_its_own_seed() -> None:
    requests = [Request(example(name), sample) for name in "abc" for sample in range(3)]
    seeds = {seeded(SAMPLING, request).seed for request in requests}
    assert len(seeds) == len(requests)
    assert seeded(SAMPLING, requests[0]) == seeded(SAMPLING, requests[0])
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_the_key_changes_with_everything_that_decides_an_answer() -> None:
    messages = (Message("user", "What?"),)
    identity = {"weights_sha256": "a", "build": "1", "chat_template_sha256": "t"}
    keys = {
        generation_key(identity, messages, SAMPLING, 0),
        generation_key({**identity, "weights_sha256": "b"}, messages, SAMPLING, 0),
        generation_key({**identity, "build": "2"}, messages, SAMPLING, 0),
        generation_key({**identity, "chat_template_sha256": "u"}, messages, SAMPLING, 0),
        generation_key(identity, (Message("user", "What!"),), SAMPLING, 0),
        generation_key(identity, (Message("system", "What?"),), SAMPLING, 0),
        generation_key(identity, messages, replace(SAMPLING, temperature=0.6), 0),
        generation_key(identity, messages, replace(SAMPLING, max_tokens=17), 0),
        generation_key(identity, messages, replace(SAMPLING, seed=1), 0),
        generation_key(identity, messages, SAMPLING, 1),
    }
    assert len(keys) == 10
