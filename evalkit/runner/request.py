"""Requests: an example, once per sample, with its final messages and the key of its generation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from evalkit.backends.engine import Sampling
from evalkit.example import Example, Message, OwnAnswer

Name = tuple[str, str, int | None, int]
"""(benchmark, id, turn, sample): what a generation is called in its run."""


@dataclass(frozen=True, slots=True)
class Request:
    """One answer that a run wants."""

    example: Example
    sample: int

    @property
    def name(self) -> Name:
        return (self.example.benchmark, self.example.id, self.example.turn, self.sample)


def visible(text: str) -> str:
    """The part of an answer that a chat keeps in its history: what follows the reasoning.

    An unclosed `<think>` never got to an answer, so nothing is left of it.
    """
    if "</think>" in text:
        return text.rpartition("</think>")[2].strip()
    return "" if "<think>" in text else text.strip()


def messages_of(
    request: Request, system: str | None, answers: Mapping[Name, str | None]
) -> tuple[Message, ...] | None:
    """The request's messages with the protocol's system prompt and the model's own earlier answers.

    Templates know one system message, so the protocol's and the record's become one. Returns None while
    an earlier turn that the messages need has no answer yet.
    """
    messages: list[Message] = []
    for message in request.example.messages:
        if isinstance(message, OwnAnswer):
            earlier = (request.example.benchmark, request.example.id, message.turn, request.sample)
            if earlier not in answers:
                return None
            messages.append(Message("assistant", visible(answers[earlier] or "")))
        else:
            messages.append(message)
    if system is None:
        return tuple(messages)
    if messages and messages[0].role == "system":
        return (Message("system", f"{system}\n\n{messages[0].content}"), *messages[1:])
    return (Message("system", system), *messages)


def seeded(sampling: Sampling, request: Request) -> Sampling:
    """The sampling of one request: each has a seed of its own, which does not depend on the others."""
    text = json.dumps([sampling.seed, *request.name], ensure_ascii=False)
    return replace(sampling, seed=int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) >> 1)


def generation_key(
    identity: Mapping[str, Any], messages: tuple[Message, ...], sampling: Sampling, sample: int
) -> str:
    """A hash of everything that decides a generation.

    Two generations with the same key are the same computation, so a finished one is never repeated, and a
    changed weight file, engine build, template, prompt or sampling value never reuses an old answer.
    """
    content = {
        "identity": identity,
        "messages": [[m.role, m.content] for m in messages],
        "sampling": sampling.as_dict(),
        "sample": sample,
    }
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]
