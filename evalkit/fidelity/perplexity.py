"""Perplexity of a text file under a GGUF file, by llama.cpp's own method, so that figures can be compared.

As `perplexity` in llama.cpp's tools/perplexity/perplexity.cpp: the text is cut into chunks of as many tokens
as the context holds, each computed by itself with the document's first token in its first place where the
model has one; the tokens of the second half of each chunk count, so that each has at least half a context
before it. What does not fill a chunk is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evalkit.fidelity.divergence import token_figures
from evalkit.fidelity.engine import Forced, LogProbs, Options, Rows
from evalkit.schema import UserError
from evalkit.text import file_size
from evalkit.weights.gguf import read_model

LARGEST_TEXT = 8 << 20
"""Bytes. The test split of WikiText-2 has 1.3 million."""


TOP = 64
"""How many of the reference's likeliest tokens of each place are compared; all others count as one."""


@dataclass(frozen=True, slots=True)
class PlainDivergence:
    """How far a file is from a reference on a plain text, over the tokens that count.

    `kl`: the mean of KL(reference ‖ file), nats per token, a lower bound (`evalkit.fidelity.divergence`);
    `error`: its standard error, tokens taken as independent, as llama.cpp's `--kl-divergence` has it;
    `agreement`: the share of tokens on which both have the same likeliest one.
    """

    kl: float
    error: float
    agreement: float


@dataclass(frozen=True, slots=True)
class Perplexity:
    """exp of the mean negative log-probability of `tokens` tokens in `chunks` chunks.

    `error` is llama.cpp's: the standard error of the mean over tokens, taken as independent, times the value.
    """

    value: float
    error: float
    tokens: int
    chunks: int
    context: int
    against: PlainDivergence | None = None


def read_text(path: Path) -> str:
    """A text file.

    Raises:
        UserError: it cannot be read, is no UTF-8, or is too large.
    """
    try:
        if path.stat().st_size > LARGEST_TEXT:
            raise UserError(f"{path} is larger than {file_size(LARGEST_TEXT)}: give a part of it")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as text in UTF-8") from error


@dataclass(frozen=True, slots=True)
class Chunks:
    """How a text is cut and computed. `context`: tokens of a chunk, llama.cpp's own default is 512; `most`
    chunks, None: all."""

    context: int = 512
    most: int | None = None
    threads: int = 1
    gpu_layers: int = -1


def reference_rows(path: Path, text: str, log: Path, how: Chunks) -> list[Rows]:
    """A reference's distributions of every chunk, some 130 kB each; arguments, errors as of `perplexity`."""
    return list(_rows(path, text, log, how, lambda model, forced, _: model.top(forced, TOP).rows))


def perplexity(
    path: Path, text: str, log: Path, how: Chunks, reference: Sequence[Rows] | None = None
) -> Perplexity:
    """The perplexity of a text.

    Args:
        log: where llama.cpp's output goes.
        reference: what `reference_rows` gives for the same text, cut alike; the file's tokens are compared
            with it.

    Raises:
        UserError: no GGUF file, the text has fewer tokens than two chunks, or other tokens than under the
            reference.
        EngineUnusable: llama.cpp was ended.
    """

    def ask(model: LogProbs, forced: Forced, number: int) -> Rows:
        if reference is None:
            return model.top(forced, 1).rows
        known = reference[number] if number < len(reference) else None
        if known is None or known.targets.tolist() != [*forced.tokens[forced.start + 1 :], *forced.last]:
            raise UserError(f"{path.name} makes other tokens of the text than the reference does")
        return model.at(forced, known.ids).rows

    rows = list(_rows(path, text, log, how, ask))
    losses = -np.concatenate([each.taken for each in rows])
    value = float(np.exp(losses.mean()))
    return Perplexity(
        value=value,
        error=value * _error(losses),
        tokens=len(losses),
        chunks=len(rows),
        context=how.context,
        against=None if reference is None else _against(reference, rows),
    )


def _rows(
    path: Path, text: str, log: Path, how: Chunks, ask: Callable[[LogProbs, Forced, int], Rows]
) -> Iterator[Rows]:
    context = how.context
    options = Options(str(path), context, how.threads, gpu_layers=how.gpu_layers)
    with LogProbs(read_model(path), options, log) as model:
        (tokenized,) = model.tokenize([text])
        begin = [] if model.bos is None else [model.bos]
        tokens = [*begin, *tokenized.tokens]
        if len(tokens) < 2 * context:
            raise UserError(
                f"the text has {len(tokens)} tokens, and two chunks of {context} take {2 * context}: give a "
                "longer text, or a smaller context"
            )
        for number in range(min(len(tokens) // context, how.most or len(tokens))):
            chunk = tokens[number * context : (number + 1) * context]
            chunk[: len(begin)] = begin
            yield ask(model, Forced(chunk[:-1], context // 2, chunk[-1:]), number)


def _against(reference: Sequence[Rows], rows: Sequence[Rows]) -> PlainDivergence:
    figures = [token_figures(one, other) for one, other in zip(reference, rows, strict=True)]
    kl = np.concatenate([each.kl for each in figures])
    agree = np.concatenate([each.agree for each in figures])
    return PlainDivergence(float(kl.mean()), _error(kl), float(agree.mean()))


def _error(values: NDArray[np.float64]) -> float:
    """The standard error of a mean of independent values: llama.cpp divides by n - 1 after its variance."""
    return float(values.std() / np.sqrt(len(values) - 1))
