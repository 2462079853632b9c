"""Answers of the reference with the places marked at which a file would have gone on otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evalkit.fidelity.classes import byte_places
from evalkit.fidelity.plan import ForcedAnswer

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST = 1_500
"""Characters of an answer that are kept."""

LEAST = 0.05
"""Nats from which on a token is marked although both would go on alike."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The token at characters `start` to `end` of the answer, with its divergence in nats.

    `instead`: what the file would have said; None where it would have said the same. At the end of an answer
    that the reference ended there are no characters: there `instead` is how the file would have gone on.
    """

    start: int
    end: int
    kl: float
    instead: str | None


@dataclass(frozen=True, slots=True)
class Trace:
    """An answer of the reference and where a file is away from it.

    `text` is its beginning, up to a length; `whole`: that is all of it. Marks are in the order of the text
    and do not overlap.
    """

    benchmark: str
    id: str
    turn: int | None
    sample: int
    text: str
    whole: bool
    marks: tuple[Mark, ...]


def trace(
    answer: ForcedAnswer,
    kl: NDArray[np.float32],
    leaves: NDArray[np.bool_],
    instead: Sequence[str],
    longest: int = LONGEST,
) -> Trace:
    """An answer with its marks.

    Args:
        kl: (n,) of each predicted token.
        leaves: (n,) whether the file's likeliest token is another one.
        instead: (n,) that token's text.
    """
    places = byte_places(answer.text)
    ends = np.cumsum(np.asarray(answer.sizes, dtype=np.int64))
    text = answer.text[:longest]
    marks: list[Mark] = []
    at = 0
    for number in np.nonzero(leaves | (kl >= LEAST))[0].tolist():
        if number < len(answer.answer):
            low, high = ends[number] - answer.sizes[number], ends[number]
            start = max(at, int(np.searchsorted(places, low, side="right")) - 1)
            end = int(np.searchsorted(places, high, side="left"))
            if end > len(text):
                break
            if end <= start:  # of a character that an earlier token has marked
                continue
        elif len(text) == len(answer.text):
            start = end = len(text)
        else:
            break
        said = instead[number] if leaves[number] else None
        marks.append(Mark(start, end, round(float(kl[number]), 4), said))
        at = end
    benchmark, id_, turn, sample = answer.name
    return Trace(benchmark, id_, turn, sample, text, len(text) == len(answer.text), tuple(marks))
