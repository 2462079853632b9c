"""The body of a chat request to a service: what of the sampling it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.backends.client import response_format
from evalkit.backends.engine import Sampling
from evalkit.errors import UserError
from evalkit.example import Message

_EXTENDED_OWNERS = ("vllm", "sglang", "llamacpp")
_BYTES_PER_TOKEN = 3  # Chinese takes about that, English more: so the estimate is rather too large
_TOKENS_PER_MESSAGE = 8


def takes_extended(setting: bool | None, owner: str) -> bool:
    """Whether top_k, min_p and repetition_penalty are sent."""
    return setting if setting is not None else owner in _EXTENDED_OWNERS


def parameters(sampling: Sampling, extra: Mapping[str, Any], extended: bool, owner: str) -> dict[str, Any]:
    """The body, but for model and messages.

    Servers known to take them get the extended parameters with their neutral values too, because they have
    defaults of their own: vLLM and SGLang those of the checkpoint's generation_config.json, llama.cpp a
    top_k of 40 and a min_p of 0.05.

    Raises:
        UserError: the protocol wants something that this service is not sent.
    """
    body: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "seed": sampling.seed,
        **response_format(sampling),
    }
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
    if extended and owner == "llamacpp":
        body["repeat_penalty"] = body.pop("repetition_penalty")
    merged = {**body, **extra}
    return {name: value for name, value in merged.items() if value is not None}


def estimated_tokens(messages: Sequence[Message]) -> int:
    """Tokens of a prompt whose tokenizer is not at hand."""
    return sum(len(m.content.encode()) // _BYTES_PER_TOKEN + _TOKENS_PER_MESSAGE for m in messages)
