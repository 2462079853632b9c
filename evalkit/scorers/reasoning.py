"""Where the reasoning ends and the answer begins.

An answer is looked for only after the reasoning. `<think>` that is never closed means no answer: the last
number of a cut-off trace is not an answer. A template that prefills `<think>` leaves only `</think>` in
the text.
"""

from __future__ import annotations

import re

_TAG = re.compile(r"<(/?)think(?:ing)?\s{0,3}>", re.IGNORECASE)


def answer_start(text: str) -> int | None:
    """Position where the part after the reasoning begins (0 without reasoning); None if it never ends."""
    last = None
    for last in _TAG.finditer(text):  # noqa: B007  the last match is wanted
        pass
    if last is None:
        return 0
    return last.end() if last[1] else None
