"""The settings of a remote backend, checked before anything is asked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evalkit.errors import UserError

_OPENAI = "https://api.openai.com/v1"
_NO_KEY = "none"  # the client wants one, servers without keys do not look
_NOT_EXTRA = ("model", "messages", "stream", "n")

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, strict=True)]


class RemoteSettings(BaseModel):
    """configs/backend/remote.yaml, where each is explained. Prices and max_cost are `Budget`'s to check."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    base_url: str | None
    urls: list[str]
    api_key_env: str
    api_model: str | None
    slots: Count
    timeout: Seconds
    attempts: Count
    patience: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    backoff: Seconds
    requests_per_minute: Count | None
    tokens_per_minute: Count | None
    prices: dict[str, Any]
    max_cost: Any
    send_extended: bool | None
    extra: dict[str, Any]
    states: dict[str, str | int | float | None]


def read_settings(backend: Mapping[str, Any]) -> RemoteSettings:
    """Raises UserError, naming the setting, if a value cannot be meant. Values are not repeated."""
    try:
        settings = RemoteSettings(**backend)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise UserError(f"backend.{name}: {first['msg'][:1].lower()}{first['msg'][1:]}") from error
    for name in _NOT_EXTRA:
        if name in settings.extra:
            raise UserError(f"backend.extra.{name}: evalkit decides that itself: leave it out")
    return settings


def addresses(settings: RemoteSettings, model: Mapping[str, Any]) -> tuple[list[str], str]:
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
    elif model.get("source"):  # published weights, which OpenAI does not serve
        name = model["source"].get("hf") or model["name"]
        raise UserError(
            f"{model['name']}: no service given: set OPENAI_BASE_URL (or backend.base_url) to one that hosts "
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
    """The name of the machine in `url`: ports change from start to start, and say nothing of the model."""
    return urlsplit(url).hostname or ""


def read_key(settings: RemoteSettings, urls: list[str]) -> str | None:
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
        raise UserError(f"{shown} is not set: export {'it' if shown != name else name + '=KEY'}")
    if not key.isascii() or not key.isprintable():
        raise UserError(f"the key in {name} has characters that no key has: copy it again")
    return key or None


def sent_key(key: str | None) -> str:
    """What the client sends as a key."""
    return key or _NO_KEY
