"""Getting one request answered by one server: its turn, its price, its tries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.backends.budget import Budget
from evalkit.backends.engine import Completion
from evalkit.backends.pool import Pool, Replica
from evalkit.backends.retry import Patience, Transient, retrying
from evalkit.backends.service import NoAccess, Refused, chat
from evalkit.example import Message

if TYPE_CHECKING:
    from tenacity import RetryCallState


@dataclass(slots=True)
class Outgoing:
    """A request on its way: what is sent, its size in tokens (estimated), and the patience used up."""

    messages: Sequence[Message]
    body: Mapping[str, Any]
    tokens: int
    max_tokens: int
    attempts: int = 0
    waited: float = 0.0


class Sender:
    """Sends to the servers of a pool.

    Args:
        model: what the servers call it.
        timeout: seconds for one answer.
        note: called with a line for the log; nothing of a request's content is in it.

    ``counts`` are requests, retries, and tokens of answers (prompt, cached, completion).
    """

    def __init__(
        self,
        model: str,
        pool: Pool,
        budget: Budget,
        patience: Patience,
        timeout: float,
        note: Callable[[str], None],
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._model = model
        self._pool = pool
        self._budget = budget
        self._patience = patience
        self._timeout = timeout
        self._note = note

    async def send(self, replica: Replica, request: Outgoing) -> Completion:
        """The answer of `replica`, after as many tries as patience allows and while it is in the pool.

        Raises:
            Transient: no try brought one. Refused, NoAccess: none ever will.
            BudgetSpent: the request may cost more than is left.
        """

        def on_wait(state: RetryCallState) -> None:
            assert state.outcome is not None
            self.counts["retries"] += 1
            error = state.outcome.exception()
            self._note(f"{replica.url}: {error}; again in {state.upcoming_sleep:.1f} s")
            if isinstance(error, Transient) and error.limited:
                replica.pace.hold(state.upcoming_sleep)

        tries = retrying(self._patience, request.waited, lambda: not replica.out, on_wait)
        try:
            return await tries(self._once, replica, request)
        finally:
            request.waited += tries.statistics.get("idle_for", 0.0)

    async def _once(self, replica: Replica, request: Outgoing) -> Completion:
        async with replica.gate:
            if replica.out:  # it left while this request waited for its turn
                raise Transient(replica.reason)
            await replica.pace.admit(request.tokens + request.max_tokens)
            completion, headers = await self._paid(replica, request)
        self._pool.answered(replica)
        replica.pace.learn(headers)
        self.counts["prompt"] += completion.prompt_tokens or 0
        self.counts["cached"] += completion.cached_tokens or 0
        self.counts["completion"] += completion.completion_tokens or 0
        return completion

    async def _paid(self, replica: Replica, request: Outgoing) -> tuple[Completion, Mapping[str, str]]:
        async with self._budget.request(request.tokens, request.max_tokens) as charge:
            request.attempts += 1
            self.counts["requests"] += 1
            try:
                completion, headers = await chat(
                    replica.client, self._model, request.messages, request.body, self._timeout
                )
            except Transient as error:
                if not error.billed:
                    charge.nothing()
                replica.pace.learn(error.headers)
                self._pool.failed(replica, error)
                raise
            except (Refused, NoAccess):
                charge.nothing()
                raise
            if completion.error:
                charge.nothing()
            else:
                charge.used(completion.prompt_tokens, completion.cached_tokens, completion.completion_tokens)
        return completion, headers
