"""Hostile text in Markdown and CSV."""

from __future__ import annotations

import random
import unicodedata

import pytest

from evalkit.schema import Estimate
from evalkit.stats.paired import mean_estimate
from evalkit.text import cell, change, code, percent, plain

HOSTILE = [
    "</td><script>alert(1)</script>",
    "`` ` code ``` fence",
    "| a | b |\n|---|---|",
    "![x](http://example.com/track.png)",
    "\u202egnp.exe\u202c\u200b\x00\x1b[31m",
    "\\|\\`\\",
    "`",
    " \n ",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_code_is_one_closed_span(text: str) -> None:
    check(code(text))


def test_code_on_random_text() -> None:
    rng = random.Random(5)
    alphabet = "`|\\<>[]()\n\r\t\x00\u202e\ud800\u2028 ab$*_&;"
    for _ in range(3000):
        check(code("".join(rng.choice(alphabet) for _ in range(rng.randrange(40)))))


def check(span: str) -> None:
    """As CommonMark reads it: a fence, no run of as many backticks inside, the same fence."""
    if span == "-":
        return
    fence = span[: len(span) - len(span.lstrip("`"))]
    inner = span[len(fence) : -len(fence)]
    assert fence
    assert span.endswith(fence)
    assert fence not in inner
    assert inner[0] != "`" != inner[-1]
    assert "|" not in span
    assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in span)


def test_code_is_capped_whatever_the_length() -> None:
    span = code("9" * 5_000_000, cap=10)
    assert span == "`9999999999…`"
    assert len(code(" " * 5_000_000 + "9")) < 10


def test_spreadsheets_run_nothing() -> None:
    for formula in ("=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3", " \t=1", "-a"):
        assert cell(formula).startswith("'")
    for number in ("-23", "+1.5%", "-1,234.5", "7.87%", "N/A", "-"):
        assert cell(number) == number
    assert cell("a\0b\r\nc") == "a�b c"


def test_percent_never_claims_certainty() -> None:
    assert percent(Estimate(0.45, 0.031, 0.389, 0.512, 61, 30)) == "45.0 [38.9, 51.2]"
    assert percent(mean_estimate([0.0] * 10, list("abcdefghij"))) == "0.0 [0.0, 33.9]"
    assert percent(mean_estimate([1.0] * 10, list("abcdefghij"))) == "100.0 [66.1, 100.0]"
    assert percent(mean_estimate([1.0], ["a"])) == "100.0"
    assert percent(None) == change(None) == "-"
    assert change(Estimate(-0.0001, 0.01, -0.02, 0.02, 9, 9)) == "0.0 [-2.0, +2.0]"
    assert change(Estimate(0.02, 0.01, 0.0, 0.04, 9, 9)) == "+2.0 [0.0, +4.0]"


@pytest.mark.parametrize(
    "text", ["Fin-R1 Q4_K", "SmolLM2-135M-Instruct Q4_1 → q4_k", "iq3_xs (pure), 4 % of all", "note: x"]
)
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize(
    "text",
    ["_a_", "a_", "*x*", "<b>", "www.x.y", "http://a", "a|b", "# h", "- x", "a  b", "$x$", "[a](b)", "&lt;"],
)
def test_what_markdown_could_read_becomes_code(text: str) -> None:
    assert plain(text) == code(text)
