"""What a benchmark hands to the rest: examples, and the gold answers that rules compare with.

An example is plain data. It knows nothing of engines (they see only its messages) and nothing of
scores (a rule sees only its gold answer and the model's output).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]
Table = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message with its final text."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class OwnAnswer:
    """Stands where the model's own answer to an earlier turn of the same dialogue will go.

    Only the runner can fill it in: the text does not exist before that turn was generated.
    """

    turn: int


@dataclass(frozen=True, slots=True)
class NumberGold:
    """A number, as executed by the annotators' program.

    ``value`` is on the program's own scale: a ratio is a decimal (0.0787 for 7.87 %), an amount is in
    the unit of the page (often millions). ``answer`` is the annotator's string where there is one;
    it contradicts ``value`` in about 7 % of FinQA, so rules compare with ``value``. ``question`` is
    there because some questions ask for a size and not for a signed change. ``program`` is the gold
    program in FinQA's DSL, ``table`` the rows of the page's table, on which a predicted program is executed.
    """

    value: float
    question: str = ""
    answer: str = ""
    program: str = ""
    table: Table = field(default=(), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class YesNoGold:
    """Yes or no, in whichever language (``yes``/``no``, 是/否)."""

    yes: bool
    question: str = ""
    program: str = ""
    table: Table = field(default=(), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class ChoiceGold:
    """One letter of the options that were shown, in the order shown."""

    letter: str
    options: dict[str, str]


@dataclass(frozen=True, slots=True)
class LabelGold:
    """One of a closed set of labels, e.g. bearish, bullish, neutral."""

    label: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TextGold:
    """A reference text. No rule can compare with it: it stays unscored until a judge is configured."""

    reference: str


Gold = NumberGold | YesNoGold | ChoiceGold | LabelGold | TextGold


@dataclass(frozen=True, slots=True)
class Example:
    """One scored item.

    ``id`` and ``turn`` name it within its benchmark (``turn`` is None outside dialogues). Examples of
    one ``group`` share a long prompt prefix and are the clusters of the statistics: the questions of a
    page, the turns of a dialogue, the rows of a file. ``facets`` are what reports break results down by.
    """

    benchmark: str
    id: str
    messages: tuple[Message | OwnAnswer, ...]
    gold: Gold
    group: str
    turn: int | None = None
    facets: dict[str, Any] = field(default_factory=dict)
