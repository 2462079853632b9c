"""Any OpenAI-compatible service as an engine: one server, or several of one model as a pool."""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from evalkit.backends.budget import Answered, Budget, read_prices
from evalkit.backends.client import connect
from evalkit.backends.engine import ENGINE_ERROR, Completion, EngineUnusable, Sampling
from evalkit.backends.pool import Pool, Replica
from evalkit.backends.rate import Pace
from evalkit.backends.remote_body import estimated_tokens, parameters, takes_extended
from evalkit.backends.remote_settings import (
    RemoteSettings,
    addresses,
    host_of,
    read_key,
    read_settings,
    sent_key,
)
from evalkit.backends.remote_start import Found, find
from evalkit.backends.retry import Patience, Transient
from evalkit.backends.sender import Outgoing, Sender
from evalkit.backends.service import NoAccess, Refused
from evalkit.backends.speed import Speed
from evalkit.errors import UserError
from evalkit.example import Message

_WITHOUT_AN_ANSWER = 2  # requests per slot that fail in a row: then it is the service and not the request


class Remote:
    """A model behind a service.

    Args:
        found: the model and the servers that have it.
        key: None: the service wants none.
        log: where retries and departures are noted; nothing of a request's content is.
    """

    def __init__(
        self, settings: RemoteSettings, found: Found, key: str | None, budget: Budget, log: Path
    ) -> None:
        self.slots: int = settings.slots * len(found.urls)
        self.budget = budget
        self._settings = settings
        self._found = found
        self._key = key
        self._log = log
        self._extended = takes_extended(settings.send_extended, found.served.owner)
        self._pool: Pool | None = None
        self._sender: Sender | None = None
        self._failed_in_a_row = 0
        self._answered = 0
        self._given_up = 0

    def identity(self) -> dict[str, Any]:
        return {
            "engine": "remote",
            "service": sorted({host_of(url) for url in self._found.urls}),
            "model": {"id": self._found.served.model, **self._found.served.facts},
            "states": {name: value for name, value in self._settings.states.items() if value is not None},
            "extra": self._settings.extra,
            "extended": self._extended,
        }

    def description(self) -> dict[str, Any]:
        counts = self._sender.counts if self._sender else Counter[str]()
        return {
            "slots": self.slots,
            "created": self._found.served.created,
            **{name: counts[name] for name in ("requests", "retries")},
            "given_up": self._given_up,
            "tokens": {name: counts[name] for name in ("prompt", "cached", "completion")},
            "prices": self._settings.prices if self.budget.prices else None,
            "cost": self.budget.as_json(),
            "cost_earlier": round(self.budget.earlier, 6) if self.budget.prices else None,
            "replicas": [replica.as_json() for replica in self._pool.replicas] if self._pool else [],
        }

    async def tokenize(self, prompts: Sequence[Sequence[Message]]) -> list[array[int]] | None:  # noqa: ARG002
        """None: a service does not tell its tokens."""
        return None

    def count_earlier(self, sessions: Iterable[Mapping[str, Any]], records: Iterable[Answered]) -> None:
        """Let earlier sessions of the same run count towards the ceiling: see `Budget.count_earlier`."""
        self.budget.count_earlier(sessions, records)

    async def start(self, longest_prompt: int | None) -> None:  # noqa: ARG002
        """Make ready to send. That the service is there, and has the model, was seen when it was opened."""
        settings = self._settings
        replicas = [
            Replica(
                url=url,
                client=connect(url, sent_key(self._key), settings.timeout),
                pace=Pace(settings.requests_per_minute, settings.tokens_per_minute),
                gate=asyncio.Semaphore(settings.slots),
            )
            for url in self._found.urls
        ]
        self._pool = Pool(replicas, settings.slots, settings.attempts, settings.backoff, self._note)
        for replica in replicas:
            if replica.url in self._found.absent:
                self._pool.remove(replica, self._found.absent[replica.url])
        patience = Patience(settings.attempts, settings.patience, settings.backoff)
        self._sender = Sender(
            self._found.served.model, self._pool, self.budget, patience, settings.timeout, self._note
        )

    async def complete(self, messages: Sequence[Message], sampling: Sampling, slot: int) -> Completion:
        """One answer, after as many tries as the settings allow, or the record of its failure.

        Raises:
            UserError: the very first request shows that the service cannot be used as it was asked for.
            BudgetSpent: the next answer could cost more than is left.
            EngineUnusable: the service answers nothing any more.
        """
        assert self._pool is not None, "start comes first"
        assert self._sender is not None
        body = parameters(sampling, self._settings.extra, self._extended, self._found.served.owner)
        request = Outgoing(messages, body, estimated_tokens(messages), sampling.max_tokens)
        await self._pool.welcome_back()
        failure: Transient | None = None
        for replica in self._pool.candidates(slot):
            try:
                completion = await self._sender.send(replica, request)
            except Transient as error:
                failure = error
            except (Refused, NoAccess) as error:
                return self._refused(error, replica)
            else:
                self._failed_in_a_row = 0
                self._answered += 1
                return completion
        assert failure is not None, "the last server never leaves the pool"
        self._given_up += 1
        tries = f"{request.attempts} attempt{'s' if request.attempts > 1 else ''}"
        return self._failed(f"{failure} ({tries})", "answers nothing any more")

    def _refused(self, error: Refused | NoAccess, replica: Replica) -> Completion:
        """A request that no further try would change.

        The first of all shows a wrong setting that the list of models did not show.
        """
        if isinstance(error, NoAccess) or error.status == 404:
            if not self._answered:
                raise UserError(
                    f"{replica.url}: {error}: check the URL, backend.api_model and the key in "
                    f"{self._settings.api_key_env}"
                ) from error
            if isinstance(error, NoAccess):
                raise NoAccess(f"{replica.url}: {error}") from error
        return self._failed(str(error), "refuses every request (backend.extra changes what is sent)")

    def _failed(self, reason: str, what: str) -> Completion:
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= max(3, _WITHOUT_AN_ANSWER * self.slots):
            where, count = ", ".join(self._found.urls), self._failed_in_a_row
            raise EngineUnusable(f"{where} {what}: {count} requests in a row failed: {reason}")
        return Completion(None, None, error=f"{ENGINE_ERROR}: {reason}")

    def _note(self, line: str) -> None:
        with self._log.open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    async def revive(self) -> None:
        """Nothing to do: `complete` has its own patience, and never says that a server died."""

    async def stop(self) -> None:
        if self._pool is not None:
            for replica in self._pool.replicas:
                await replica.client.close()

    def peak_memory_bytes(self) -> int | None:
        return None

    def peak_gpu_memory_bytes(self) -> int | None:
        return None

    async def probe(self) -> Speed | None:
        """None: other people's requests are on the same machines."""
        return None


def preflight(
    model: Mapping[str, Any],
    backend: Mapping[str, Any],
    max_tokens: int,  # noqa: ARG001 - the service has room or not
) -> None:
    """Whatever can be found wrong before any data is read: settings, key, address, model.

    Raises:
        UserError: as `open_engine`.
    """
    _opened(model, backend)


def open_engine(
    model: Mapping[str, Any],
    backend: Mapping[str, Any],
    max_tokens: int,  # noqa: ARG001 - the service has room or not
    log: Path,
) -> Remote:
    """The engine for a service, after one request for its list of models.

    Raises:
        UserError: a setting is wrong, the service cannot be reached, refuses the key or lacks the model.
    """
    settings, budget, found, key = _opened(model, backend)
    return Remote(settings, found, key, budget, log)


def _opened(
    model: Mapping[str, Any], backend: Mapping[str, Any]
) -> tuple[RemoteSettings, Budget, Found, str | None]:
    settings = read_settings(backend)
    budget = Budget(read_prices(settings.prices, "backend.prices"), settings.max_cost)
    urls, where = addresses(settings, model)
    key = read_key(settings, urls)
    source = model.get("source") or {}
    names = [name for name in (source.get("hf"), model.get("name")) if name]
    # In a thread of its own, because the caller may have an event loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(asyncio.run, find(settings, urls, where, key, names)).result()
    return settings, budget, found, key
