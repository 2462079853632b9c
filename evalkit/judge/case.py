"""What is put before the judge, and what comes back: plain data, shared by everything that judges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Task = Literal["answer", "free_text", "reasoning", "reasoning_holistic", "pairwise"]
Language = Literal["en", "zh"]
Order = Literal["reference_first", "answer_first"]
ErrorKind = Literal["broken_reply", "engine_error", "context_overflow", "budget"]


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to judge.

    Args:
        task: ``answer``: is it the same as the gold answer (arXiv 2503.16252, answer check); ``free_text``: a
            grade from 0 to 1 against a reference; ``reasoning``: the seven criteria, all of which must hold;
            ``reasoning_holistic``: one 0/1 over the seven; ``pairwise``: which of two answers is better.
        question: what the model was asked, as text; may be empty.
        reference: the gold answer or reference text.
        answer: the model's raw output. Stripping, capping and delimiting it is the prompt's business.
        other: the second answer of a pairwise case, raw as well.
        language: of the judge's instructions.
        order: of the fields in the prompt; swapped to measure how much it changes.
    """

    task: Task
    question: str
    reference: str
    answer: str
    other: str = ""
    language: Language = "en"
    order: Order = "reference_first"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a well-formed reply says.

    ``score`` is in [0, 1]: 0 or 1 for ``answer`` and the reasoning tasks, a grade for ``free_text``, and for
    ``pairwise`` 1 if the first answer shown wins, 0 if the second does, 0.5 for a tie. ``criteria`` are the
    seven of the reasoning check, by name.
    """

    score: float
    criteria: dict[str, bool] = field(default_factory=dict)


class BrokenReply(Exception):
    """A reply that breaks the contract; the message says how, in a few words. Never a verdict of 0."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One case's outcome: a ruling, or the typed reason why there is none.

    ``key`` is the hash of judge identity, prompt and sampling under which it is cached; ``reply`` the judge's
    last reply, raw. ``attempts`` counts requests sent for it now: 0 when it came from the cache. Tokens and
    ``cost`` (in the currency of the configured prices) are those of all attempts.
    """

    key: str
    ruling: Ruling | None
    error: ErrorKind | None = None
    detail: str = ""
    reply: str = ""
    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0

    @property
    def cached(self) -> bool:
        return self.attempts == 0 and self.ruling is not None
