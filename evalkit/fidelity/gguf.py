"""GGUF files whose distributions can be had: the one that made a run, and those that are held against it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.fidelity.engine import LogProbs, Opening, Options, Prompt, Tokenized, require_library
from evalkit.fidelity.plan import (
    OTHER_TOKENIZER,
    check_context,
    distinct_prompts,
    other_vocabulary,
    require_maker,
    require_one_model,
    require_run_template,
)
from evalkit.run.info import Run
from evalkit.schema import UserError
from evalkit.text import mapping
from evalkit.weights.gguf import GGUFHeader, read_model, sha256_of_model, tokenizer_sha256, vocabulary_sha256


@dataclass(frozen=True, slots=True)
class ComparedFile:
    """A file that can be held against the reference. `notes`: what about it may mislead.

    `flash_attention`: as the reference's answers were generated; with it, logits depend on how much of a
    prompt was cached.
    """

    header: GGUFHeader
    sha256: str
    flash_attention: str = "off"
    notes: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """Its first part, if it has several."""
        return self.header.path

    @property
    def size_bytes(self) -> int:
        return self.header.file_size

    def open(self, opening: Opening, log: Path) -> LogProbs:
        options = Options(
            model=str(self.path),
            context=opening.context,
            threads=opening.threads,
            gpu_layers=opening.gpu_layers,
            flash_attention=self.flash_attention,
        )
        return LogProbs(self.header, options, log)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceFile(ComparedFile):
    """The file that answered, and the Jinja source of the chat template in force (`given`: not its own).

    `binary`: the llama-server that renders and tokenizes its prompts; None: the wheel's.
    """

    template: str
    given: bool
    binary: str | None = None

    @property
    def library(self) -> str:
        return require_library()

    @property
    def conditions(self) -> dict[str, object]:
        return {"flash_attention": self.flash_attention}

    def tokens_of(
        self, prompts: Sequence[Prompt], texts: Sequence[str], log: Path
    ) -> tuple[list[tuple[int, ...]], list[Tokenized]]:
        from evalkit.engines import llama_cpp

        backend = llama_cpp.Settings(
            kind="llama_cpp",
            slots=1,
            context=None,
            threads=1,
            gpu_layers=0,
            flash_attention="auto",
            mmap=True,
            binary=self.binary,
            port=None,
            timeout=600.0,
        )
        engine = llama_cpp.LlamaCpp(
            weights=self.path,
            sha256=self.sha256,
            provenance={},
            header=self.header,
            template=self.template,
            template_given=self.given,
            max_tokens=1,
            backend=backend,
            binary=llama_cpp.find_binary(self.binary),
            log=log,
        )
        known = distinct_prompts(prompts)
        found = asyncio.run(engine.tokenize(list(known.values()))) or []
        tokens = dict(zip(known, map(tuple, found), strict=True))
        with self._vocabulary(log) as model:
            return [tokens[prompt] for prompt in prompts], model.tokenize(texts)

    def pieces(self, tokens: Sequence[int], log: Path) -> list[str]:
        with self._vocabulary(log) as model:
            return model.pieces(tokens)

    def _vocabulary(self, log: Path) -> LogProbs:
        return LogProbs(self.header, Options(str(self.path), 0, 1), log)

    def compared(self, path: Path, longest: int, context: int | None) -> ComparedFile:
        header, notes = check_file(path, self, longest, context)
        digest = sha256_of_model(header.parts or (path,))
        return ComparedFile(header, digest, self.flash_attention, tuple(notes))


def reference_file(run: Run, given: Path | None, binary: str | None = None) -> ReferenceFile:
    """The file that made the run: `given`, or the one that the run's folder names.

    Args:
        binary: a llama-server to tokenize with; None: the run's, if it is still there.

    Raises:
        UserError: it cannot be had, is another file, or its chat template is not the run's.
    """
    from evalkit.engines.child import given_template, require_template
    from evalkit.run.folder import read_settings
    from evalkit.weights.fetch import resolve_weights

    template: str | None = None
    if (run.path / "config.yaml").exists():
        model = read_settings(run.path).model
        template = given_template(model)
        path = given or resolve_weights(model).path
    elif given is not None:
        path = given
    else:
        raise UserError(f"{run.path} is a record, without its file: give reference=FILE.gguf")
    header = read_model(path)
    digest = sha256_of_model(header.parts or (path,))
    require_maker(run, path, digest, "the file that", "FILE.gguf")
    source = require_template(template or header.chat_template, path.name)
    require_run_template(run, source, path.name, ": give the run's own folder")
    recorded = run.info.engine.flash_attention
    return ReferenceFile(
        header,
        digest,
        flash_attention=recorded if recorded in ("on", "auto") else "off",
        template=source,
        given=bool(template),
        binary=binary or _binary_of(run),
    )


def _binary_of(run: Run) -> str | None:
    """The llama-server that made the run, if it is still there: it renders prompts as it did."""
    path = mapping(run.info.raw.get("engine")).get("binary")
    return path if isinstance(path, str) and Path(path).is_file() else None


def check_file(
    path: Path, reference: ReferenceFile, longest: int, context: int | None
) -> tuple[GGUFHeader, list[str]]:
    """The header of a file that can be held against the reference, and what about it may mislead.

    Raises:
        UserError: no GGUF file, another architecture or vocabulary, or too small a context.
    """
    header = read_model(path)
    ours = reference.header
    require_one_model(path, ours.path, header.architecture, ours.architecture)
    if vocabulary_sha256(header) != vocabulary_sha256(ours):
        raise other_vocabulary(path, ours.path)
    check_context(path, header.n_ctx_train, longest, context)
    notes = []
    if tokenizer_sha256(header) != tokenizer_sha256(ours):
        notes.append(OTHER_TOKENIZER)
    if header.chat_template != ours.chat_template:
        notes.append("its chat template differs: deployed, it may see other prompts")
    return header, notes
