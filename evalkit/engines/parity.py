"""Does the server render a chat as the model's own tokenizer does?

Engines, converters and requantizers each carry the chat template along, and lose parts of it: a second BOS, a
`<think>` that the answer should begin with, a default system prompt. Each shifts scores without any error.
So, before a run, some of its prompts are compared token by token with what `transformers` makes of the
tokenizer's own files, where both are on this machine. Nothing is downloaded for it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.config.settings import BackendSettings, ModelSettings
from evalkit.engines import engine_python
from evalkit.engines.tokenizer import ask_tokenizer
from evalkit.schema import Message

_COMPARED = 6  # prompts: one of each sequence of roles
_SHOWN = 60  # characters of a difference
_HEAD = 8  # tokens: where a BOS or a system prompt begins


@dataclass(frozen=True, slots=True)
class Parity:
    """``findings``: what differs, once each, over ``compared`` prompts of which ``different`` do."""

    reference: str
    compared: int
    different: int
    findings: tuple[str, ...]

    @property
    def line(self) -> str | None:
        """One line for the user; None where nothing differs."""
        if not self.different:
            return None
        return (
            f"chat template: {self.different} of {self.compared} prompts differ from the tokenizer's own "
            f"({self.reference}): {'; '.join(self.findings)}"
        )

    def as_json(self) -> dict[str, Any]:
        """For run.json."""
        return {
            "reference": self.reference,
            "compared": self.compared,
            "different": self.different,
            "findings": list(self.findings),
        }


def difference(
    server: Sequence[int], reference: Sequence[int], pieces: Mapping[int, str], bos: int | None
) -> str | None:
    """How the server's tokens of a prompt differ from the tokenizer's, in words; None if they do not.

    Args:
        pieces: the text of each token id. bos: the tokenizer's id of its beginning-of-text token.
    """
    if list(server) == list(reference):
        return None
    if bos is not None:
        ours, theirs = _leading(server, bos), _leading(reference, bos)
        if ours != theirs:
            return f"the server begins with {ours} BOS, the tokenizer with {theirs}"
    start = _common(server, reference)
    rest = min(len(server), len(reference)) - start
    end = min(_common(server[::-1], reference[::-1]), rest)
    ours_text = _text(server[start : len(server) - end], pieces)
    theirs_text = _text(reference[start : len(reference) - end], pieces)
    for tag in ("<think>", "</think>"):
        if (tag in ours_text) != (tag in theirs_text):
            return f"only the {_which(tag in ours_text)} puts {tag} into the prompt"
    if start < _HEAD and ("system" in ours_text) != ("system" in theirs_text):
        has = "system" in ours_text
        return f"only the {_which(has)} adds a system prompt: {_quoted(ours_text if has else theirs_text)}"
    return f"from token {start} on, the server has {_quoted(ours_text)}, the tokenizer {_quoted(theirs_text)}"


def _which(server: bool) -> str:
    return "server" if server else "tokenizer"


def _leading(tokens: Sequence[int], token: int) -> int:
    return next((i for i, other in enumerate(tokens) if other != token), len(tokens))


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    limit = min(len(a), len(b))
    return next((i for i in range(limit) if a[i] != b[i]), limit)


def _text(tokens: Sequence[int], pieces: Mapping[int, str]) -> str:
    return "".join(pieces.get(token, f"<{token}>") for token in tokens)


def _quoted(text: str) -> str:
    if not text:
        return "nothing"
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def template_parity(
    model: ModelSettings,
    backend: BackendSettings,
    prompts: Sequence[Sequence[Message]],
    tokens: Sequence[Sequence[int]],
) -> Parity | None:
    """Compare what the server made of `prompts` with the tokenizer's own; None where there is nothing to ask.

    The tokenizer is `model.tokenizer` (a folder or a hub repository), else the checkpoint's; of a repository
    only what the hub's cache holds. `transformers` is ours or that of the engine's environment. Blocks for
    seconds.
    """
    folder, python = tokenizer_folder(model), _python(backend)
    if folder is None or python is None or not prompts:
        return None
    chosen = _one_of_each(prompts)
    server = [list(tokens[i]) for i in chosen]
    shown = sorted({number for each in server for number in each})
    found = ask_tokenizer(python, folder, [prompts[i] for i in chosen], shown=shown)
    if found is None:
        return None  # no tokenizer that transformers can read: then there is nothing to compare with
    pieces = {int(number): text for number, text in found["pieces"].items()}
    differences = [
        difference(ours, theirs, pieces, found["bos"])
        for ours, theirs in zip(server, found["tokens"], strict=True)
    ]
    said = [words for words in differences if words]
    reference = f"transformers {found['version']}"
    return Parity(reference, len(chosen), len(said), tuple(dict.fromkeys(said)))


def tokenizer_folder(model: ModelSettings) -> Path | None:
    """The folder of the model's tokenizer files on this machine, None if they are not here."""
    named = model.tokenizer or model.path
    if named:
        folder = Path(named).expanduser().absolute()
        if (folder / "tokenizer_config.json").is_file():
            return folder
    if model.tokenizer:
        return _cached(model.tokenizer, None)
    source = model.source
    if named or source is None or source.file or not source.hf:
        return None
    return _cached(source.hf, source.revision)


def _cached(repo: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(repo, "tokenizer_config.json", revision=revision)
    except HFValidationError:  # a path that does not exist is no repository either
        return None
    return Path(found).parent if isinstance(found, str) else None


def _python(backend: BackendSettings) -> Path | None:
    """A Python that has transformers: this one, or the engine's own."""
    if importlib.util.find_spec("transformers"):
        return Path(sys.executable)
    return engine_python(backend)


def _one_of_each(prompts: Sequence[Sequence[Message]]) -> list[int]:
    """The first prompt of each sequence of roles: what templates treat differently."""
    first: dict[tuple[str, ...], int] = {}
    for number, prompt in enumerate(prompts):
        first.setdefault(tuple(message.role for message in prompt), number)
    return list(first.values())[:_COMPARED]
