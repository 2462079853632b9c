"""One answer to read: its prompt, gold answer, output and verdicts, safe to show in a notebook."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

import pandas as pd

from evalkit.errors import UserError
from evalkit.frames.runs import Runs
from evalkit.scorers import DEFAULT

_HIDDEN = ("Cc", "Cf", "Cs")

MOST = 6_000
"""Characters of a prompt or an output that are shown; the middle of a longer one is left out."""


@dataclass(frozen=True, slots=True, repr=False)
class Reading:
    """An answer. `output` is split into what is before, in, and after the extracted answer."""

    title: str
    prompt: str
    gold: str
    output: tuple[str, str, str]
    verdicts: tuple[str, ...]

    def __str__(self) -> str:
        before, extracted, after = self.output
        marked = f"{before}⟦{extracted}⟧{after}" if extracted else before
        parts = {
            "prompt": self.prompt,
            "gold": self.gold,
            "output": marked,
            "rules": "\n".join(self.verdicts),
        }
        return "\n\n".join([self.title, *(f"{name.upper()}\n{text}" for name, text in parts.items())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """For Jupyter: model output is somebody else's text, and is only ever shown as text."""
        before, extracted, after = map(escape, self.output)
        output = f"{before}<mark>{extracted}</mark>{after}" if extracted else before
        parts = {
            "Prompt": escape(self.prompt),
            "Gold": escape(self.gold),
            "Output": output,
            "Rules": escape("\n".join(self.verdicts)),
        }
        style = "white-space: pre-wrap; max-height: 24em; overflow-y: auto; margin: 0 0 0.8em"
        body = "".join(f'<b>{name}</b><pre style="{style}">{text}</pre>' for name, text in parts.items())
        # Amounts in dollars are no formulas.
        return f'<div class="tex2jax_ignore mathjax_ignore"><h4>{escape(self.title)}</h4>{body}</div>'


def read(runs: Runs, answer: int) -> Reading:
    """The answer with this index in `runs.answers`.

    Raises:
        UserError: there is none.
    """
    if answer not in runs.answers.index:
        raise UserError(f"no answer {answer}: they go from 0 to {len(runs.answers) - 1}")
    row = runs.answers.loc[answer].astype("object")
    scores = runs.scores.loc[runs.scores["answer"] == answer]
    turn = f", turn {row['turn']}" if isinstance(row["turn"], int) else ""
    text = row["text"]
    nothing = (_visible(f"(no answer: {row['error']})"), "", "")
    return Reading(
        title=_visible(f"{row['label']}: {row['benchmark']} {row['id']}{turn}"),
        prompt=_visible(_short("\n\n".join(f"[{role}] {content}" for role, content in row["messages"]))),
        gold=_visible(_short(str(row["gold"]))),
        output=_split(text, scores) if isinstance(text, str) else nothing,
        verdicts=tuple(_visible(line) for line in _verdicts(scores)),
    )


def _split(text: str, scores: pd.DataFrame) -> tuple[str, str, str]:
    """The output before, in and after what the default rule took as the answer."""
    spans = scores.loc[(scores["rule"] == DEFAULT) & scores["span_start"].notna()]
    start, end = (len(text), len(text)) if spans.empty else spans[["span_start", "span_end"]].iloc[0]
    if not 0 <= start <= end <= len(text):
        start = end = len(text)
    # The answer is most often near the end, so the beginning of a long output gives way.
    before, after = _short(text[:start], MOST // 2), _short(text[end:], MOST // 2)
    return _visible(before), _visible(_short(text[start:end])), _visible(after)


def _verdicts(scores: pd.DataFrame) -> Iterator[str]:
    for score in scores.sort_values("rule").astype("object").to_dict("records"):
        extracted = score["extracted"] if isinstance(score["extracted"], str) else "no answer"
        yield f"{score['rule']}: {score['failure']} ({' '.join(extracted.split())[:80]})"


def _short(text: str, most: int = MOST) -> str:
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters …]\n{text[-half:]}"


def _visible(text: str) -> str:
    """Without what moves a terminal's cursor or turns the direction of writing."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in _HIDDEN else "�" for c in text)
