"""What a run knows of requests that wait for the model's own answers."""

from __future__ import annotations

from evalkit.run.folder import Answers, generation
from evalkit.schema import Completion, GenerationSettings, Message, Request
from tests.runner.toy import dialogue

SAMPLING = GenerationSettings(0.0, 1.0, 0, 0.0, 1.0, 16, 0)


def test_a_draft_stands_in_until_the_answer_exists() -> None:
    answers = Answers([], {"engine": "toy"}, SAMPLING, system="Think.")
    first, second = (Request(example, 0) for example in dialogue("d", 2))
    assert answers.messages(second) is None
    assert answers.draft(second) == (
        Message("system", "Think."),
        Message("user", "question 0"),
        Message("assistant", ""),
        Message("user", "question 1"),
    )
    messages = answers.messages(first)
    assert messages is not None
    answers.add(generation(first, answers.key(first, messages), messages, Completion("4", "stop")))
    assert answers.draft(second) == answers.messages(second)
    assert answers.draft(second)[2] == Message("assistant", "4")
