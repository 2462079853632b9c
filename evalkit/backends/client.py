"""The one client: OpenAI's chat protocol, over the `openai` package, for every kind of server."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evalkit.backends.engine import (
    CONTEXT_OVERFLOW,
    ENGINE_ERROR,
    Completion,
    EngineDied,
    Sampling,
    valid_text,
)
from evalkit.example import Message

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion


def connect(base_url: str, key: str, timeout: float) -> AsyncOpenAI:
    """A client without retries of its own: the runner decides what a failure means.

    Args:
        base_url: up to and including ``/v1``.
        timeout: seconds for one answer.
    """
    from openai import AsyncOpenAI

    return AsyncOpenAI(base_url=base_url, api_key=key, timeout=timeout, max_retries=0)


async def complete(
    client: AsyncOpenAI,
    model: str,
    messages: Sequence[Message],
    sampling: Sampling,
    extra: Mapping[str, Any],
) -> Completion:
    """One answer. ``extra`` holds what a server understands beyond the OpenAI protocol.

    Raises:
        EngineDied: the connection broke or timed out.
    """
    from openai import APIConnectionError, APIStatusError

    started = time.monotonic()
    try:
        answer = await client.chat.completions.create(
            model=model,
            messages=[{"role": m.role, "content": m.content} for m in messages],  # type: ignore[misc]
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=sampling.seed,
            presence_penalty=0.0,
            frequency_penalty=0.0,
            extra_body={**response_format(sampling), **extra},
        )
    except APIConnectionError as error:  # includes timeouts
        raise EngineDied(str(error)) from error
    except APIStatusError as error:
        if is_overflow(error):
            return Completion(None, None, error=CONTEXT_OVERFLOW, latency_s=time.monotonic() - started)
        if error.status_code >= 500:
            raise EngineDied(f"HTTP {error.status_code}") from error
        return Completion(
            None,
            None,
            error=f"{ENGINE_ERROR}: HTTP {error.status_code}: {error.message[:300]}",
            latency_s=time.monotonic() - started,
        )
    return _completion(answer, time.monotonic() - started)


def is_overflow(error: Any) -> bool:  # noqa: ANN401 - openai's APIStatusError
    """Whether the prompt is longer than the model's context.

    llama.cpp and OpenAI have a typed error; vLLM and DeepSeek say 'maximum context length' in the message.
    """
    body = error.body if isinstance(error.body, dict) else {}
    return error.status_code == 400 and (
        body.get("type") == "exceed_context_size_error"
        or body.get("code") == "context_length_exceeded"
        or "maximum context length" in str(error.message)
    )


def response_format(sampling: Sampling) -> dict[str, Any]:
    """The part of a request's body that holds the answer to the sampling's JSON schema, if it has one."""
    if sampling.json_schema is None:
        return {}
    schema = {"name": "answer", "strict": True, "schema": json.loads(sampling.json_schema)}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _completion(answer: ChatCompletion, latency: float) -> Completion:
    if not answer.choices:
        return Completion(None, None, error=f"{ENGINE_ERROR}: an answer without choices", latency_s=latency)
    choice = answer.choices[0]
    usage = answer.usage
    details = usage.prompt_tokens_details if usage else None
    timings: Mapping[str, Any] = (answer.model_extra or {}).get("timings") or {}
    return Completion(
        text=valid_text(choice.message.content or ""),
        finish_reason=choice.finish_reason,
        prompt_tokens=usage.prompt_tokens if usage else None,
        cached_tokens=(details.cached_tokens or 0) if details else None,
        completion_tokens=usage.completion_tokens if usage else None,
        latency_s=latency,
        prefill_s=timings["prompt_ms"] / 1000 if "prompt_ms" in timings else None,
        decode_s=timings["predicted_ms"] / 1000 if "predicted_ms" in timings else None,
    )
