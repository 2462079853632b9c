"""OpenAI's chat protocol over the `openai` package, for servers of our own and services of others.

A request and its answer come first, then what a failure means, then what a server says that it serves
(`/v1/models`). The other side may send anything: what is read here is bounded and checked.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import math
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from evalkit.schema import (
    CONTEXT_OVERFLOW,
    LENGTH,
    Completion,
    EngineUnusable,
    GenerationSettings,
    Message,
    UserError,
    nearest,
    valid_text,
)
from evalkit.text import mapping

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI


_LARGEST_BODY = 64 * 2**20  # bytes; the longest answers of today's models are under one
_LONGEST_REASON = 300
_LONGEST_ERROR = 4000  # characters of an error that are looked through


NO_KEY = "none"
"""What is sent as a key to servers that want none: the client must have one. It is no secret."""


def connect(base_url: str, key: str, timeout: float) -> AsyncOpenAI:
    """A client without retries of its own: whoever asks decides what a failure means.

    A server on this machine is never asked through a proxy, which would see prompts and the key, and could
    not reach it. Others are, as the environment says.

    Args:
        base_url: up to and including ``/v1``.
        timeout: seconds for one answer.

    Raises:
        UserError: the environment names a proxy that cannot be used.
    """
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    direct = is_loopback(urlsplit(base_url).hostname or "")
    try:
        http = DefaultAsyncHttpxClient(trust_env=not direct, timeout=timeout)
    except (ImportError, ValueError) as error:  # SOCKS without its package; a scheme that is none
        raise UserError(
            f"the proxy that the environment names (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY) cannot be used: "
            f"{one_line(error, None)}: unset it, or add {urlsplit(base_url).hostname} to NO_PROXY"
        ) from error
    return AsyncOpenAI(base_url=base_url, api_key=key, timeout=timeout, max_retries=0, http_client=http)


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost" or host.lower().endswith(".localhost")


def as_json(messages: Sequence[Message]) -> list[dict[str, str]]:
    """A chat as the protocol writes it."""
    return [{"role": m.role, "content": m.content} for m in messages]


_WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af]")  # Chinese, Japanese, Korean


def fewest_tokens(messages: Sequence[Message]) -> int:
    """Tokens that a prompt has at least, with any tokenizer: one for a word, or for four wide characters."""
    words = (word for message in messages for word in message.content.split())
    return sum(max(any(map(str.isalnum, word)), len(_WIDE.findall(word)) // 4) for word in words)


def parameters(sampling: GenerationSettings) -> dict[str, Any]:
    """The body of a chat request as far as every server understands it, without model and messages."""
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "seed": sampling.seed,
        **_response_format(sampling),
    }


def _response_format(sampling: GenerationSettings) -> dict[str, Any]:
    """The part of a request's body that holds the answer to the sampling's JSON schema, if it has one."""
    if sampling.json_schema is None:
        return {}
    schema = {"name": "answer", "strict": True, "schema": json.loads(sampling.json_schema)}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


async def chat(
    client: AsyncOpenAI,
    model: str,
    messages: Sequence[Message],
    body: Mapping[str, Any],
    timeout: float,
) -> tuple[Completion, Mapping[str, str]]:
    """One answer and the headers that came with it.

    Args:
        body: of the request, besides model and messages.
        timeout: seconds for the whole answer.

    Raises:
        Transient: no usable answer; another try may bring one.
        Refused: none ever will come.
        NoAccess: nor to any other request.
    """
    started = time.monotonic()
    headers: Mapping[str, str] = {}
    try:
        with request_failures(client, timeout):
            async with (
                asyncio.timeout(timeout),
                client.chat.completions.with_streaming_response.create(
                    model=model,
                    messages=as_json(messages),  # type: ignore[arg-type]
                    extra_body=dict(body),
                ) as response,
            ):
                headers, content = response.headers, await read_body(response.iter_bytes())
        return read_answer(content, time.monotonic() - started), headers
    except PromptTooLong:
        return too_long(started), headers
    except ErrorAnswer as error:
        if says_overflow(error.fields):
            return too_long(started), headers
        raise failure_of(error.status, error.fields, headers, client.api_key, billed=True) from error
    except BrokenAnswer as error:
        raise Transient(f"broken answer: {one_line(error, client.api_key)}", billed=True) from error


class PromptTooLong(Exception):
    """The prompt is longer than the model's context: an outcome of its own, and no failure."""


def too_long(started: float) -> Completion:
    """The completion of a prompt that is too long, asked at `started` on the monotonic clock."""
    return Completion(None, None, error=CONTEXT_OVERFLOW, latency_s=time.monotonic() - started)


@contextmanager
def request_failures(client: AsyncOpenAI, timeout: float) -> Iterator[None]:
    """Say what the failures of a request mean.

    Raises:
        PromptTooLong, Transient, Refused, NoAccess: as `chat`.
    """
    from openai import APIConnectionError, APIStatusError, APITimeoutError

    try:
        yield
    except (TimeoutError, APITimeoutError) as error:
        raise Transient(f"no answer within {timeout:g} s", billed=True) from error
    except APIConnectionError as error:
        raise broken_connection(error) from error
    except APIStatusError as error:
        if is_overflow(error):
            raise PromptTooLong from error
        raise failure(error, client.api_key) from error


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


class BrokenAnswer(Exception):
    """The bytes are not a chat answer; the message says how, in a few words."""


class ErrorAnswer(BrokenAnswer):
    """A failure that a gateway puts into the body of a success (HTTP 200).

    ``fields`` are its words, ``status`` is the HTTP status that it names, 502 if it names none.
    """

    def __init__(self, error: object) -> None:
        self.fields = error_fields(error)
        code = self.fields.get("code")
        self.status = code if isinstance(code, int) and 400 <= code < 600 else 502
        super().__init__(f"an error: {self.fields.get('message')}")


# What services call an answer that reached its limit of tokens, beside OpenAI's `length`.
_CUT_OFF = frozenset({"max_tokens", "model_length", "max_output_tokens", "max_length", LENGTH})


def read_answer(body: bytes, latency: float) -> Completion:
    """The completion in the body of a chat answer.

    Reasoning that comes in a field of its own (`reasoning_content`: DeepSeek, older vLLM; `reasoning`: vLLM,
    OpenRouter) or as a part of the content (`thinking`: Mistral) is put before the text between think tags,
    so that one text holds everything. A refusal in a field of its own (OpenAI) is the text.
    Usage that is no count of tokens is None, and so is 0 where there was something to count.
    llama.cpp's `timings` are its own figures in milliseconds.

    Raises:
        ErrorAnswer: it says what went wrong.
        BrokenAnswer: not JSON, or without a message.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BrokenAnswer("not JSON, or only a part") from error
    choice = _choice(answer)
    message, finish = choice.get("message"), choice.get("finish_reason")
    if not isinstance(message, Mapping):
        raise BrokenAnswer("a choice without a message")
    if not isinstance(finish, str | None):
        raise BrokenAnswer("a finish_reason that is no text")
    finish = LENGTH if finish is not None and finish.lower() in _CUT_OFF else finish
    reasoning, content = _texts(message)
    timings = mapping(answer.get("timings"))
    made = Completion(
        text=valid_text(joined(reasoning, content, finish)),
        finish_reason=valid_text(finish)[:40] if finish is not None else None,
        latency_s=latency,
        prefill_s=_seconds(timings.get("prompt_ms")),
        decode_s=_seconds(timings.get("predicted_ms")),
    )
    return with_usage(made, mapping(answer.get("usage")))


def with_usage(made: Completion, usage: Mapping[str, Any]) -> Completion:
    """With the tokens that a service counted: see `read_answer` on what is none."""
    prompt, completion = _count(usage.get("prompt_tokens")) or None, _count(usage.get("completion_tokens"))
    return replace(
        made,
        prompt_tokens=prompt,
        cached_tokens=_cached(usage, prompt),
        completion_tokens=completion or (None if made.text else completion),
    )


def _choice(answer: object) -> Mapping[str, Any]:
    """The first choice. Gateways say 200 and put what went wrong behind them into the body, or the choice."""
    if not isinstance(answer, Mapping):
        raise BrokenAnswer("JSON that is no chat answer")
    if answer.get("error"):
        raise ErrorAnswer(answer["error"])
    choices = answer.get("choices")
    if not (isinstance(choices, list) and choices and isinstance(choices[0], Mapping)):
        raise BrokenAnswer("an answer without choices")
    choice: Mapping[str, Any] = choices[0]
    if choice.get("error"):
        raise ErrorAnswer(choice["error"])
    if choice.get("finish_reason") == "error":
        raise ErrorAnswer("the service gave up in the middle of the answer")
    return choice


def _texts(message: Mapping[str, Any]) -> tuple[str, str]:
    """Reasoning and text of a message; raises BrokenAnswer if they are nothing that could be read."""
    content, reasoning = message.get("content"), own_reasoning(message)
    if isinstance(content, list):
        inner, content = _parts(content)
        reasoning = reasoning or inner
    if not isinstance(content, str | None):
        raise BrokenAnswer("a message that is not text")
    refusal = message.get("refusal")
    return reasoning, content or (refusal if isinstance(refusal, str) else "")


def own_reasoning(message: Mapping[str, Any]) -> str:
    """What a message, or a piece of one that is streamed, has of reasoning in a field of its own."""
    said = message.get("reasoning_content") or message.get("reasoning")
    return said if isinstance(said, str) else ""


def _parts(content: Sequence[object]) -> tuple[str, str]:
    """Reasoning and text of a message in parts: texts, or objects with a type."""
    reasoning: list[str] = []
    text: list[str] = []
    for part in content:
        if isinstance(part, str):
            text.append(part)
            continue
        fields = mapping(part)
        said = fields.get("thinking") or fields.get("text") or ""
        if isinstance(said, list):
            said = "".join(str(mapping(each).get("text") or "") for each in said)
        if not isinstance(said, str) or not fields:
            raise BrokenAnswer("a message in parts that are not text")
        (reasoning if fields.get("type") in ("thinking", "reasoning") else text).append(said)
    return "".join(reasoning), "".join(text)


def joined(reasoning: str, content: str, finish_reason: str | None) -> str:
    """Reasoning and text as one: `<think>…</think>` and the answer.

    Reasoning that was cut off before any answer stays unclosed, as it would have come in one piece.
    """
    if not reasoning.strip() or "<think>" in content or "</think>" in content:
        return content
    if not content.strip() and finish_reason == "length":
        return f"<think>\n{reasoning.strip()}"
    return f"<think>\n{reasoning.strip()}\n</think>\n{content}"


def _count(value: object) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value < 2**53 else None  # type: ignore[operator,return-value]


def _seconds(milliseconds: object) -> float | None:
    number = isinstance(milliseconds, int | float) and not isinstance(milliseconds, bool)
    return milliseconds / 1000 if number and 0 <= milliseconds < 2**53 else None  # type: ignore[operator]


def _cached(usage: Mapping[str, Any], prompt: int | None) -> int | None:
    """OpenAI and vLLM give details; DeepSeek also a field of its own."""
    found = _count(mapping(usage.get("prompt_tokens_details")).get("cached_tokens"))
    if found is None:
        found = _count(usage.get("prompt_cache_hit_tokens"))
    return found if found is None or prompt is None else min(found, prompt)


RETRIED = frozenset({408, 409, 425, 429, *range(500, 600)})
"""HTTP statuses that another try may change."""


class Transient(Exception):
    """No usable answer this time; another try may bring one. The message is one line without secrets.

    Args:
        wait: seconds that the service asked to wait.
        limited: the service is alive and wants fewer requests (429).
        billed: whether the service may have done the work all the same.
        headers: that came with the refusal.
    """

    def __init__(
        self,
        reason: str,
        *,
        wait: float | None = None,
        limited: bool = False,
        billed: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason)
        self.wait = wait
        self.limited = limited
        self.headers = headers or {}
        self.billed = billed


class Refused(Exception):
    """The service will not answer this request, however often it is asked. One line; `status` is HTTP's."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


class NoAccess(EngineUnusable):
    """The key is refused, or the account has no credit: no request will be answered."""


def failure(error: APIStatusError, key: str) -> Exception:
    """What an HTTP status other than success means."""
    fields = error_fields(error.body) if error.body else {"message": error.message}
    return failure_of(error.status_code, fields, error.response.headers, key)


def failure_of(
    status: int, fields: Mapping[str, Any], headers: Mapping[str, str], key: str, *, billed: bool = False
) -> Exception:
    """What a failure means.

    Args:
        status: HTTP's, or what the body says that it would have been.
        fields: see `error_fields`.
        billed: the service may have done the work.
    """
    said = one_line(fields.get("message") or "", key)
    reason = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    # 402: DeepSeek, OpenRouter. OpenAI says the same with a 429 that no waiting changes.
    if status == 402 or fields.get("code") == "insufficient_quota":
        return NoAccess(f"the account has no credit left ({reason})")
    if status == 401:
        return NoAccess(f"the key is refused ({reason})")
    if status in RETRIED:
        wait = asked_to_wait(headers)
        return Transient(reason, wait=wait, limited=status == 429, headers=headers, billed=billed)
    return Refused(reason, status)


def error_fields(body: object) -> Mapping[str, Any]:
    """`message` (a text), `code` and `type` of an error as services write it.

    An object of these (OpenAI, Azure, OpenRouter, vLLM), a text (Ollama, LM Studio), an object with
    `error` (what openai leaves of others, TGI), or with `detail` (FastAPI, Mistral).
    """
    inner = mapping(body).get("error")
    fields = inner if isinstance(inner, Mapping) else {"message": inner} if inner else body
    if not isinstance(fields, Mapping):
        return {"message": _said(fields)}
    message = fields.get("message") or fields.get("detail")
    return {**fields, "message": _said(mapping(message).get("detail") or message)}


def _said(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return json.dumps(value, default=str)
    except (ValueError, RecursionError):
        return "an error that is no text"


_OVERFLOW_STATUSES = (400, 413, 422, 500)
_OVERFLOW_CODES = ("exceed_context_size_error", "context_length_exceeded")
_OVERFLOW = re.compile(
    # OpenAI, vLLM, DeepSeek, Mistral, SGLang, OpenRouter, Fireworks.
    r"maximum context length|maximum model length|longer than the model's context length"
    # Ollama, LM Studio, llama-server, Anthropic.
    r"|exceeds? (?:the |max(?:imum)? |available |model'?s? )*context|greater than the context length"
    r"|context (?:the )?overflows|prompt is too long|input is too long"
    # TGI and Together (prompt and answer together), xAI, Gemini, Moonshot, Qwen.
    r"|`?inputs`? tokens \+ `?max_new_tokens`? must be|`?inputs`? must have less than"
    r"|maximum prompt length|input token count .{0,40}exceeds|exceeded model token limit"
    r"|range of input length should be",
    re.IGNORECASE,
)


def is_overflow(error: Any) -> bool:  # noqa: ANN401 - openai's APIStatusError
    """Whether the prompt is longer than the model's context."""
    fields = error_fields(error.body) if error.body else {"message": error.message}
    return error.status_code in _OVERFLOW_STATUSES and says_overflow(fields)


def says_overflow(fields: Mapping[str, Any]) -> bool:
    """Whether an error (see `error_fields`) says so: by its type (llama.cpp, OpenAI), else in its words."""
    named = any(fields.get(name) in _OVERFLOW_CODES for name in ("type", "code"))
    return named or _OVERFLOW.search(str(fields.get("message"))[:_LONGEST_ERROR]) is not None


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


def asked_to_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds from `retry-after-ms` or `Retry-After` (seconds or a date, RFC 9110 §10.2.3); None without.

    A date is taken against the service's own clock where it tells it.
    """
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * scale
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    until = _date(headers.get("retry-after"))
    if until is None:
        return None
    return max(0.0, (until - (_date(headers.get("date")) or datetime.now(UTC))).total_seconds())


def _date(text: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def one_line(text: object, secret: str | None) -> str:
    """What a service says, fit for a record: one printable line of bounded length, without the key."""
    shown = str(text)[: 4 * _LONGEST_REASON]
    if secret and secret != NO_KEY:
        shown = shown.replace(secret, "***")
    printable = "".join(sign if sign.isprintable() else " " for sign in shown)
    return " ".join(printable.split())[:_LONGEST_REASON]


_SHOWN = 8  # models in a message
_FACTS = ("owned_by", "root", "max_model_len", "quantization")
_META_FACTS = ("n_params", "size")  # llama.cpp: what tells its quantizations apart


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One model as a service lists it.

    ``facts`` are those that stay the same from one asking to the next. ``created`` is not among them: vLLM,
    SGLang and llama.cpp state the time of asking.
    """

    model: str
    facts: dict[str, Any] = field(default_factory=dict)
    created: int | None = None

    @property
    def owner(self) -> str:
        return str(self.facts.get("owned_by") or "").lower()


async def list_models(client: AsyncOpenAI, timeout: float) -> list[dict[str, Any]] | None:
    """The entries of `/v1/models`; None if the service has no such path.

    Raises:
        Transient: no usable answer this time. Refused: another answer. NoAccess: the key is refused.
    """
    from openai import APIConnectionError, APIStatusError, APITimeoutError

    try:
        async with (
            asyncio.timeout(timeout),
            client.models.with_streaming_response.list() as response,
        ):
            body = await read_body(response.iter_bytes())
    except (TimeoutError, APITimeoutError) as error:
        raise Transient(f"no answer within {timeout:g} s") from error
    except APIConnectionError as error:
        raise broken_connection(error) from error
    except APIStatusError as error:
        if error.status_code in (404, 405, 501):
            return None
        raise failure(error, client.api_key) from error
    return _entries(body)


def _entries(body: bytes) -> list[dict[str, Any]]:
    try:
        listed = json.loads(body)
    except (ValueError, RecursionError) as error:
        # A page for people is no fault that passes; a part of JSON may be.
        if body.lstrip()[:1] in (b"{", b"["):
            raise Transient("broken answer: not JSON, or only a part") from error
        raise Refused("it answers with something else than JSON", 200) from error
    entries = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(entries, list):
        raise Refused("it answers with JSON that is no list of models", 200)
    return [e for e in entries if isinstance(e, dict) and isinstance(e.get("id"), str) and e["id"]]


def choose(
    entries: Sequence[Mapping[str, Any]] | None, wanted: str | None, names: Sequence[str], host: str
) -> ListedModel:
    """The model to ask for.

    Args:
        entries: of `/v1/models`; None where there is no such path.
        wanted: what the user calls it; None: the only one there is, or one of `names`.
        names: what the model's publisher calls it.

    Raises:
        UserError: it is not there, or it is not clear which.
    """
    known = {entry["id"]: entry for entry in entries or ()}
    if wanted and not known:
        return ListedModel(wanted)
    if wanted is None:
        ours = [name for name in names if name in known]
        if not ours and len(known) != 1:
            raise UserError(f"{host}: give backend.api_model=NAME, {listed(list(known), entries is None)}")
        wanted = ours[0] if ours else next(iter(known))
    if wanted not in known:
        hint = one_line(nearest(wanted, known), None)
        raise UserError(
            f"{host} has no model '{one_line(wanted, None)}'. {hint + ' ' if hint else ''}"
            f"Set backend.api_model, {listed(list(known), False)}"
        )
    return _served(known[wanted])


def listed(names: Sequence[str], no_list: bool) -> str:
    """The models that a service has, for a message; `no_list`: it does not say."""
    if not names:
        return "the service does not list its models" if no_list else "the service lists no model"
    shown = ", ".join(one_line(name, None)[:80] for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"it has {shown}{more}"


def _served(entry: Mapping[str, Any]) -> ListedModel:
    facts = {name: _plain(entry.get(name)) for name in _FACTS}
    meta = entry.get("meta")
    if isinstance(meta, dict):
        facts |= {name: _plain(meta.get(name)) for name in _META_FACTS}
    created = entry.get("created")
    return ListedModel(
        model=entry["id"],
        facts={name: value for name, value in facts.items() if value is not None},
        created=created if isinstance(created, int) else None,
    )


def _plain(value: object) -> str | int | float | None:
    if isinstance(value, str):
        return valid_text(value)[:300]
    return value if isinstance(value, int | float) and abs(value) < 2**63 else None


def unusable(error: Refused | NoAccess, url: str, where: str, key_name: str, has_key: bool) -> UserError:
    """One line for what is wrong with the request, and which setting to change."""
    if isinstance(error, NoAccess) or error.status == 403:
        if has_key:
            return UserError(f"{url}: {error}: check the key in {key_name}")
        return UserError(f"{url} wants a key: {key_name} is not set: export {key_name}=KEY")
    return UserError(f"{url} is no OpenAI-compatible service ({error}): check {where}")
