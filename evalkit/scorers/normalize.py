"""Bring model text to plain characters: full-width forms, dashes, LaTeX and markdown dress.

`fold` keeps every position, so that spans found in folded text are spans of the raw output; it runs over
the whole output. `plain` changes lengths and runs only over a snippet, an answer already found.
"""

from __future__ import annotations

import re

# Answers are short; what is longer is prose, and only its beginning is looked at.
SNIPPET_CHARS = 2_000

_FOLD = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}  # full-width ASCII
_FOLD |= dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\u2796"), ord("-"))
_FOLD |= dict.fromkeys(map(ord, "\u00a0\u2002\u2003\u2007\u2009\u200a\u202f\u3000\u200b\ufeff"), ord(" "))
_FOLD |= {ord("\ufe6a"): ord("%"), ord("\u066a"): ord("%"), ord("\u2236"): ord(":"), ord("\u2044"): ord("/")}
_FOLD |= {ord("\uffe5"): ord("\u00a5"), ord("\u2019"): ord("'")}

_WRAPPERS = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|mbox|operatorname|bf|rm|boldsymbol|bm|boxed|fbox)"
    r"(?![a-zA-Z])\s{0,3}\*?"
)
_FRACTION = re.compile(r"\\[dt]?frac\s{0,3}\{([^{}\\]{1,60})\}\s{0,3}\{([^{}\\]{1,60})\}")
_SHORT_FRACTION = re.compile(r"\\[dt]?frac\s{0,3}([0-9])\s{0,3}([0-9])(?![0-9])")
_POWER = re.compile(r"\^\s{0,3}\{\s{0,3}([+-]?[0-9]{1,3})\s{0,3}\}")
_THIN_IN_NUMBER = re.compile(r"(?<=[0-9])(?:,?\\[,!;: ]|\{,\}|\\\{,\\\}|,\\!)(?=[0-9]{3})")
_SYMBOLS = (
    ("\\times", "×"),
    ("\\cdot", "×"),
    ("\\approx", "≈"),
    ("\\simeq", "≈"),
    ("\\sim", "≈"),
    ("\\quad", " "),
    ("\\qquad", " "),
    ("\\left", ""),
    ("\\right", ""),
    ("\\displaystyle", ""),
    ("\\%", "%"),
    ("\\$", "$"),
    ("\\(", " "),
    ("\\)", " "),
    ("\\[", " "),
    ("\\]", " "),
    ("\\\\", " "),
    ("\\!", ""),
    ("\\,", " "),
    ("\\;", " "),
    ("\\:", " "),
    ("\\ ", " "),
    ("\\#", "#"),
    ("\\&", "&"),
    ("**", ""),
    ("__", ""),
    ("`", ""),
    ("~", "≈"),
    ("{", ""),
    ("}", ""),
)


def fold(text: str) -> str:
    """Full-width characters, exotic dashes and blanks as ASCII; same length, so positions are kept."""
    return text.translate(_FOLD)


def plain(snippet: str) -> str:
    """A folded snippet without LaTeX and markdown: `\\text{C}` is `C`, `\\frac{3}{4}` is `3/4`."""
    text = snippet[:SNIPPET_CHARS]
    text = _THIN_IN_NUMBER.sub(",", text)
    text = _WRAPPERS.sub("", text)
    text = _SHORT_FRACTION.sub(r" \1/\2", text)
    text = _FRACTION.sub(r" \1/\2", text)
    text = _POWER.sub(r"^\1", text)
    for latex, character in _SYMBOLS:
        text = text.replace(latex, character)
    return text.strip()
