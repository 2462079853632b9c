"""Text as words and their n-grams, as hashes: what overlap is counted in.

Punctuation, case and white space do not count (Brown et al. 2020, arXiv 2005.14165, appendix C). Chinese has
no blanks between words, so every CJK character is a word. Single letters are left out: options are labelled
in some files and not in others.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Words are cut at 64 characters: NFKC makes some characters 18 times as long.
_WORD = re.compile(rf"\n|[{_CJK}]|[^\W_{_CJK}]{{1,64}}")
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no gram of a word's hashes loses bits


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text as 64-bit hashes, the same within one process, and where lines with words begin."""

    hashes: Hashes
    lines: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.hashes)


def words_of(text: str) -> Words:
    """The words of a text: NFKC, lower case, without single Latin letters."""
    lines = array("q")
    hashes = np.fromiter(_hashes(text, lines), dtype=np.int64).view(np.uint64)
    return Words(hashes, np.array(lines, dtype=np.int64))


def _hashes(text: str, lines: array[int]) -> Iterator[int]:
    count, begins = 0, True
    for match in _WORD.finditer(text):
        word = match.group()
        if word == "\n":
            begins = True
            continue
        if not word.isascii():
            word = unicodedata.normalize("NFKC", word)
        elif len(word) == 1 and not word.isdigit():
            continue
        if begins:
            lines.append(count)
            begins = False
        count += 1
        yield hash(word.lower())


def grams(words: Words, n: int) -> Hashes:
    """The distinct n-grams of a text as hashes, sorted; none if there are fewer than n words."""
    return _grams(words, np.arange(max(len(words) - n + 1, 0)), n)


def short_lines(words: Words, n: int) -> Hashes:
    """The distinct lines of exactly n words, hashed as `grams` does."""
    lengths = np.diff(words.lines, append=len(words))
    return _grams(words, words.lines[lengths == n], n)


def _grams(words: Words, places: NDArray[np.int64], n: int) -> Hashes:
    """The n-grams that begin at these places."""
    found = words.hashes[places]
    for offset in range(1, n):
        found *= _FACTOR
        found += words.hashes[places + offset]
    return np.unique(found)
