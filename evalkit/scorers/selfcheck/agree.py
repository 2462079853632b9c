"""How far the scoring agrees with hand labels, and every item on which it does not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evalkit.example import NumberGold, YesNoGold
from evalkit.scorers import get_rule
from evalkit.scorers.agreement import LENIENCY
from evalkit.scorers.normalize import fold, plain
from evalkit.scorers.number_answer import NumberAnswer, number_answer
from evalkit.scorers.selfcheck.labels import Labelled
from evalkit.scorers.verdict import Verdict

# The classes that can be known from output and gold alone; the other two need the page.
KNOWABLE = frozenset(LENIENCY.values()) | {"truncated", "no_final_answer", "wrong_number"}


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One item on which label and scoring differ, as strings for a table."""

    name: str
    extracted: str
    gold: str
    label: str
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One kind of agreement. ``target`` is the share that must be reached."""

    title: str
    total: int
    target: float
    disagreements: tuple[Disagreement, ...]

    @property
    def agreed(self) -> int:
        return self.total - len(self.disagreements)

    @property
    def share(self) -> float:
        return self.agreed / self.total if self.total else 0.0

    @property
    def met(self) -> bool:
        return self.share >= self.target


Compare = Callable[[Labelled], tuple[str, str] | None]
"""What the label says and what the scoring says; None where they agree."""


def figures(items: Sequence[Labelled]) -> list[Figure]:
    """Verdicts (lenient and strict), extraction and failure classes against the labels."""
    knowable = [item for item in items if item.label["failure"] in KNOWABLE]
    return [
        _figure("financial, against the lenient label", items, _lenient, 0.97),
        _figure("finqa_official on numbers, against the strict label", items, _strict, 0.95),
        _figure("extracted text, number and %", items, _extraction, 0.98),
        _figure("failure class, where the page is not needed", knowable, _failure, 0.85),
    ]


def _figure(title: str, items: Sequence[Labelled], compare: Compare, target: float) -> Figure:
    found = ((item, compare(item)) for item in items)
    differing = tuple(_disagreement(item, *said) for item, said in found if said is not None)
    return Figure(title, len(items), target, differing)


def _disagreement(item: Labelled, label: str, verdict: str) -> Disagreement:
    judged = _judged("financial", item)
    gold = repr(item.gold.value) if isinstance(item.gold, NumberGold) else ""
    gold = ("yes" if item.gold.yes else "no") if isinstance(item.gold, YesNoGold) else gold
    reason = "; ".join(filter(None, (judged.failure, judged.note, str(item.label["note"]))))
    return Disagreement(item.name, judged.extracted or "", gold, label, verdict, reason)


def _judged(rule: str, item: Labelled) -> Verdict:
    verdict = get_rule(rule)(item.output, item.gold)
    if verdict is None:
        raise TypeError(f"{rule} does not judge {item.benchmark}")
    return verdict


def _lenient(item: Labelled) -> tuple[str, str] | None:
    correct = _judged("financial", item).correct
    return None if correct is item.lenient else (_word(item.lenient), _word(correct))


def _strict(item: Labelled) -> tuple[str, str] | None:
    label, correct = bool(item.label["correct_strict"]), _judged("finqa_official", item).correct
    return None if correct is label else (_word(label), _word(correct))


def _extraction(item: Labelled) -> tuple[str, str] | None:
    found = number_answer(item.output)
    label = item.label
    quantity = found.quantity if found else None
    value = quantity.value if quantity else None
    percent = quantity is not None and quantity.percent
    same_value = (
        value is label["value"]
        if value is None or label["value"] is None
        else math.isclose(value, label["value"], rel_tol=1e-4)
    )
    if same_value and percent is bool(label["percent"]) and _same_text(found, item):
        return None
    said = f"{found.answer.text[:40]!r} ({value}{'%' if percent else ''})" if found else "nothing"
    return f"{label['final_answer']!r} ({label['value']}{'%' if label['percent'] else ''})", said


def _same_text(found: NumberAnswer | None, item: Labelled) -> bool:
    """Blanks and dress aside; the unit that stands after a box may be in ours, as far as it is a scale."""
    ours = _squeezed(found.answer.text) if found else ""
    theirs = _squeezed(plain(fold(item.label["final_answer"])))
    if not theirs:  # no committed answer
        return found is None or found.quantity is None
    outside = _squeezed(item.label.get("unit_text", ""))
    return ours.startswith(theirs) and outside.startswith(ours.removeprefix(theirs))


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _failure(item: Labelled) -> tuple[str, str] | None:
    verdict, label = _judged("financial", item), str(item.label["failure"])
    ours = LENIENCY.get(verdict.note, verdict.failure) if verdict.correct else verdict.failure
    return None if ours == label else (label, ours)


def _word(correct: bool | None) -> str:
    return "right" if correct else "wrong"
