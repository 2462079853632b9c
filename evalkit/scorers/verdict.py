"""What a rule is given and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Failure = Literal[
    "correct",
    "wrong_number",
    "wrong_choice",
    "scale_x100",
    "scale_thousand",
    "sign",
    "rounding",
    "no_final_answer",
    "truncated",
    "context_overflow",
    "unparsed",
    "engine_error",
    "unscored",
    "judged_wrong",
    "judge_error",
]


@dataclass(frozen=True, slots=True)
class Output:
    """A model's raw output.

    ``truncated`` says that generation stopped at the token limit and not by the model's own choice.
    """

    text: str
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rule's judgement of one output.

    ``extracted`` is the text taken as the final answer and ``span`` its place in the raw output
    (start, end; characters). ``correct`` and ``score`` are None where the rule cannot judge
    (free text): such items are unscored, not wrong. ``note`` says why, in a few words.
    """

    extracted: str | None
    correct: bool | None
    score: float | None
    failure: Failure
    note: str = ""
    span: tuple[int, int] | None = None


UNSCORED = Verdict(None, None, None, "unscored", "free text needs a judge")
