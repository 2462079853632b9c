"""One request to an OpenAI-compatible service, and what its failure means."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evalkit.backends.answer import BrokenAnswer, read_answer
from evalkit.backends.client import is_overflow
from evalkit.backends.engine import CONTEXT_OVERFLOW, Completion, EngineUnusable
from evalkit.backends.retry import RETRIED, Transient, asked_to_wait
from evalkit.example import Message

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

_LARGEST_BODY = 64 * 2**20  # bytes; the longest answers of today's models are under one
_LONGEST_REASON = 300


class Refused(Exception):
    """The service will not answer this request, however often it is asked. One line; `status` is HTTP's."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


class NoAccess(EngineUnusable):
    """The key is refused, or the account has no credit: no request will be answered."""


def one_line(text: object, secret: str | None) -> str:
    """What a service says, fit for a record: one printable line of bounded length, without the key."""
    shown = str(text)[: 4 * _LONGEST_REASON]
    if secret:
        shown = shown.replace(secret, "***")
    printable = "".join(sign if sign.isprintable() else " " for sign in shown)
    return " ".join(printable.split())[:_LONGEST_REASON]


async def chat(
    client: AsyncOpenAI,
    model: str,
    messages: Sequence[Message],
    parameters: Mapping[str, Any],
    timeout: float,
) -> tuple[Completion, Mapping[str, str]]:
    """One answer and the headers that came with it.

    Args:
        parameters: of the request's body, besides model and messages.
        timeout: seconds for the whole answer.

    Raises:
        Transient: no usable answer; another try may bring one.
        Refused: none ever will come.
        NoAccess: nor to any other request.
    """
    from openai import APIConnectionError, APIStatusError, APITimeoutError

    started = time.monotonic()
    late = Transient(f"no answer within {timeout:g} s", billed=True)
    try:
        async with (
            asyncio.timeout(timeout),
            client.chat.completions.with_streaming_response.create(
                model=model,
                messages=[{"role": m.role, "content": m.content} for m in messages],  # type: ignore[misc]
                extra_body=dict(parameters),
            ) as response,
        ):
            headers, body = response.headers, await read_body(response.iter_bytes())
    except (TimeoutError, APITimeoutError) as error:
        raise late from error
    except APIConnectionError as error:
        raise broken_connection(error) from error
    except APIStatusError as error:
        if is_overflow(error):
            return Completion(None, None, error=CONTEXT_OVERFLOW, latency_s=time.monotonic() - started), {}
        raise failure(error, client.api_key) from error
    try:
        return read_answer(body, time.monotonic() - started), headers
    except BrokenAnswer as error:
        raise Transient(f"broken answer: {one_line(error, client.api_key)}", billed=True) from error


async def read_body(chunks: AsyncIterator[bytes]) -> bytes:
    """All of it, if it is not absurdly large. Raises Transient if it breaks off."""
    body = bytearray()
    try:
        async for chunk in chunks:
            body += chunk
            if len(body) > _LARGEST_BODY:
                break
    except Exception as error:
        # Which exceptions break a body off is the business of openai's HTTP library, which has changed.
        raise Transient(f"broken answer: {type(_innermost(error)).__name__}", billed=True) from error
    if len(body) > _LARGEST_BODY:
        raise Transient(f"an answer of more than {_LARGEST_BODY >> 20} MiB", billed=True)
    return bytes(body)


def broken_connection(error: BaseException) -> Transient:
    """A connection that did not come about, or broke before a reply. (Its own text may carry the URL.)"""
    cause = _innermost(error)
    if isinstance(cause, ConnectionRefusedError):
        return Transient("connection refused")
    if isinstance(cause, socket.gaierror):
        return Transient("no such host")
    return Transient(f"connection broken: {type(cause).__name__}", billed=True)


def _innermost(error: BaseException) -> BaseException:
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error


def failure(error: APIStatusError, key: str) -> Exception:
    """What an HTTP status other than success means."""
    status, body = error.status_code, error.body if isinstance(error.body, Mapping) else {}
    said = one_line(body.get("message") or error.message, key)
    reason = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    # 402: DeepSeek, OpenRouter. OpenAI says the same with a 429 that no waiting changes.
    if status == 402 or body.get("code") == "insufficient_quota":
        return NoAccess(f"the account has no credit left ({reason})")
    if status == 401:
        return NoAccess(f"the key is refused ({reason})")
    if status in RETRIED:
        headers = error.response.headers
        return Transient(reason, wait=asked_to_wait(headers), limited=status == 429, headers=headers)
    return Refused(reason, status)
