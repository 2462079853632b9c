"""Depth of context: the asked page behind other pages' text, `benchmark.finqa.depth=4000`.

A benchmark of pages says so in its module (`PAGES = True`); its examples have the page as `context`, and
their first user's turn begins with it. That turn gets text of other pages of the same split before it, until
that and the page are as long as `depth` tokens; the page itself stands last, directly before its question, so
that "the page above" still means it. Pages come in the order of a hash of their names, which neither the
run's seed nor its limit moves; so nearly all questions share them, and a server computes them once a slot.

How long a token is depends on the model, and the questions must not: `CHARACTERS` stand for one. What a model
really read is in each answer's `prompt_tokens`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from evalkit.benchmarks.shots import Choosable
from evalkit.schema import Example, Message, UserError, rank

CHARACTERS = 4
"""Three prompts of FinQA's test split have 4.0, 4.3 and 4.8 characters for each token of SmolLM2."""

_SEED = 0  # padding does not move with the run's seed
_BEFORE = "Pages of other annual reports:"
_ASKED = "The page that is asked about:"


@dataclass(frozen=True, slots=True)
class Page:
    """The text of a page and its group's name."""

    group: str
    text: str


def pages_of(units: Iterable[Choosable], depth: int) -> list[Page]:
    """Pages in their order, as many as may be needed: `depth` tokens and one page more."""
    first: dict[str, Choosable] = {}
    for unit in units:
        first.setdefault(unit.group, unit)
    found: list[Page] = []
    for group in sorted(first, key=lambda name: (rank(_SEED, name), name)):
        text = first[group].build()[0].context
        if not text.strip():
            continue
        found.append(Page(group, text))
        # One of them may be the asked page.
        if (
            sum(len(page.text) for page in found) - max(len(page.text) for page in found)
            >= depth * CHARACTERS
        ):
            break
    return found


def pad(examples: Sequence[Example], pages: Sequence[Page], depth: int) -> list[Example]:
    """The examples, each behind other pages' text.

    Raises:
        UserError: the split has not so much of it.
    """
    return [_padded(example, pages, depth) for example in examples]


def _padded(example: Example, pages: Sequence[Page], depth: int) -> Example:
    wanted = depth * CHARACTERS - len(example.context)
    if wanted <= 0:
        return example
    others = [page.text for page in pages if page.group != example.group]
    if sum(map(len, others)) < wanted:
        there = (sum(map(len, others)) + len(example.context)) // CHARACTERS
        raise UserError(f"the split's pages are about {there:,} tokens in all: give a smaller depth, or 0")
    text = "\n\n".join(_until(wanted, others))
    messages = list(example.messages)
    for place, message in enumerate(messages):
        if isinstance(message, Message) and message.role == "user":
            content = f"{_BEFORE}\n\n{text}\n\n{_ASKED}\n\n{message.content}"
            messages[place] = Message("user", content)
            break
    return replace(example, messages=tuple(messages))


def unpadded(text: str) -> str:
    """A user's turn without what was put before it: as it is at any other depth."""
    return text.partition(f"\n\n{_ASKED}\n\n")[2] if text.startswith(f"{_BEFORE}\n\n") else text


def _until(wanted: int, texts: Iterable[str]) -> Iterator[str]:
    """Texts of `wanted` characters together; the last one ends between two words."""
    for text in texts:
        if len(text) >= wanted:
            yield text[:wanted].rpartition(" ")[0]
            return
        yield text
        wanted -= len(text)
