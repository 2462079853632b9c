"""Reading a chat answer of a service that may send anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from evalkit.backends.engine import Completion, valid_text


class BrokenAnswer(Exception):
    """The bytes are not a chat answer; the message says how, in a few words."""


def read_answer(body: bytes, latency: float) -> Completion:
    """The completion in the body of a chat answer.

    Reasoning that comes in a field of its own (`reasoning_content`: DeepSeek, older vLLM; `reasoning`: vLLM,
    OpenRouter) is put before the text between think tags, so that one text holds everything.
    Usage that is no count of tokens is None.

    Raises:
        BrokenAnswer: not JSON, an error object, or without a text.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BrokenAnswer("not JSON, or only a part") from error
    choice = _choice(answer)
    message = _mapping(choice.get("message"))
    content, finish = message.get("content"), choice.get("finish_reason")
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if not isinstance(content, str | None) or not isinstance(finish, str | None):
        raise BrokenAnswer("a message that is not text")
    usage = _mapping(answer.get("usage"))
    prompt = _count(usage.get("prompt_tokens"))
    return Completion(
        text=valid_text(joined(reasoning if isinstance(reasoning, str) else "", content or "", finish)),
        finish_reason=valid_text(finish)[:40] if finish is not None else None,
        prompt_tokens=prompt,
        cached_tokens=_cached(usage, prompt),
        completion_tokens=_count(usage.get("completion_tokens")),
        latency_s=latency,
    )


def _choice(answer: object) -> Mapping[str, Any]:
    if not isinstance(answer, Mapping):
        raise BrokenAnswer("JSON that is no chat answer")
    choices = answer.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        return choices[0]
    # Gateways say 200 and put what went wrong behind them into the body.
    message = _mapping(answer.get("error")).get("message")
    raise BrokenAnswer(f"an error: {message}" if message else "an answer without choices")


def joined(reasoning: str, content: str, finish_reason: str | None) -> str:
    """Reasoning and text as one: `<think>…</think>` and the answer.

    Reasoning that was cut off before any answer stays unclosed, as it would have come in one piece.
    """
    if not reasoning.strip() or "<think>" in content or "</think>" in content:
        return content
    if not content.strip() and finish_reason == "length":
        return f"<think>\n{reasoning.strip()}"
    return f"<think>\n{reasoning.strip()}\n</think>\n{content}"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _count(value: object) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value < 2**53 else None  # type: ignore[operator,return-value]


def _cached(usage: Mapping[str, Any], prompt: int | None) -> int | None:
    """OpenAI and vLLM give details; DeepSeek also a field of its own."""
    found = _count(_mapping(usage.get("prompt_tokens_details")).get("cached_tokens"))
    if found is None:
        found = _count(usage.get("prompt_cache_hit_tokens"))
    return found if found is None or prompt is None else min(found, prompt)
