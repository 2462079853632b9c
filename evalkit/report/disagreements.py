"""The outputs on which rules disagree, and how a rule's verdicts flip against another's."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evalkit.example import ChoiceGold, Gold, LabelGold, NumberGold, YesNoGold
from evalkit.report.items import Item
from evalkit.report.spreadsheet import cell
from evalkit.runner.scoring import Score

GOLD_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One output that some rules accept and others do not; ``verdicts`` and ``extracted`` are by rule."""

    benchmark: str
    id: str
    turn: int | None
    sample: int
    gold: str
    verdicts: dict[str, bool]
    extracted: dict[str, str]


def disagreements(benchmark: str, rules: Mapping[str, Sequence[Item]]) -> list[Disagreement]:
    """The outputs of one benchmark on which the rules that judge them differ, in the run's order."""
    by_output: dict[tuple[str, int | None, int], dict[str, Score]] = {}
    for rule, items in rules.items():
        for score in _judged(items):
            name = (score.record.id, score.record.turn, score.record.sample)
            by_output.setdefault(name, {})[rule] = score
    found = []
    for (id_, turn, sample), scores in by_output.items():
        verdicts = {rule: bool(score.verdict.correct) for rule, score in scores.items()}
        if len(set(verdicts.values())) < 2:
            continue
        gold = gold_text(next(iter(scores.values())).example.gold)
        extracted = {rule: score.verdict.extracted or "" for rule, score in scores.items()}
        found.append(Disagreement(benchmark, id_, turn, sample, gold, verdicts, extracted))
    return found


def flips(items: Iterable[Item], reference: Iterable[Item]) -> tuple[int, int]:
    """How many outputs only `reference` accepts, and how many only `items` does."""
    base = {(s.record.id, s.record.turn, s.record.sample): s.verdict.correct for s in _judged(reference)}
    lost = gained = 0
    for score in _judged(items):
        before = base.get((score.record.id, score.record.turn, score.record.sample))
        if before is not None and before != score.verdict.correct:
            lost += before
            gained += not before
    return lost, gained


def _judged(items: Iterable[Item]) -> Iterable[Score]:
    return (score for item in items for score in item.scores if score.verdict.correct is not None)


def gold_text(gold: Gold) -> str:
    """A gold answer as a reader writes it; empty for free text."""
    if isinstance(gold, NumberGold):
        return f"{gold.value:.{GOLD_DIGITS}g}"
    if isinstance(gold, YesNoGold):
        return "yes" if gold.yes else "no"
    if isinstance(gold, ChoiceGold):
        return gold.letter
    return gold.label if isinstance(gold, LabelGold) else ""


def to_csv(found: Iterable[Disagreement], rules: Sequence[str]) -> str:
    """All of them: per rule 1 (right), 0 (wrong) or empty (does not apply); then what it extracted."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["benchmark", "id", "turn", "sample", "gold", *rules, *(f"{rule}: extracted" for rule in rules)]
    )
    for each in found:
        verdicts = [str(int(each.verdicts[rule])) if rule in each.verdicts else "" for rule in rules]
        extracted = [cell(each.extracted.get(rule, "")) for rule in rules]
        turn = "" if each.turn is None else each.turn
        writer.writerow(
            [each.benchmark, cell(each.id), turn, each.sample, cell(each.gold), *verdicts, *extracted]
        )
    return text.getvalue()
