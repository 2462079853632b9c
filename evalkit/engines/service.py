"""The service behind a remote backend: its settings, address and key, and what it says that it serves."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from evalkit.config.checks import Immaterial, Private, Seconds, Whole
from evalkit.config.settings import BackendSettings, ModelSettings
from evalkit.engines.client import (
    NO_KEY,
    ListedModel,
    NoAccess,
    Refused,
    Transient,
    choose,
    connect,
    list_models,
    listed,
    one_line,
    unusable,
)
from evalkit.engines.limits import Patience, PriceSettings, retrying
from evalkit.schema import UserError

_OPENAI = "https://api.openai.com/v1"
_NOT_EXTRA = ("model", "messages", "stream", "n")
_ATTEMPTS = 3  # whoever waits for a first sign of life waits for a wrong setting, as a rule
_SECONDS = 30.0


class Settings(BackendSettings):
    """configs/backend/remote.yaml, where each is explained."""

    is_service: ClassVar[bool] = True

    kind: Literal["remote"]
    base_url: Immaterial[Private[str | None]]  # what it serves is part of every generation's key
    urls: Immaterial[Private[list[str]]]
    api_key_env: Immaterial[Private[str]]
    api_model: str | None
    slots: Whole
    timeout: Immaterial[Seconds]
    attempts: Immaterial[Whole]
    patience: Immaterial[Annotated[float, Field(ge=0, allow_inf_nan=False)]]
    backoff: Immaterial[Seconds]
    requests_per_minute: Immaterial[Whole | None]
    tokens_per_minute: Immaterial[Whole | None]
    prices: Immaterial[PriceSettings]
    max_cost: Immaterial[Annotated[float, Field(gt=0, allow_inf_nan=False)] | None]
    send_extended: bool | None
    extra: Private[dict[str, Any]]
    states: dict[str, str | int | float | None]
    refuse_cut_prompts: Immaterial[bool] = True

    def for_worker(self, cpus: float) -> Settings:  # noqa: ARG002 - the work is done elsewhere
        if self.max_cost is not None:
            raise UserError(
                "backend.max_cost: each worker on Ray would have a ceiling of its own: use executor=local, "
                "which sends as many requests at once as backend.slots says"
            )
        return self

    @model_validator(mode="after")
    def _not_ours(self) -> Settings:
        for name in _NOT_EXTRA:
            if name in self.extra:
                raise ValueError(f"backend.extra.{name}: evalkit decides that itself: leave it out")
        return self


def addresses(settings: Settings, model: ModelSettings) -> tuple[list[str], str]:
    """The URLs of the pool, and the setting that they come from.

    Raises:
        UserError: there is none, or one that must not be written down.
    """
    if settings.urls and settings.base_url:
        raise UserError("backend.urls and backend.base_url exclude each other: give one of them")
    if settings.urls:
        urls, where = settings.urls, "backend.urls"
    elif settings.base_url:
        urls, where = [settings.base_url], "backend.base_url"
    elif os.environ.get("OPENAI_BASE_URL"):
        urls, where = [os.environ["OPENAI_BASE_URL"]], "OPENAI_BASE_URL"
    elif model.source:  # published weights, which OpenAI does not serve
        name = model.source.hf or model.name
        raise UserError(
            f"{model.name}: no service given: set OPENAI_BASE_URL (or backend.base_url) to one that hosts "
            f"{name}, and its key in {settings.api_key_env}"
        )
    else:
        urls, where = [_OPENAI], "backend.base_url"
    urls = [_checked(url, where) for url in urls]
    if len(set(urls)) < len(urls):
        raise UserError("backend.urls: the same server twice")
    return urls, where


def _checked(url: str, where: str) -> str:
    parts = urlsplit(url.strip())
    try:
        well_formed = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        well_formed = False
    if not well_formed:
        raise UserError(f"{where}: must be a URL like https://HOST/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UserError(
            f"{where}: leave user, password and what follows a ? out of the URL, they would end up in "
            "records: the key belongs into the environment (backend.api_key_env)"
        )
    return parts.geturl().rstrip("/")


def host_of(url: str) -> str:
    """The name of the machine in `url`."""
    return urlsplit(url).hostname or ""


def place_of(url: str) -> str:
    """The service in `url`: its machine, and port and path where they are not the usual ones.

    Gateways have the deployment in the path, and servers of one machine differ by their ports. User,
    password and query are no part of it.
    """
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    port = f":{parts.port}" if parts.port not in (None, usual) else ""
    path = parts.path.rstrip("/")
    return host_of(url) + port + (path if path != "/v1" else "")


def read_key(settings: Settings, urls: list[str]) -> str | None:
    """The key from the environment; None if there is none.

    Raises:
        UserError: another variable than the usual one was named and is not set, or OpenAI's own service is
            to be asked without a key.
    """
    name = settings.api_key_env
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", name):
        raise UserError("backend.api_key_env: must be the name of an environment variable, not a key")
    key = os.environ.get(name, "").strip()
    if not key and (name != "OPENAI_API_KEY" or _OPENAI in urls):
        # A name that was not asked for by us could be a key by mistake, so it is not repeated.
        shown = name if name == "OPENAI_API_KEY" else "the variable that backend.api_key_env names"
        export = "it" if shown != name else f"{name}=KEY"
        own = "" if shown != name else ", or name a server of your own: evalkit run http://localhost:11434/v1"
        raise UserError(f"{shown} is not set: export {export}{own}")
    if not key.isascii() or not key.isprintable():
        raise UserError(f"the key in {name} has characters that no key has: copy it again")
    return key or None


def sent_key(key: str | None) -> str:
    """What the client sends as a key."""
    return key or NO_KEY


@dataclass(frozen=True, slots=True)
class Service:
    """The model, the servers that are to serve it, and those of them that did not answer, with the reason."""

    served: ListedModel
    urls: list[str]
    absent: dict[str, str]


async def find(
    settings: Settings, urls: Sequence[str], where: str, key: str | None, names: Sequence[str]
) -> Service:
    """Ask every server for its models. Some of several may be away; those that are there must agree.

    Args:
        where: the setting that the URLs come from, for messages.
        names: what the model's publisher calls it.

    Raises:
        UserError: none can be reached, one refuses or lacks the model, or they are not the same.
    """
    served: dict[str, ListedModel] = {}
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
    return Service(first, list(urls), absent)


def only_model(settings: BackendSettings) -> str:
    """What a service calls its model.

    Raises:
        UserError: it cannot be reached, refuses the key, or has not exactly one model.
    """
    if not isinstance(settings, Settings) or not settings.base_url:
        raise UserError("give the service's URL: http://HOST:PORT/v1")
    url = _checked(settings.base_url, "the URL")
    key = read_key(settings, [url])
    with ThreadPoolExecutor(1) as thread:  # the caller may have an event loop running in its own
        try:
            told = thread.submit(asyncio.run, _ask(settings, url, key)).result()
        except Transient as error:
            raise UserError(
                f"{url} cannot be reached ({error}): is the server running, and this its URL?"
            ) from error
        except (Refused, NoAccess) as error:
            raise unusable(error, url, "the URL", settings.api_key_env, key is not None) from error
    found = [str(entry["id"]) for entry in told or ()]
    if len(found) != 1:
        raise UserError(f"{url}: say which model, name=NAME: {listed(found, told is None)}")
    return found[0]


async def _ask(settings: Settings, url: str, key: str | None) -> list[dict[str, Any]] | None:
    patience = Patience(min(settings.attempts, _ATTEMPTS), _SECONDS, settings.backoff)
    tries = retrying(patience, 0.0, lambda: True, lambda _: None)
    async with connect(url, sent_key(key), min(settings.timeout, _SECONDS)) as client:
        return await tries(list_models, client, min(settings.timeout, _SECONDS))


def _what_matters(served: ListedModel) -> dict[str, Any]:
    return {"id": served.model, **_without_root(served)}


def _without_root(served: ListedModel) -> dict[str, Any]:
    """Where the weights lie may differ from machine to machine."""
    return {name: value for name, value in served.facts.items() if name != "root"}


def _name(served: ListedModel) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in _without_root(served).items())
    return one_line(f"{served.model} ({facts})" if facts else served.model, None)
