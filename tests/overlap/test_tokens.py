"""Words and their n-grams."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.overlap.index import grams, short_lines, words_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What was Revenue, in 2009?", "what  was\nrevenue in 2009"),
        ("A. 阿托品 B. 碘解磷定", "阿托品碘解磷定"),
        ("净利润为８４万元（ＲＯＥ）", "净利润为84万元 roe"),
        ("ﬁnancial", "FINANCIAL"),
        ("x" * 1000, "X" * 1000),
    ],
)
def test_what_does_not_count(one: str, other: str) -> None:
    assert words_of(one).hashes.tolist() == words_of(other).hashes.tolist()


@pytest.mark.parametrize(("text", "count"), [("", 0), ("...\n--", 0), ("股票 up 5", 4), ("1,234.5", 3)])
def test_how_many_words(text: str, count: int) -> None:
    assert len(words_of(text)) == count


def test_a_gram_is_its_words_in_their_order() -> None:
    both = words_of("the fund lost money")
    assert len(grams(both, 2)) == 3
    assert set(grams(words_of("fund lost"), 2)) <= set(grams(both, 2))
    assert not set(grams(words_of("lost fund"), 2)) & set(grams(both, 2))
    assert len(grams(both, 5)) == 0
    assert len(grams(words_of("go go go go"), 2)) == 1
    assert np.array_equal(grams(both, 4), grams(words_of("The fund LOST money!"), 4))


def test_short_lines_are_whole_lines() -> None:
    text = words_of("stocks fall\n\n- stocks fall again -\nbonds rise")
    assert set(short_lines(text, 2)) == set(grams(words_of("stocks fall"), 2)) | set(
        grams(words_of("bonds rise"), 2)
    )
    assert len(short_lines(text, 3)) == 1
    assert len(short_lines(words_of(""), 2)) == 0
