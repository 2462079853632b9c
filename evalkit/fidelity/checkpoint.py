"""Checkpoints whose distributions can be had from vLLM, by its `prompt_logprobs`.

vLLM names the likeliest tokens of each place and the one that stands there, and no others. Of the tokens that
are the reference's likeliest, those that are not among a checkpoint's own likeliest are therefore taken
together with all others, on both sides; that keeps the divergence a lower bound.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.config.settings import ModelSettings
from evalkit.engines import vllm
from evalkit.engines.child import SERVED_NAME, Launch, given_template, require_template
from evalkit.engines.process import free_port
from evalkit.engines.tokenizer import ask_tokenizer
from evalkit.fidelity.engine import Computed, Forced, Opening, Prompt, Rows, Tokenized
from evalkit.fidelity.plan import (
    OTHER_TOKENIZER,
    check_context,
    distinct_prompts,
    other_vocabulary,
    require_maker,
    require_one_model,
    require_run_template,
)
from evalkit.files import read_json
from evalkit.run.info import Run
from evalkit.schema import EngineUnusable, Message, UserError
from evalkit.text import mapping
from evalkit.weights.fetch import (
    Checkpoint,
    chat_template,
    geometry_of,
    read_config,
    resolve_checkpoint,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BEYOND = 2
"""Tokens of context beside what is fed: the last one that is predicted, and one that vLLM has to write."""

_SEQUENCES = 2  # of full length, that the KV cache on a CPU has room for; one is computed at a time
_LARGEST_TOKENIZER = 256 << 20  # bytes of tokenizer.json; those of today have 2 to 35 million


@dataclass(frozen=True, slots=True)
class ComparedCheckpoint:
    """A checkpoint that can be held against the reference. `notes`: what about it may mislead.

    `backend`: as the reference was served. `ends`: the tokens that end an answer.
    """

    checkpoint: Checkpoint
    backend: vllm.Settings
    installation: vllm.Installation
    ends: tuple[int, ...]
    notes: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        return self.checkpoint.folder

    @property
    def sha256(self) -> str:
        return self.checkpoint.sha256

    @property
    def size_bytes(self) -> int:
        return self.checkpoint.weights_bytes

    def open(self, opening: Opening, log: Path) -> PromptLogProbs:
        return PromptLogProbs(self, opening, log)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceCheckpoint(ComparedCheckpoint):
    """The checkpoint that answered. `template`: a chat template that was given in place of its own."""

    template: str | None = None

    @property
    def library(self) -> str:
        return f"{self.installation.package} {self.installation.version}"

    @property
    def conditions(self) -> dict[str, object]:
        return {"dtype": self.backend.dtype, "quantization": self.backend.quantization}

    def tokens_of(
        self,
        prompts: Sequence[Prompt],
        texts: Sequence[str],
        log: Path,  # noqa: ARG002 - the tokenizer says nothing
    ) -> tuple[list[tuple[int, ...]], list[Tokenized]]:
        known = distinct_prompts(prompts)
        found = self._tokenizer(chats=list(known.values()), texts=texts)
        tokens = dict(zip(known, map(tuple, found["tokens"]), strict=True))
        return [tokens[prompt] for prompt in prompts], [
            _tokenized(text, each) for text, each in zip(texts, found["texts"], strict=True)
        ]

    def pieces(self, tokens: Sequence[int], log: Path) -> list[str]:  # noqa: ARG002
        found = self._tokenizer(shown=sorted(set(tokens)))["pieces"]
        return ["" if token in self.ends else str(found[str(token)]) for token in tokens]

    def _tokenizer(
        self,
        chats: Sequence[Sequence[Message]] = (),
        texts: Sequence[str] = (),
        shown: Sequence[int] = (),
    ) -> Mapping[str, Any]:
        python = _python(self.installation)
        found = ask_tokenizer(python, self.path, chats, texts=texts, shown=shown, template=self.template)
        return _readable(found, self.path)

    def compared(self, path: Path, longest: int, context: int | None) -> ComparedCheckpoint:
        if path.suffix == ".gguf":
            raise UserError(
                f"{path.name} is a GGUF file, and the run is of a checkpoint under vLLM: give a checkpoint's "
                "folder, or a run of a GGUF file"
            )
        checkpoint = resolve_checkpoint(ModelSettings(name="checkpoint", title=path.name, path=str(path)))
        ours, theirs = read_config(self.path), read_config(checkpoint.folder)
        require_one_model(path, self.path, _architecture(theirs), _architecture(ours))
        notes = _tokenizer_notes(self.checkpoint, checkpoint)
        geometry = geometry_of(theirs)
        trained = geometry.context if geometry else None
        check_context(path, trained, longest, context, _BEYOND)
        return ComparedCheckpoint(checkpoint, self.backend, self.installation, self.ends, notes)


def reference_checkpoint(run: Run, given: Path | None) -> ReferenceCheckpoint:
    """The checkpoint that made the run: `given`, or the one that the run's folder names.

    Raises:
        UserError: it cannot be had, is another one, or there is no vLLM.
    """
    from evalkit.run.folder import read_settings

    if not (run.path / "config.yaml").exists():
        raise UserError(
            f"{run.path} is a record: a checkpoint is measured as its run served it: give the run's folder"
        )
    settings = read_settings(run.path)
    assert isinstance(settings.backend, vllm.Settings), "check_reference has seen to it"
    model = settings.model.model_copy(update={"path": str(given)} if given else {})
    installation = vllm.preflight(model, settings.backend, settings.max_tokens)
    checkpoint = resolve_checkpoint(model)
    require_maker(run, checkpoint.folder, checkpoint.sha256, "what", "FOLDER")
    template = given_template(model)
    source = require_template(template or chat_template(checkpoint.folder), model.name)
    require_run_template(run, source, checkpoint.folder.name)
    ends = _ends(installation, checkpoint.folder)
    return ReferenceCheckpoint(checkpoint, settings.backend, installation, ends, template=template)


def _python(installation: vllm.Installation) -> Path:
    if installation.python is None:
        raise UserError(f"{installation.executable}: no Python beside it: give backend.executable")
    return installation.python


def _readable(found: Mapping[str, Any] | None, folder: Path) -> Mapping[str, Any]:
    if found is None:
        raise UserError(f"{folder}: transformers, in vLLM's environment, cannot read its tokenizer")
    return found


def _ends(installation: vllm.Installation, folder: Path) -> tuple[int, ...]:
    """What may end an answer: the tokenizer's end of text first, then what the generation config adds."""
    found = mapping(read_json(folder / "generation_config.json")).get("eos_token_id")
    stated = found if isinstance(found, list) else [found]
    tokenizer = _readable(ask_tokenizer(_python(installation), folder), folder)
    known = [tokenizer["eos"], *stated]
    ends = tuple(dict.fromkeys(token for token in known if isinstance(token, int)))
    if not ends:
        raise UserError(f"{folder}: its tokenizer knows no token that ends a text")
    return ends


def _architecture(config: Mapping[str, Any]) -> str | None:
    named = config.get("architectures")
    return ", ".join(map(str, named)) if isinstance(named, list) else None


def _tokenizer_notes(ours: Checkpoint, theirs: Checkpoint) -> tuple[str, ...]:
    """What is said of a tokenizer that is not the same file. Raises UserError for another vocabulary."""
    name = "tokenizer.json"
    if ours.files.get(name) == theirs.files.get(name):
        return ()
    if _vocabulary(ours.folder / name) != _vocabulary(theirs.folder / name):
        raise other_vocabulary(theirs.folder, ours.folder)
    return (OTHER_TOKENIZER,)


def _vocabulary(file: Path) -> Mapping[str, Any] | None:
    """Token by token; None where there is none to read."""
    try:
        if file.stat().st_size > _LARGEST_TOKENIZER:
            return None
        content = json.loads(file.read_text(encoding="utf-8"))
        added = {each["content"]: each["id"] for each in content["added_tokens"]}
        return {"model": content["model"]["vocab"], "added": added}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _tokenized(text: str, found: Mapping[str, Any]) -> Tokenized:
    sizes = token_sizes(text, found["names"])
    tokens = tuple(found["tokens"])
    return Tokenized(tokens, sizes or (0,) * len(tokens), faithful=sizes is not None)


def token_sizes(text: str, names: Sequence[str]) -> tuple[int, ...] | None:
    """The bytes of `text` that each token stands for; None if the tokens do not give the text back.

    Args:
        names: as the vocabulary has them. In byte-level BPE (GPT-2, Qwen2) each character of a name is a
            byte; in SentencePiece's (Llama 2) `▁` is a blank and `<0x0A>` a byte.
    """
    whole = text.encode()
    for read in (_byte_level, _sentence_piece):
        pieces = [read(name) for name in names]
        if b"".join(pieces) == whole:
            return tuple(map(len, pieces))
    return None


def _byte_level(name: str) -> bytes:
    return b"".join(_BYTES.get(character, character.encode()) for character in name)


def _sentence_piece(name: str) -> bytes:
    if len(name) == 6 and name.startswith("<0x") and name.endswith(">"):
        try:
            return bytes.fromhex(name[3:5])
        except ValueError:
            pass
    return name.replace("▁", " ").encode()


def _byte_characters() -> dict[str, bytes]:
    """Byte by character, as GPT-2 writes bytes: printable ones as they are, the others from U+0100 on."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(0x100) if byte not in shown]
    found = {chr(byte): bytes([byte]) for byte in shown}
    return found | {chr(0x100 + number): bytes([byte]) for number, byte in enumerate(hidden)}


_BYTES = _byte_characters()


class PromptLogProbs:
    """A checkpoint behind a vLLM of its own, which is asked one answer at a time.

    Raises:
        UserError: vLLM cannot serve it.
        EngineUnusable: it was killed.
    """

    def __init__(self, model: ComparedCheckpoint, opening: Opening, log: Path) -> None:
        self.name = model.path.name
        self.ends = list(model.ends)
        self._top = opening.top
        self._loop = asyncio.Runner()
        self._server = vllm.child_server(model.backend, log)
        try:
            self._loop.run(self._server.start(_launch(model, opening, self._server.key)))
        except BaseException:
            self._loop.close()
            raise

    def top(self, forced: Forced, count: int) -> Computed:
        """The `count` likeliest tokens of every row."""
        places, seconds = self._places(forced)
        ids = np.array([_likeliest(place)[:count] for place in places], dtype=np.int32)
        return self._computed(forced, places, ids, seconds)

    def at(self, forced: Forced, ids: NDArray[np.int32]) -> Computed:
        """The probabilities of the tokens `ids`, (n, k), of the rows; NaN where vLLM did not name one."""
        places, seconds = self._places(forced)
        return self._computed(forced, places, ids, seconds)

    def _computed(
        self, forced: Forced, places: Sequence[_Place], ids: NDArray[np.int32], seconds: float
    ) -> Computed:
        logp = np.array(
            [
                [place.get(token, (np.nan, 0))[0] for token in row]
                for place, row in zip(places, ids.tolist(), strict=True)
            ],
            dtype=np.float32,
        )
        targets = np.array([*forced.tokens[forced.start + 1 :], self._last(forced, places[-1])])
        rest = 1.0 - np.nansum(np.exp(logp.astype(np.float64)), axis=1)
        rows = Rows(
            ids=ids,
            logp=logp,
            rest=np.clip(rest, 0.0, 1.0),
            best=np.array([_likeliest(place)[0] for place in places], dtype=np.int32),
            targets=targets.astype(np.int32),
            taken=np.array(
                [place[token][0] for place, token in zip(places, targets.tolist(), strict=True)],
                dtype=np.float64,
            ),
        )
        return Computed(rows, len(forced.tokens), 0, seconds)

    @staticmethod
    def _last(forced: Forced, place: _Place) -> int:
        """The likeliest of what may come last, of those that are named."""
        return max((token for token in forced.last if token in place), key=lambda token: place[token][0])

    def _places(self, forced: Forced) -> tuple[list[_Place], float]:
        """What vLLM says of every row, and the seconds it took."""
        body = {
            "model": SERVED_NAME,
            "prompt": [*forced.tokens, forced.last[0]],
            "max_tokens": 1,
            "temperature": 0.0,
            "prompt_logprobs": self._top,
        }
        started = time.monotonic()
        answer = self._loop.run(self._server.post("/v1/completions", body))
        seconds = time.monotonic() - started
        try:
            said = answer["choices"][0]["prompt_logprobs"][forced.start + 1 :]
            places: list[_Place] = [
                {int(token): (float(each["logprob"]), int(each["rank"])) for token, each in place.items()}
                for place in said
            ]
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise EngineUnusable(f"{self.name}: vLLM gave no prompt_logprobs") from error
        if len(places) != len(forced.tokens) - forced.start or any(len(p) < self._top for p in places):
            raise EngineUnusable(f"{self.name}: vLLM answered something else than it was asked")
        return places, seconds

    def __enter__(self) -> PromptLogProbs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run(self._server.stop())
        self._loop.close()


_Place = Mapping[int, tuple[float, int]]
"""Of the tokens that vLLM names at a place: log-probability, and rank from 1 on."""


def _likeliest(place: _Place) -> list[int]:
    return sorted(place, key=lambda token: place[token][1])


def _launch(model: ComparedCheckpoint, opening: Opening, key: str) -> Launch:
    backend, geometry = model.backend, geometry_of(read_config(model.path))
    context = opening.context + _BEYOND
    if geometry:
        context = min(context, geometry.context)
    port = free_port()
    more = [*backend.extra_args, "--max-logprobs", str(opening.top)]
    words = vllm.arguments(
        model.path,
        backend.model_copy(update={"max_num_seqs": 1, "extra_args": more}),
        max_model_len=context,
        kv_cache_bytes=vllm.kv_cache_bytes(backend, model.installation, geometry, context, _SEQUENCES),
        chat_template=None,
        port=port,
    )
    return vllm.launch(model.installation, backend, words, port, key)
