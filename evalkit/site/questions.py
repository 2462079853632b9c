"""A line of each prompt by which a reader knows the example: what it asks, without page and instructions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from evalkit.records.record import Row

CAP = 240
SHARED = 0.2  # the first turns of dialogues, which hold the instructions, are a quarter of ConvFinQA


def questions(rows: Sequence[Row]) -> list[str]:
    """One line per example of one benchmark, at most 240 characters and an ellipsis.

    A record does not say where in a prompt the question is. But instructions repeat from prompt to prompt and
    questions do not, and what is asked comes last: so it is the last run of lines that fewer than a
    fifth of the prompts share.
    """
    prompts = [_lines(row) for row in rows]
    counts = Counter(line for lines in prompts for line in set(lines))
    shared = {line for line, count in counts.items() if count > 1 and count >= SHARED * len(prompts)}
    found = [" ".join(_last_run(lines, shared)) for lines in prompts]
    label = _label(found)
    return [_short(text.removeprefix(label)) for text in found]


def _label(texts: Sequence[str]) -> str:
    """`Question: ` if all begin so: before every one it says nothing."""
    first, colon, _ = texts[0].partition(": ") if len(texts) > 1 else ("", "", "")
    return first + colon if colon and all(text.startswith(first + colon) for text in texts) else ""


def _short(text: str) -> str:
    return text if len(text) <= CAP else text[:CAP] + "…"


def _lines(row: Row) -> list[str]:
    content = row.messages[-1][1] if row.messages else ""
    return [line for line in (" ".join(line.split()) for line in content.splitlines()) if line]


def _last_run(lines: Sequence[str], shared: set[str]) -> list[str]:
    end = len(lines)
    while end and lines[end - 1] in shared:
        end -= 1
    start = end
    while start and lines[start - 1] not in shared:
        start -= 1
    # Every line is everybody's: then the last one is as good as any.
    return list(lines[start:end]) or list(lines[-1:])
