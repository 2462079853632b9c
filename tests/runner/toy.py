"""Examples of a toy benchmark, for tests that need no model."""

from __future__ import annotations

from evalkit.schema import Example, Message, NumberGold, OwnAnswer


def example(
    id_: str, group: str = "page", turn: int | None = None, prompt: str = "What is 1 + 1?"
) -> Example:
    return Example("toy", id_, (Message("user", prompt),), NumberGold(2.0), group, turn)


def dialogue(id_: str, turns: int) -> list[Example]:
    """A dialogue whose history holds the model's own answers."""
    found = []
    for turn in range(turns):
        history: list[Message | OwnAnswer] = []
        for earlier in range(turn):
            history += [Message("user", f"question {earlier}"), OwnAnswer(earlier)]
        messages = (*history, Message("user", f"question {turn}"))
        found.append(Example("toy", id_, messages, NumberGold(2.0), id_, turn))
    return found
