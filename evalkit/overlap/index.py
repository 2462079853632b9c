"""The n-grams of a set of texts, and how much of each text is found in another one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.overlap.tokens import Hashes, Words, grams, short_lines

Ids = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class _Grams:
    """All n-grams of one length, sorted, each with the text that has it."""

    hashes: Hashes
    owners: Ids


class Index:
    """Texts by their n-grams; a text of fewer than n words is one gram of all its words.

    Memory is 16 bytes a gram: it depends on the indexed texts alone.
    """

    def __init__(self, texts: Sequence[Words], n: int) -> None:
        self._totals = np.zeros(len(texts), dtype=np.intp)
        by_length: dict[int, list[tuple[Hashes, int]]] = {}
        for number, text in enumerate(texts):
            length = min(n, len(text))
            if length:
                own = grams(text, length)
                self._totals[number] = len(own)
                by_length.setdefault(length, []).append((own, number))
        self._grams = {length: _joined(members) for length, members in by_length.items()}

    def lengths(self) -> list[int]:
        """The lengths of the indexed grams, in words, ascending."""
        return sorted(self._grams)

    def shares(self, text: Words, lengths: Iterable[int]) -> dict[int, float]:
        """By number of an indexed text: the share of its n-grams that `text` has, where it has any.

        Args:
            lengths: only the texts whose grams have one of these lengths.
        """
        found: dict[int, float] = {}
        for length in lengths:
            owners = _owners(self._grams[length], grams(text, length))
            numbers, counts = np.unique(owners, return_counts=True)
            found.update(zip(numbers.tolist(), (counts / self._totals[numbers]).tolist(), strict=True))
        return found

    def lines(self, text: Words, lengths: Iterable[int]) -> list[int]:
        """The indexed texts of one of these lengths that are a whole line of `text`, by their numbers.

        Args:
            lengths: in words, below the index's n.
        """
        return [
            int(number)
            for length in lengths
            for number in _owners(self._grams[length], short_lines(text, length))
        ]


def _joined(members: Sequence[tuple[Hashes, int]]) -> _Grams:
    hashes = np.concatenate([own for own, _ in members])
    owners = np.repeat([number for _, number in members], [len(own) for own, _ in members])
    order = np.argsort(hashes, kind="stable")
    return _Grams(hashes[order], owners[order])


def _owners(indexed: _Grams, found: Hashes) -> Ids:
    """The owners of every indexed gram that is among the distinct `found`."""
    first = np.searchsorted(indexed.hashes, found, side="left")
    counts = np.searchsorted(indexed.hashes, found, side="right") - first
    first, counts = first[counts > 0], counts[counts > 0]
    # Of each run of equal grams: its places, one after another.
    begins = np.cumsum(counts) - counts
    places: Ids = np.repeat(first - begins, counts) + np.arange(counts.sum())
    return np.take(indexed.owners, places)
