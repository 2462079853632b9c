"""Answers that repeat themselves for ever: found while they are streamed, and ended there.

At temperature 0 nothing leads out of a block that has been repeated: small models and low-bit files go on to
the token limit with it, and a few such answers cost more than all others together. A repetition is proven
when the last tokens are one block of at most 200 tokens, at least 6 times in a row and at least 300 tokens
long.
`python -m bench loops` shows over recorded answers that no verdict depends on what follows.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from evalkit.engines import Heard
from evalkit.engines.client import (
    NoAccess,
    PromptTooLong,
    Refused,
    Transient,
    as_json,
    one_line,
    own_reasoning,
    request_failures,
    too_long,
    with_usage,
)
from evalkit.schema import LOOP, LOOP_TOKENS, Completion, Message, valid_text
from evalkit.text import mapping

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletionChunk

BLOCK = 200  # tokens of a block at most
TIMES = 6  # a block is repeated at least

_TIMED = {"timings_per_token": True}
_COUNTED = {"stream_options": {"include_usage": True}}
# llama.cpp's server closes the connection after a streamed answer without having said so: what is asked on it
# in that moment gets no answer (one of thirty questions of `load` did not).
_CLOSED = {"Connection": "close"}


class LoopDetector:
    """Watches one answer token by token. A token is whatever is equal to itself: a number, or its text."""

    def __init__(self) -> None:
        self._count = 0
        self._places: defaultdict[Hashable, list[int]] = defaultdict(list)
        self._runs: dict[int, int] = {}  # for each distance: how many tokens up to now repeat the one before

    def add(self, token: Hashable) -> bool:
        """Whether the answer is, with this token, a proven repetition."""
        places, now = self._places[token], self._count
        while places and now - places[0] > BLOCK:
            del places[0]
        self._runs = {now - place: self._runs.get(now - place, 0) + 1 for place in places}
        places.append(now)
        self._count += 1
        return any(run + block >= max(TIMES * block, LOOP_TOKENS) for block, run in self._runs.items())


def loop_end(tokens: Sequence[Hashable]) -> int | None:
    """How many tokens an answer has when its repetition is proven; None if it never is."""
    detector = LoopDetector()
    return next((number for number, token in enumerate(tokens, 1) if detector.add(token)), None)


async def streamed_chat(
    client: AsyncOpenAI,
    model: str,
    messages: Sequence[Message],
    body: Mapping[str, Any],
    timeout: float,
    heard: Heard | None = None,
    *,
    until_loop: bool = True,
    timed: bool = True,
    hangs_up: bool = True,
) -> Completion:
    """One answer, streamed, and ended where it is a proven repetition.

    The text is that of an answer in one piece, up to its end. Other arguments and errors are those of
    `evalkit.engines.client.chat`.

    Args:
        heard: called with each piece, also of reasoning that is no part of the text.
        until_loop: whether a repetition ends it.
        timed: the server is a llama.cpp of ours, whose tokens and times come with every piece; others count
            tokens at the end.
        hangs_up: the server is llama.cpp's, ours or not, which closes the connection after the last piece.
    """
    from openai import APIError

    started = time.monotonic()
    try:
        with request_failures(client, timeout):
            async with asyncio.timeout(timeout):
                asked = client.chat.completions.create(
                    model=model,
                    messages=as_json(messages),  # type: ignore[arg-type]
                    stream=True,
                    # Without timings an answer that is ended here would tell neither its tokens nor its time.
                    extra_body={**body, **(_TIMED if timed else _COUNTED)},
                    extra_headers=_CLOSED if hangs_up else None,
                )
                stream = cast("AsyncStream[ChatCompletionChunk]", await asked)
                async with stream:
                    return await _read(stream, started, heard, LoopDetector() if until_loop else None)
    except PromptTooLong:
        return too_long(started)
    except (Transient, Refused, NoAccess):
        raise
    except Exception as error:
        # Which exceptions break a stream off is the business of openai's HTTP library, which has changed.
        reason = one_line(error, client.api_key) if isinstance(error, APIError) else type(error).__name__
        raise Transient(f"broken answer: {reason}", billed=True) from error


async def _read(
    stream: AsyncStream[ChatCompletionChunk],
    started: float,
    heard: Heard | None,
    detector: LoopDetector | None,
) -> Completion:
    pieces = list[str]()
    finish: str | None = None
    timings: Mapping[str, Any] = {}
    usage: Mapping[str, Any] = {}
    chunks: AsyncIterator[ChatCompletionChunk] = aiter(stream)
    async for chunk in chunks:
        timings = (chunk.model_extra or {}).get("timings") or timings
        usage = mapping(chunk.to_dict(warnings=False).get("usage")) if chunk.usage else usage
        if not chunk.choices:
            continue
        finish = chunk.choices[0].finish_reason or finish
        delta = chunk.choices[0].delta
        piece = delta.content
        if heard is not None and (piece or own_reasoning(delta.model_extra or {})):
            heard(timings)  # reasoning in a field of its own is waited for, and counted, like the answer
        if not piece:
            continue
        pieces.append(piece)
        if detector is not None and detector.add(piece):
            finish = LOOP
            break  # closing the stream ends the work on the server
    if finish is None:
        raise Transient("the answer broke off", billed=True)
    made = _completion("".join(pieces), finish, timings, time.monotonic() - started)
    return made if timings or not usage else with_usage(made, usage)


def _completion(text: str, finish: str, timings: Mapping[str, Any], latency: float) -> Completion:
    """`timings`: tokens of the prompt that were computed and found in the cache, and of the answer."""
    computed, cached = timings.get("prompt_n"), timings.get("cache_n")
    return Completion(
        text=valid_text(text),
        finish_reason=finish,
        prompt_tokens=computed + (cached or 0) if computed is not None else None,
        cached_tokens=cached if computed is not None else None,
        completion_tokens=timings.get("predicted_n"),
        latency_s=latency,
        prefill_s=timings["prompt_ms"] / 1000 if "prompt_ms" in timings else None,
        decode_s=timings["predicted_ms"] / 1000 if "predicted_ms" in timings else None,
    )
