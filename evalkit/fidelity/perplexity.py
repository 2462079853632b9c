"""Perplexity of a text file under a GGUF file, by llama.cpp's own method, so that figures can be compared.

As `perplexity` in llama.cpp's tools/perplexity/perplexity.cpp: the text is cut into chunks of as many tokens
as the context holds, each computed by itself with the document's first token in its first place where the
model has one; the tokens of the second half of each chunk count, so that each has at least half a context
before it. What does not fill a chunk is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evalkit.fidelity.engine import Forced, LogProbs, Options
from evalkit.schema import UserError
from evalkit.text import file_size
from evalkit.weights.gguf import read_model

LARGEST_TEXT = 8 << 20
"""Bytes. The test split of WikiText-2 has 1.3 million."""


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


def perplexity(
    path: Path,
    text: str,
    log: Path,
    *,
    context: int = 512,
    chunks: int | None = None,
    threads: int = 1,
    gpu_layers: int = -1,
    say: Callable[[str], None] = lambda _: None,
) -> Perplexity:
    """The perplexity of a text.

    Args:
        log: where llama.cpp's output goes.
        context: tokens of a chunk; llama.cpp's own default is 512.
        chunks: at most; None: all.

    Raises:
        UserError: no GGUF file, or the text has fewer tokens than two chunks.
        EngineUnusable: llama.cpp was ended.
    """
    header = read_model(path)
    options = Options(str(path), context, threads, gpu_layers=gpu_layers)
    with LogProbs(header, options, log) as model:
        (tokenized,) = model.tokenize([text])
        begin = [] if model.bos is None else [model.bos]
        tokens = [*begin, *tokenized.tokens]
        if len(tokens) < 2 * context:
            raise UserError(
                f"the text has {len(tokens)} tokens, and two chunks of {context} take {2 * context}: give a "
                "longer text, or a smaller context"
            )
        count = min(len(tokens) // context, chunks or len(tokens))
        taken: list[float] = []
        for number in range(count):
            chunk = tokens[number * context : (number + 1) * context]
            chunk[: len(begin)] = begin
            forced = Forced(chunk[:-1], context // 2, chunk[-1:])
            taken += model.top(forced, 1).rows.taken.tolist()
            say(f"{path.name}: {number + 1}/{count}")
    mean = -math.fsum(taken) / len(taken)
    spread = math.fsum(value * value for value in taken) / len(taken) - mean * mean
    value = math.exp(mean)
    error = value * math.sqrt(max(0.0, spread) / (len(taken) - 1))
    return Perplexity(value, error, len(taken), count, context)
