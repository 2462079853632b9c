"""The same outputs under every rule: how much of a score is the rule.

Published scores of one model on FinQA differ by 10 to 17 points, mostly through the rule that compares
answers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.report.disagreements import Disagreement, disagreements, flips, to_csv
from evalkit.report.figure import Panel, draw, is_partial
from evalkit.report.items import Item, Mean, difference, mean_of
from evalkit.report.markdown import code, percent, table
from evalkit.report.material import Material, Section

FILES = ("rules.csv", "disagreements.csv", "sensitivity.png", "sensitivity.svg")
SHOWN = 20


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule on one benchmark. ``difference`` is against the rule that counts, on the examples of both.

    ``lost`` outputs are right only under the rule that counts, ``gained`` ones only under this.
    """

    rule: str
    mean: Mean
    difference: Mean
    lost: int
    gained: int

    def as_json(self) -> dict[str, Any]:
        return {
            **self.mean.as_json(),
            "difference": self.difference.value,
            "difference_stderr": self.difference.error,
            "difference_n": self.difference.n,
            "lost": self.lost,
            "gained": self.gained,
        }


def section(material: Material) -> Section | None:
    """The benchmarks that more than one rule can score; None if there are none."""
    lines, found = {}, []
    for name in material.scored():
        of_benchmark = rule_lines(material.items[name], material.rule)
        if len(of_benchmark) > 1:
            lines[name] = of_benchmark
            found += disagreements(name, material.items[name])
    if not lines:
        return None
    rules = list(dict.fromkeys(line.rule for each in lines.values() for line in each))
    panels = [
        Panel(material.titles[name], [(line.rule, line.mean) for line in each], material.rule)
        for name, each in lines.items()
    ]
    png, svg = draw(panels)
    contents = (_rules_csv(lines).encode(), to_csv(found, rules).encode(errors="replace"), png, svg)
    return Section(
        name="sensitivity",
        title="Sensitivity to the scoring rule",
        body=_body(material, lines, found),
        data={name: {line.rule: line.as_json() for line in each} for name, each in lines.items()},
        files=dict(zip(FILES, contents, strict=True)),
    )


def rule_lines(rules: Mapping[str, Sequence[Item]], main: str) -> list[RuleLine]:
    """The rules that score anything, the most accurate first; those that judge only some examples last."""
    reference = rules[main]
    lines = []
    for rule, items in rules.items():
        mean = mean_of(items)
        if mean.value is not None:
            lost, gained = flips(items, reference)
            lines.append(RuleLine(rule, mean, difference(items, reference), lost, gained))
    base = mean_of(reference)
    return sorted(
        lines,
        key=lambda line: (
            is_partial(line.mean, base),
            -(line.mean.value or 0.0),
            line.rule != main,
            line.rule,
        ),
    )


def _body(material: Material, lines: Mapping[str, Sequence[RuleLine]], found: Sequence[Disagreement]) -> str:
    rule = material.rule
    parts = [
        f"The same outputs under every rule. *Difference*: from `{rule}`, in points, on the examples that "
        f"both rules score, with the paired standard error clustered by page, dialogue or file. *Lost* "
        f"outputs are right only under `{rule}`, *gained* ones only under the other rule.",
        "![Accuracy under every rule](sensitivity.png)",
    ]
    for name, each in lines.items():
        of_benchmark = [one for one in found if one.benchmark == name]
        parts += [f"### {material.titles[name]}", _rules(each, rule), _disagreements(of_benchmark, rule)]
    return "\n\n".join(parts)


def _rules(lines: Sequence[RuleLine], main: str) -> str:
    header = ["Rule", "accuracy, %", "n", "difference", "lost", "gained"]
    rows = []
    for line in lines:
        name = f"**`{line.rule}`**" if line.rule == main else f"`{line.rule}`"
        against = "-" if line.rule == main else percent(line.difference, signed=True)
        counts = ("-", "-") if line.rule == main else (str(line.lost), str(line.gained))
        rows.append([name, percent(line.mean), str(line.mean.n), against, *counts])
    return table(header, rows)


def _disagreements(found: Sequence[Disagreement], main: str) -> str:
    if not found:
        return "The rules agree on every output."
    header = ["id", "turn", "gold", "answer", f"`{main}`", "right under", "wrong under"]
    rows = [
        [
            code(each.id),
            "-" if each.turn is None else str(each.turn),
            code(each.gold),
            code(each.extracted.get(main, "")),
            "right" if each.verdicts.get(main) else "wrong",
            _names(each.verdicts, True),
            _names(each.verdicts, False),
        ]
        for each in found[:SHOWN]
    ]
    rest = len(found) - SHOWN
    more = f" {rest} more are in disagreements.csv." if rest > 0 else " All are in disagreements.csv."
    counts = f"The rules disagree on {len(found)} outputs.{more}"
    return counts + "\n\n" + table(header, rows, text_columns=len(header))


def _names(verdicts: Mapping[str, bool], right: bool) -> str:
    return ", ".join(f"`{rule}`" for rule, verdict in verdicts.items() if verdict is right) or "-"


def _rules_csv(lines: Mapping[str, Sequence[RuleLine]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = list(next(iter(lines.values()))[0].as_json())
    writer.writerow(["benchmark", "rule", *columns])
    for name, each in lines.items():
        for line in each:
            values = ["" if value is None else value for value in line.as_json().values()]
            writer.writerow([name, line.rule, *values])
    return text.getvalue()
