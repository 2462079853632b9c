"""Asking the servers of a remote backend, before anything is generated, what they have."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from evalkit.backends.client import connect
from evalkit.backends.listing import Served, choose, list_models, unusable
from evalkit.backends.remote_settings import RemoteSettings, host_of, sent_key
from evalkit.backends.retry import Patience, Transient, retrying
from evalkit.backends.service import NoAccess, Refused, one_line
from evalkit.errors import UserError

_ATTEMPTS = 3  # whoever waits for a first sign of life waits for a wrong setting, as a rule
_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Found:
    """The model, the servers that are to serve it, and those of them that did not answer, with the reason."""

    served: Served
    urls: list[str]
    absent: dict[str, str]


async def find(
    settings: RemoteSettings, urls: Sequence[str], where: str, key: str | None, names: Sequence[str]
) -> Found:
    """Ask every server for its models. Some of several may be away; those that are there must agree.

    Args:
        where: the setting that the URLs come from, for messages.
        names: what the model's publisher calls it.

    Raises:
        UserError: none can be reached, one refuses or lacks the model, or they are not the same.
    """
    served: dict[str, Served] = {}
    absent: dict[str, str] = {}
    asked = await asyncio.gather(*(_ask(settings, url, key) for url in urls), return_exceptions=True)
    for url, told in zip(urls, asked, strict=True):
        if isinstance(told, Transient):
            absent[url] = str(told)
        elif isinstance(told, Refused | NoAccess):
            raise unusable(told, url, where, settings.api_key_env, key is not None) from told
        elif isinstance(told, BaseException):
            raise told
        else:
            served[url] = choose(told, settings.api_model, names, host_of(url))
    if not served:
        url, reason = next(iter(absent.items()))
        raise UserError(f"{url} cannot be reached ({reason}): check {where}")
    first_url, first = next(iter(served.items()))
    for url, other in served.items():
        if _what_matters(other) != _what_matters(first):
            raise UserError(
                f"backend.urls: {url} serves {_name(other)}, {first_url} serves {_name(first)}: "
                "a pool is several servers of one model"
            )
    if len(urls) > 1:  # the pool's identity must not depend on which of them is there today
        first = replace(first, facts=_without_root(first))
    return Found(first, list(urls), absent)


async def _ask(settings: RemoteSettings, url: str, key: str | None) -> list[dict[str, Any]] | None:
    patience = Patience(min(settings.attempts, _ATTEMPTS), _SECONDS, settings.backoff)
    tries = retrying(patience, 0.0, lambda: True, lambda _: None)
    async with connect(url, sent_key(key), min(settings.timeout, _SECONDS)) as client:
        return await tries(list_models, client, min(settings.timeout, _SECONDS))


def _what_matters(served: Served) -> dict[str, Any]:
    return {"id": served.model, **_without_root(served)}


def _without_root(served: Served) -> dict[str, Any]:
    """Where the weights lie may differ from machine to machine."""
    return {name: value for name, value in served.facts.items() if name != "root"}


def _name(served: Served) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in _without_root(served).items())
    return one_line(f"{served.model} ({facts})" if facts else served.model, None)
