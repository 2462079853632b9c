"""The same outputs under every rule: how much of a score is the rule, as tables, files and a figure.

Published scores of one model on FinQA differ by 10 to 17 points, mostly through the rule that compares
answers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.metrics import Disagreement, RuleLine, disagreements, rule_lines, scored_benchmarks
from evalkit.report.sections import Section, accuracy_json
from evalkit.run.info import Run
from evalkit.schema import JUDGED, Estimate
from evalkit.text import cell, change, code, percent, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FILES = ("rules.csv", "disagreements.csv", "sensitivity.png", "sensitivity.svg")
SHOWN = 20


@dataclass(frozen=True, slots=True)
class _Sensitivity:
    """One benchmark under its rules; `rule` is the one that counts."""

    title: str
    rule: str
    lines: list[RuleLine]
    found: list[Disagreement]


def rules_section(run: Run) -> Section | None:
    """The benchmarks that more than one rule can score; None if there are none."""
    parts = {}
    for name, (items, main) in scored_benchmarks(run).items():
        rules = [rule for rule in run.rules if rule != JUDGED or main == JUDGED]
        lines = rule_lines(items, rules, main)
        if len(lines) > 1:
            parts[name] = _Sensitivity(
                run.info.benchmarks[name].title, main, lines, disagreements(items, rules)
            )
    if not parts:
        return None
    found = [each for part in parts.values() for each in part.found]
    rules = list(dict.fromkeys(line.rule for part in parts.values() for line in part.lines))
    png, svg = draw([Panel(part.title, part.lines, part.rule) for part in parts.values()])
    contents = (
        _rules_csv(parts).encode(),
        disagreements_csv(found, rules).encode(errors="replace"),
        png,
        svg,
    )
    return Section(
        name="sensitivity",
        title="Sensitivity to the scoring rule",
        body=_body(list(parts.values())),
        data={name: {line.rule: _line_json(line) for line in part.lines} for name, part in parts.items()},
        files=dict(zip(FILES, contents, strict=True)),
    )


def _line_json(line: RuleLine) -> dict[str, float | int | None]:
    difference = line.difference
    return {
        **accuracy_json(line.estimate),
        "difference": difference.value if difference else None,
        "difference_stderr": difference.error if difference else None,
        "difference_low": difference.low if difference else None,
        "difference_high": difference.high if difference else None,
        "difference_n": difference.n if difference else 0,
        "lost": line.flips.right_to_wrong,
        "gained": line.flips.wrong_to_right,
    }


def _body(parts: Sequence[_Sensitivity]) -> str:
    texts = [
        "The same outputs under every rule; in bold the one that counts. *Difference*: from that rule, in "
        "points, on the examples that both rules score, with the paired 95 % interval clustered by page, "
        "dialogue or file. *Lost* outputs are right only under the rule that counts, *gained* ones only "
        "under the other.",
        "![Accuracy under every rule](sensitivity.png)",
    ]
    for part in parts:
        texts += [f"### {part.title}", _rules(part.lines, part.rule), _disagreements(part.found, part.rule)]
    return "\n\n".join(texts)


def _rules(lines: Sequence[RuleLine], main: str) -> str:
    header = ["Rule", "accuracy, %", "n", "difference", "lost", "gained"]
    rows = []
    for line in lines:
        name, against, counts = f"**`{line.rule}`**", "-", ("-", "-")
        if line.rule != main:
            name, against = f"`{line.rule}`", change(line.difference)
            counts = (str(line.flips.right_to_wrong), str(line.flips.wrong_to_right))
        rows.append([name, percent(line.estimate), str(line.estimate.n), against, *counts])
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


def _rules_csv(parts: Mapping[str, _Sensitivity]) -> str:
    rows = [
        {"benchmark": name, "rule": line.rule, **_line_json(line)}
        for name, part in parts.items()
        for line in part.lines
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def disagreements_csv(found: Iterable[Disagreement], rules: Sequence[str]) -> str:
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


# The figure: one panel a benchmark, one line a rule.
# Same input, same bytes: no dates, fixed ids in the SVG, and none of the user's matplotlib settings. The rule
# that counts is told from the others by its filled mark and the line through it, not by colour.
WIDTH_IN = 7.5
LINE_IN = 0.26
PANEL_IN = 0.55  # a panel's title and what is between panels
MARGIN_IN = 0.75  # the axis below the last panel, and its label
LEFT_IN, RIGHT_IN = 1.75, 2.0
DPI = 150


@dataclass(frozen=True, slots=True)
class Panel:
    """One benchmark: its rules from top to bottom; ``main`` is the one that the line goes through."""

    title: str
    rules: Sequence[RuleLine]
    main: str


def draw(panels: Sequence[Panel]) -> tuple[bytes, bytes]:
    """The figure as PNG and as SVG."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"font.size": 9, "axes.titlesize": 10, "svg.hashsalt": "evalkit"})
        figure = _figure(panels)
        png, svg = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", metadata={"Software": None})
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return png.getvalue(), svg.getvalue()


def _figure(panels: Sequence[Panel]) -> Figure:
    from matplotlib.figure import Figure

    heights = [LINE_IN * (len(panel.rules) + 0.4) for panel in panels]
    total = sum(heights) + PANEL_IN * len(panels) + MARGIN_IN
    figure = Figure(figsize=(WIDTH_IN, total), dpi=DPI)
    width = WIDTH_IN - LEFT_IN - RIGHT_IN
    top = total
    for panel, height in zip(panels, heights, strict=True):
        top -= PANEL_IN
        bounds = (
            LEFT_IN / WIDTH_IN,
            (top - height) / total,
            width / WIDTH_IN,
            height / total,
        )
        _panel(figure.add_axes(bounds), panel, last=panel is panels[-1])
        top -= height
    return figure


def _panel(axes: Axes, panel: Panel, last: bool) -> None:
    axes.set_title(panel.title, loc="left", fontweight="bold", parse_math=False)
    for place, line in enumerate(panel.rules):
        value, main = 100 * line.estimate.value, line.rule == panel.main
        if main:
            axes.axvline(value, color="0.6", linewidth=1, zorder=1)
        axes.errorbar(
            value,
            place,
            xerr=_bar(line.estimate),
            fmt="D" if main else "x" if line.partial else "o",
            color="0.5" if line.partial else "black",
            markerfacecolor="black" if main else "white",
            markersize=6 if main else 5.5,
            capsize=3,
            linewidth=1.2,
            zorder=3,
        )
        label = f"{percent(line.estimate)}  n={line.estimate.n}"
        axes.text(102.5, place, label, va="center", fontweight="bold" if main else "normal")
    axes.set_yticks(range(len(panel.rules)), [line.rule for line in panel.rules])
    axes.set_ylim(len(panel.rules) - 0.3, -0.7)
    for tick in axes.get_yticklabels():
        tick.set_fontweight("bold" if tick.get_text() == panel.main else "normal")
    _x_axis(axes, last)


def _bar(estimate: Estimate) -> list[list[float]] | None:
    """Lengths of the error bar to both sides; None where nothing is known of the error."""
    if estimate.error is None:
        return None
    below, above = estimate.value - estimate.low, estimate.high - estimate.value
    return [[100 * max(0.0, below)], [100 * max(0.0, above)]]


def _x_axis(axes: Axes, last: bool) -> None:
    axes.set_xlim(-2, 102)
    axes.set_xticks(range(0, 101, 20))
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelbottom=last)
    axes.grid(axis="x", color="0.9", linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    if last:
        axes.set_xlabel(
            "accuracy under the rule, % (bar: 95 % interval; ×: judges only some of the examples)"
        )
