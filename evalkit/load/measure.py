"""Users of a server: each asks a question, reads the answer to its end, and asks the next.

So many users are the concurrency (a closed loop), as in vLLM's benchmark with `--max-concurrency` and
GenAI-Perf's `--concurrency`: nobody asks faster than answers come. Every level takes questions that no level
before it had, as long as there are any, so that none of them waits less because its prompt is known already.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice, pairwise, zip_longest
from typing import Any, Protocol

from evalkit.engines import Engine, EngineDied, StreamingEngine
from evalkit.load.record import Level, waits
from evalkit.schema import (
    Completion,
    EngineUnusable,
    Example,
    GenerationSettings,
    Loaded,
    Message,
    Request,
    messages_of,
    seeded,
)


class Served(Engine, StreamingEngine, Protocol):
    """An engine of a run that streams."""


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt and the sampling of its answer."""

    messages: tuple[Message, ...]
    sampling: GenerationSettings


@dataclass(frozen=True, slots=True)
class Extent:
    """How much a level asks: `requests` of each user at most, new ones for `seconds` at most.

    Answers that are under way then may take as long again.
    """

    requests: int
    seconds: float


def questions_of(
    data: Mapping[str, Loaded], sampling: GenerationSettings, system: str | None, count: int
) -> list[Question]:
    """The first `count` questions, of each benchmark in turn, each in its own order.

    A dialogue's turn that needs the model's own earlier answers is left out.
    """
    found: list[Question] = []
    for example in _in_turn([loaded.examples for loaded in data.values()]):
        request = Request(example, 0)
        messages = messages_of(request, system, {})
        if messages is not None:
            found.append(Question(messages, seeded(sampling, request)))
        if len(found) == count:
            break
    return found


def _in_turn(lists: Iterable[Sequence[Example]]) -> Iterator[Example]:
    for row in zip_longest(*lists):
        yield from (example for example in row if example is not None)


@dataclass(slots=True)
class _Asked:
    """One request: when it was sent and when its pieces came, on the monotonic clock."""

    sent: float
    pieces: list[float] = field(default_factory=list)
    ended: float | None = None
    completion: Completion | None = None
    reason: str | None = None
    given_up: float | None = None
    draft: tuple[int, int] | None = None

    def hear(self, timings: Mapping[str, Any]) -> None:
        self.pieces.append(time.monotonic())
        drafted, accepted = timings.get("draft_n"), timings.get("draft_n_accepted")
        if isinstance(drafted, int) and isinstance(accepted, int):
            self.draft = drafted, accepted

    @property
    def is_done(self) -> bool:
        return self.ended is not None and self.reason is None and bool(self.pieces)

    @property
    def first_token(self) -> float | None:
        """Seconds until the first piece, or until there was no more waiting for it; None if it failed."""
        first = self.pieces[0] if self.pieces else self.given_up
        return None if first is None or self.reason is not None else first - self.sent

    @property
    def per_token(self) -> float | None:
        """Seconds for each token after the first piece; None with fewer than two tokens."""
        tokens = self.completion.completion_tokens if self.completion else None
        tokens = len(self.pieces) if tokens is None else tokens
        return (self.pieces[-1] - self.pieces[0]) / (tokens - 1) if tokens > 1 else None


async def measure(
    engine: Served,
    questions: Sequence[Question],
    users: Sequence[int],
    extent: Extent,
    keep: Callable[[Level], None],
) -> None:
    """Serve the questions to more and more users, and hand each level to `keep` as soon as it is measured.

    Raises:
        EngineUnusable: the server does not serve, or ended under the load.
        UserError: it cannot serve this model.
    """
    try:
        tokens = await engine.tokenize([question.messages for question in questions])
        await engine.start(max(map(len, tokens), default=None) if tokens else None)
        supply = cycle(questions)
        for count in users:
            asked, seconds = await _level(engine, supply, count, extent)
            keep(_summary(count, asked, seconds, engine))
    finally:
        await engine.stop()


async def _level(
    engine: StreamingEngine, supply: Iterator[Question], users: int, extent: Extent
) -> tuple[list[_Asked], float]:
    """All requests of one level, and the seconds from the first question to the last answer."""
    waiting = islice(supply, users * extent.requests)
    started = time.monotonic()
    asked: list[_Asked] = []

    async def user() -> None:
        while time.monotonic() - started < extent.seconds:
            question = next(waiting, None)
            if question is None:
                return
            one = _Asked(time.monotonic())
            asked.append(one)
            one.completion = await engine.stream(question.messages, question.sampling, one.hear)
            one.ended, one.reason = time.monotonic(), one.completion.error

    tasks = [asyncio.create_task(user()) for _ in range(users)]
    try:
        async with asyncio.timeout(2 * extent.seconds):
            await asyncio.gather(*tasks)
    except TimeoutError:
        pass  # what is unfinished is counted as that
    except EngineDied as error:
        raise EngineUnusable(f"the server failed under {users} users: {error}") from error
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for one in asked:
        one.given_up = time.monotonic() if one.ended is None else None
    return asked, max((one.ended for one in asked if one.ended), default=started) - started


def _summary(users: int, asked: Sequence[_Asked], seconds: float, engine: Served) -> Level:
    done = [one for one in asked if one.is_done]
    failed = [one for one in asked if one.ended is not None and not one.is_done]
    answers = [one.completion for one in done if one.completion is not None]
    tokens = sum(each.completion_tokens or 0 for each in answers)
    draft = [one.draft for one in done if one.draft is not None]
    pauses = (after - before for one in done for before, after in pairwise(one.pieces))
    return Level(
        users=users,
        asked=len(asked),
        done=len(done),
        failed=len(failed),
        unfinished=len(asked) - len(done) - len(failed),
        seconds=round(seconds, 3),
        first_token=waits(value for one in asked if (value := one.first_token) is not None),
        per_token=waits(value for one in done if (value := one.per_token) is not None),
        pause=waits(pauses),
        answer=waits(one.ended - one.sent for one in done if one.ended is not None),
        tokens_per_second=round(tokens / seconds, 3) if seconds else 0.0,
        prompt_tokens=sum(each.prompt_tokens or 0 for each in answers),
        cached_tokens=sum(each.cached_tokens or 0 for each in answers),
        answer_tokens=tokens,
        draft_tokens=sum(proposed for proposed, _ in draft) if draft else None,
        draft_accepted=sum(taken for _, taken in draft) if draft else None,
        peak_memory_bytes=engine.peak_memory_bytes(),
        peak_gpu_memory_bytes=engine.peak_gpu_memory_bytes(),
        reason=next((one.reason or "an answer without text" for one in failed), None),
    )
