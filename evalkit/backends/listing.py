"""What a service says it serves (`/v1/models`), asked before anything is generated."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evalkit.backends.engine import valid_text
from evalkit.backends.retry import Transient
from evalkit.backends.service import (
    NoAccess,
    Refused,
    broken_connection,
    failure,
    one_line,
    read_body,
)
from evalkit.errors import UserError, nearest

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_SHOWN = 8  # models in a message
_FACTS = ("owned_by", "root", "max_model_len", "quantization")
_META_FACTS = ("n_params", "size")  # llama.cpp: what tells its quantizations apart


@dataclass(frozen=True, slots=True)
class Served:
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
) -> Served:
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
        return Served(wanted)
    if wanted is None:
        ours = [name for name in names if name in known]
        if not ours and len(known) != 1:
            raise UserError(f"{host}: give backend.api_model=NAME, {_listed(list(known), entries is None)}")
        wanted = ours[0] if ours else next(iter(known))
    if wanted not in known:
        hint = one_line(nearest(wanted, known), None)
        raise UserError(
            f"{host} has no model '{one_line(wanted, None)}'. {hint + ' ' if hint else ''}"
            f"Set backend.api_model, {_listed(list(known), False)}"
        )
    return _served(known[wanted])


def _listed(names: Sequence[str], no_list: bool) -> str:
    if not names:
        return "the service does not list its models" if no_list else "the service lists no model"
    shown = ", ".join(one_line(name, None)[:80] for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"it has {shown}{more}"


def _served(entry: Mapping[str, Any]) -> Served:
    facts = {name: _plain(entry.get(name)) for name in _FACTS}
    meta = entry.get("meta")
    if isinstance(meta, dict):
        facts |= {name: _plain(meta.get(name)) for name in _META_FACTS}
    created = entry.get("created")
    return Served(
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
