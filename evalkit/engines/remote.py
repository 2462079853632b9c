"""Any OpenAI-compatible service as an engine: one server, or several of one model as a pool.

A request waits for its turn at a server, may not cost more than is left, and is tried again as long as that
may help; a server that fails leaves the pool, and the others go on.
"""

from __future__ import annotations

import asyncio
import itertools
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.config.settings import ModelSettings
from evalkit.engines import Heard, TokenCounts
from evalkit.engines.client import (
    NoAccess,
    Refused,
    Transient,
    chat,
    connect,
    fewest_tokens,
    parameters,
)
from evalkit.engines.limits import Budget, Pace, Patience, Pool, Replica, read_prices, retrying
from evalkit.engines.loops import streamed_chat
from evalkit.engines.service import Service, Settings, addresses, find, place_of, read_key, sent_key
from evalkit.schema import (
    ENGINE_ERROR,
    Completion,
    EngineUnusable,
    GenerationSettings,
    Message,
    Speed,
    UserError,
)

if TYPE_CHECKING:
    from tenacity import RetryCallState


_WITHOUT_AN_ANSWER = 2  # requests per slot that fail in a row: then it is the service and not the request


class Remote:
    """A model behind a service.

    Args:
        service: the model and the servers that have it.
        key: None: the service wants none.
        log: where retries and departures are noted; nothing of a request's content is.
    """

    def __init__(
        self, settings: Settings, service: Service, key: str | None, budget: Budget, log: Path
    ) -> None:
        self.slots: int = settings.slots * len(service.urls)
        self.budget = budget
        self._settings = settings
        self._service = service
        self._key = key
        self._log = log
        self._extended = takes_extended(settings.send_extended, service.served.owner)
        self._pool: Pool | None = None
        self._sender: Sender | None = None
        self._failed_in_a_row = 0
        self._answered = 0
        self._given_up = 0
        self._turns = itertools.count()

    def identity(self) -> dict[str, Any]:
        return {
            "engine": "remote",
            "service": sorted({place_of(url) for url in self._service.urls}),
            "model": {"id": self._service.served.model, **self._service.served.facts},
            "states": {name: value for name, value in self._settings.states.items() if value is not None},
            "extra": self._settings.extra,
            "extended": self._extended,
        }

    def description(self) -> dict[str, Any]:
        counts = self._sender.counts if self._sender else Counter[str]()
        return {
            "slots": self.slots,
            "created": self._service.served.created,
            **{name: counts[name] for name in ("requests", "retries")},
            "given_up": self._given_up,
            "tokens": {name: counts[name] for name in ("prompt", "cached", "completion")},
            "prices": self._settings.prices.model_dump() if self.budget.prices else None,
            "cost": self.budget.as_json(),
            "cost_earlier": round(self.budget.earlier, 6) if self.budget.prices else None,
            "replicas": [replica.as_json() for replica in self._pool.replicas] if self._pool else [],
        }

    async def tokenize(self, prompts: Sequence[Sequence[Message]]) -> list[array[int]] | None:  # noqa: ARG002
        """None: a service does not tell its tokens."""
        return None

    def count_earlier(self, sessions: Iterable[Mapping[str, Any]], records: Iterable[TokenCounts]) -> None:
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
            for url in self._service.urls
        ]
        self._pool = Pool(replicas, settings.slots, settings.attempts, settings.backoff, self._note)
        for replica in replicas:
            if replica.url in self._service.absent:
                self._pool.remove(replica, self._service.absent[replica.url])
        patience = Patience(settings.attempts, settings.patience, settings.backoff)
        self._sender = Sender(
            self._service.served.model,
            self._pool,
            self.budget,
            patience,
            settings.timeout,
            self._note,
            refuse_cut_prompts=settings.refuse_cut_prompts,
        )

    async def complete(
        self, messages: Sequence[Message], sampling: GenerationSettings, slot: int
    ) -> Completion:
        """One answer, after as many tries as the settings allow, or the record of its failure.

        Raises:
            UserError: the very first request shows that the service cannot be used as it was asked for.
            BudgetSpent: the next answer could cost more than is left.
            EngineUnusable: the service answers nothing any more.
        """
        assert self._pool is not None, "start comes first"
        assert self._sender is not None
        body = request_body(sampling, self._settings.extra, self._extended, self._service.served.owner)
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
            except CutPrompt as error:
                return self._failed(str(error), "cuts every prompt")
            else:
                self._failed_in_a_row = 0
                self._answered += 1
                return completion
        assert failure is not None, "the last server never leaves the pool"
        self._given_up += 1
        tries = f"{request.attempts} attempt{'s' if request.attempts > 1 else ''}"
        return self._failed(f"{failure} ({tries})", "answers nothing any more")

    async def stream(
        self, messages: Sequence[Message], sampling: GenerationSettings, heard: Heard
    ) -> Completion:
        """One answer of the servers in turn, at the first try: a wait between two tries would pass for one of
        the service's own.

        Raises:
            BudgetSpent: it could cost more than is left.
        """
        assert self._pool is not None, "start comes first"
        slot = next(self._turns) * self._settings.slots % self.slots
        replica = next(iter(self._pool.candidates(slot)))
        body = request_body(sampling, self._settings.extra, self._extended, self._service.served.owner)
        model, seconds = self._service.served.model, self._settings.timeout
        hangs_up = self._service.served.owner == _LLAMA_CPP
        async with self.budget.request(estimated_tokens(messages), sampling.max_tokens) as charge:
            try:
                found = await streamed_chat(
                    replica.client,
                    model,
                    messages,
                    body,
                    seconds,
                    heard,
                    until_loop=False,
                    timed=False,
                    hangs_up=hangs_up,
                )
            except (Transient, Refused, NoAccess) as error:
                if not isinstance(error, Transient) or not error.billed:
                    charge.nothing()
                return Completion(None, None, error=f"{ENGINE_ERROR}: {error}")
            charge.used(found.prompt_tokens, found.cached_tokens, found.completion_tokens)
        return found

    def server_command(self) -> list[str]:
        """Empty: how a service is served is its own business."""
        return []

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
            where, count = ", ".join(self._service.urls), self._failed_in_a_row
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
    model: ModelSettings,
    backend: Settings,
    max_tokens: int,  # noqa: ARG001 - the service has room or not
) -> None:
    """Whatever can be found wrong before any data is read: settings, key, address, model.

    Raises:
        UserError: as `open_engine`.
    """
    _opened(model, backend)


def open_engine(
    model: ModelSettings,
    backend: Settings,
    max_tokens: int,  # noqa: ARG001 - the service has room or not
    log: Path,
) -> Remote:
    """The engine for a service, after one request for its list of models.

    Raises:
        UserError: a setting is wrong, the service cannot be reached, refuses the key or lacks the model.
    """
    budget, service, key = _opened(model, backend)
    return Remote(backend, service, key, budget, log)


def _opened(model: ModelSettings, settings: Settings) -> tuple[Budget, Service, str | None]:
    budget = Budget(read_prices(settings.prices), settings.max_cost)
    urls, where = addresses(settings, model)
    key = read_key(settings, urls)
    names = [name for name in (model.source.hf if model.source else None, model.name) if name]
    # In a thread of its own, because the caller may have an event loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        service = thread.submit(asyncio.run, find(settings, urls, where, key, names)).result()
    return budget, service, key


_LLAMA_CPP = "llamacpp"
_EXTENDED_OWNERS = ("vllm", "sglang", _LLAMA_CPP)
_BYTES_PER_TOKEN = 3  # Chinese takes about that, English more: so the estimate is rather too large
_TOKENS_PER_MESSAGE = 8


def takes_extended(setting: bool | None, owner: str) -> bool:
    """Whether top_k, min_p and repetition_penalty are sent."""
    return setting if setting is not None else owner in _EXTENDED_OWNERS


def request_body(
    sampling: GenerationSettings, extra: Mapping[str, Any], extended: bool, owner: str
) -> dict[str, Any]:
    """The body, but for model and messages.

    Servers known to take them get the extended parameters with their neutral values too, because they have
    defaults of their own: vLLM and SGLang those of the checkpoint's generation_config.json, llama.cpp a
    top_k of 40 and a min_p of 0.05.

    Raises:
        UserError: the protocol wants something that this service is not sent.
    """
    body = parameters(sampling)
    given = {
        "top_k": sampling.top_k if sampling.top_k > 0 else None,
        "min_p": sampling.min_p if sampling.min_p > 0 else None,
        "repetition_penalty": sampling.repetition_penalty if sampling.repetition_penalty != 1 else None,
    }
    wanted = {name: value for name, value in given.items() if value is not None}
    if not extended and wanted.keys() - extra.keys():
        name = sorted(wanted.keys() - extra.keys())[0]
        raise UserError(
            f"protocol.{name}={wanted[name]}: not part of OpenAI's protocol: "
            "backend.send_extended=true sends it to a service that takes it"
        )
    if extended:
        known = owner in _EXTENDED_OWNERS
        body |= {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, **wanted} if known else wanted
    if extended and owner == _LLAMA_CPP:
        body["repeat_penalty"] = body.pop("repetition_penalty")
    merged = {**body, **extra}
    return {name: value for name, value in merged.items() if value is not None}


def estimated_tokens(messages: Sequence[Message]) -> int:
    """Tokens of a prompt whose tokenizer is not at hand."""
    return sum(len(m.content.encode()) // _BYTES_PER_TOKEN + _TOKENS_PER_MESSAGE for m in messages)


_FEWEST_WORDS = 100  # in a shorter prompt a template's own words and names count too much
_CUT = 0.7


def require_whole(messages: Sequence[Message], completion: Completion) -> None:
    """Raises CutPrompt if the service says that it read fewer tokens than the prompt has words.

    Ollama cuts prompts to its context (num_ctx) without a word, and its answer is to another question.
    """
    read, fewest = completion.prompt_tokens, fewest_tokens(messages)
    if read is not None and fewest >= _FEWEST_WORDS and read < _CUT * fewest:
        raise CutPrompt(
            f"the service read {read} tokens of a prompt of at least {fewest}: it cuts prompts: give it a "
            "larger context (Ollama: OLLAMA_CONTEXT_LENGTH), or backend.refuse_cut_prompts=false if it only "
            "counts what it had not cached"
        )


class CutPrompt(Exception):
    """The service answered to a part of the prompt. One line."""


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
        refuse_cut_prompts: see `require_whole`.

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
        *,
        refuse_cut_prompts: bool,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._refuse_cut_prompts = refuse_cut_prompts
        self._model = model
        self._pool = pool
        self._budget = budget
        self._patience = patience
        self._timeout = timeout
        self._note = note

    async def send(self, replica: Replica, request: Outgoing) -> Completion:
        """The answer of `replica`, after as many tries as patience allows and while it is in the pool.

        Raises:
            Transient: no try brought one. Refused, NoAccess: none ever will. CutPrompt: see `require_whole`.
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
        if self._refuse_cut_prompts:
            require_whole(request.messages, completion)
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
        # Other people's requests are on the same machine: its times say nothing of the model.
        return replace(completion, prefill_s=None, decode_s=None), headers
