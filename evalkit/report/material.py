"""What a report is made from, and what its sections are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from evalkit.judge.ledger import Ledger
from evalkit.judge.verdicts import JUDGED
from evalkit.report.defects import Defect
from evalkit.report.items import Item, items_of
from evalkit.runner.scoring import Score


@dataclass(frozen=True, slots=True)
class Material:
    """A scored run: its examples under every rule.

    ``items`` is by benchmark, then by rule, both in the order of the run; ``rule`` is the one whose numbers
    count. ``titles`` are the benchmarks' names for readers. ``ledger`` is what a judge has said of the run,
    ``judged`` the items under the rule `judged`, by benchmark, where they are shown.
    """

    titles: dict[str, str]
    items: dict[str, dict[str, list[Item]]]
    rule: str
    defects: list[Defect] = field(default_factory=list)
    ledger: Ledger | None = None
    judged: dict[str, list[Item]] = field(default_factory=dict)

    def main(self) -> dict[str, list[Item]]:
        """By benchmark: the items under the rule that counts."""
        return {name: rules[self.rule] for name, rules in self.items.items() if self.rule in rules}

    def scored(self) -> dict[str, list[Item]]:
        """The same, without benchmarks that the rule cannot score at all (free text)."""
        return {
            name: items
            for name, items in self.main().items()
            if any(item.value is not None for item in items)
        }


@dataclass(frozen=True, slots=True)
class Section:
    """A part of report.md.

    ``body`` is Markdown without the heading. ``data`` is JSON-able and goes into results.json under
    `evalkit.report`, by benchmark. ``metrics`` go into lm-evaluation-harness's part of it: by benchmark, the
    metrics of the rule that counts. ``lines`` are for the terminal. ``files`` are written beside report.md.
    """

    name: str
    title: str
    body: str
    data: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, dict[str, float | None]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)


def material(
    scores: Iterable[Score],
    config: Mapping[str, Any],
    rule: str,
    defects: list[Defect],
    ledger: Ledger | None = None,
) -> Material:
    """The scores of a run, sorted for reporting."""
    sorted_scores: dict[str, dict[str, list[Score]]] = defaultdict(lambda: defaultdict(list))
    for score in scores:
        sorted_scores[score.record.benchmark][score.rule].append(score)
    return Material(
        titles={name: str(benchmark["title"]) for name, benchmark in config["benchmark"].items()},
        items={
            name: {which: items_of(of_rule) for which, of_rule in rules.items() if which != JUDGED}
            for name, rules in sorted_scores.items()
        },
        rule=rule,
        defects=defects,
        ledger=ledger,
        judged={name: items_of(rules[JUDGED]) for name, rules in sorted_scores.items() if JUDGED in rules},
    )
