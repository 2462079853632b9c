"""The comparison table: a run beside the published rows. Markdown, CSV, and the terminal on request."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from evalkit.metrics import Result, average, counting_rule, results
from evalkit.published import PrintedRow, PublishedTable, mean, read_table
from evalkit.run.info import Run
from evalkit.run.judgements import Interval, JudgeCalibration
from evalkit.schema import JUDGED
from evalkit.text import (
    JUDGED_MARK,
    cell,
    code,
    column_widths,
    fitted,
    parameters_text,
    percent,
    plain,
    printable,
)


@dataclass(frozen=True, slots=True)
class Grid:
    """A table as text: header, rows, the notes that belong below it, and what must be read before it."""

    header: list[str]
    rows: list[list[str]]
    notes: list[str]
    preface: list[str] = field(default_factory=list)


def comparison(run: Run) -> Grid:
    """The run's row above the published ones: the published table's columns, then the run's other benchmarks.

    Measured cells are per cent with their 95 % interval (clustered), published ones as printed. What no rule
    can score is there as judged, marked, or not at all if the judge is not fit.
    """
    published = read_table()
    found = results(run)
    others = [name for name in found if name not in published.benchmarks]
    columns = [*published.benchmarks, *others]
    titles = [column.title for column in published.benchmarks.values()]
    titles += [run.info.benchmarks[name].title for name in others]
    header = ["Model", "Parameters", *titles, "Average", "n", "unscored", "failed", "Source"]
    notes = [_measured_note(run, found), *(f"{line}." for line in unscored_code_lines(unscored_code(run)))]
    rows = [_measured_row(run, [found.get(name) for name in columns], notes)]
    rows += [_published_row(row, published, len(others), notes) for row in published.rows]
    if others:
        notes.append("This run's average has benchmarks in it that the published ones have not.")
    notes.append(published.source_note)
    return Grid(header, rows, list(dict.fromkeys(notes)), [*_of_judge(run, found), *_calibrated(run)])


def _measured_note(run: Run, found: Mapping[str, Result]) -> str:
    sources = "/".join(sorted({data.source for data in run.info.data.values()}))
    rules: dict[str, list[str]] = {}
    for name, result in found.items():
        if result.rule != JUDGED:
            rules.setdefault(result.rule, []).append(run.info.benchmarks[name].title)
    if len(rules) > 1:
        rule = "rule " + ", ".join(f"`{each}` on {' and '.join(titles)}" for each, titles in rules.items())
    else:
        rule = f"rule `{next(iter(rules), JUDGED)}`"
    return (
        f"Measured cells: % with the 95 % interval, clustered by page, dialogue or file; {rule}, "
        f"protocol {run.info.protocol.name}, data {sources}."
    )


def unscored_code(run: Run) -> Counter[str]:
    """Examples whose code has no verdict, by the reason."""
    found: Counter[str] = Counter()
    for name, items in run.by_benchmark().items():
        rule = counting_rule(items, run.info.benchmarks[name].rule)
        for item in items:
            if item.gold_kind == "code" and not item.failed and item.value(rule) is None:
                notes = [score.note for sample in item.samples if (score := sample.scores.get(rule))]
                found[notes[0] if notes else "no rule applies"] += 1
    return found


def unscored_code_lines(found: Counter[str]) -> Iterator[str]:
    """What a reader of an accuracy must know of it."""
    for reason, count in sorted(found.items()):
        yield f"{count} code answers are unscored, and accuracy is that of the others: {reason}"


def _of_judge(run: Run, found: Mapping[str, Result]) -> Iterator[str]:
    """Of each benchmark that the judge was asked about: its canaries, and whether its scores are shown."""
    facts = run.info.judge
    if facts is None:
        return
    for name, result in found.items():
        each = facts.benchmarks.get(name)
        if each is None or each.canaries is None:
            continue
        mark = f"{JUDGED_MARK} " if result.rule == JUDGED else ""
        yield (
            f"{mark}{run.info.benchmarks[name].title}: judge {code(facts.judge.name)} accepts "
            f"{each.canaries.false_positive.text} wrong canaries, refuses "
            f"{each.canaries.false_negative.text} right ones: {each.standing}."
        )


def _calibrated(run: Run) -> Iterator[str]:
    """The judged scores raw and corrected, by whose labels."""
    calibration = run.info.calibration
    if calibration is None:
        return
    for name, sources in calibration.benchmarks.items():
        for labels, found in (("people's", sources.people), ("the rule's", sources.rule)):
            if name in run.info.benchmarks and found is not None:
                title, judge = run.info.benchmarks[name].title, code(calibration.judge.name)
                yield f"{title}: judge {judge} against {labels} labels: {_corrected(found)}."


def _corrected(found: JudgeCalibration) -> str:
    def said(score: Interval | None) -> str:
        return score.text if score else "-"

    return (
        f"κ {found.kappa.text if found.kappa else 'undefined'} (n={found.n}); over {found.estimated} answers "
        f"{said(found.raw)} raw, {said(found.corrected)} corrected, {said(found.prediction_powered)} "
        "prediction-powered"
    )


def _measured_row(run: Run, cells: Sequence[Result | None], notes: list[str]) -> list[str]:
    present = [cell for cell in cells if cell is not None]
    return [
        run.info.model.title,
        parameters_text(run.info.model.parameters),
        *(_cell(run, cell) for cell in cells),
        _average(present, len(cells), notes),
        str(sum(cell.n for cell in present)),
        str(sum(cell.unscored for cell in present)),
        str(sum(cell.failed for cell in present)),
        "this run",
    ]


def _cell(run: Run, result: Result | None) -> str:
    if result is None or result.left_out == result.covered:
        return "-"
    if result.estimate is None:
        return score_cell(run, result) + (f" ({result.unscored})" if result.unscored else "")
    return f"{score_cell(run, result)}{JUDGED_MARK if result.rule == JUDGED else ''} (n={result.n})"


def score_cell(run: Run, result: Result) -> str:
    """The accuracy of one benchmark with its interval, or in a word why there is none."""
    if result.left_out == result.covered:
        return "-"
    if result.estimate is not None:
        return percent(result.estimate)
    facts = run.info.judge.benchmarks.get(result.benchmark) if run.info.judge else None
    if result.unscored and facts is not None and facts.shown == "withheld":
        return "judge not fit"
    return "unscored" if result.unscored else "failed"


def _average(present: Sequence[Result], of: int, notes: list[str]) -> str:
    found = average(present)
    if found is None:
        return "-"
    scored = sum(result.estimate is not None for result in present)
    if scored == of:
        return percent(found)
    notes.append(f"An average over fewer than {of} benchmarks is not comparable with the published ones.")
    return f"{percent(found)} ({scored} of {of})"


def _published_row(row: PrintedRow, published: PublishedTable, others: int, notes: list[str]) -> list[str]:
    """A row as printed, with `others` cells that it has no score for."""
    exact, mark = mean(published, row.scores), ""
    # The printed average is rounded, so it may differ from the exact mean by half a unit of its last digit.
    if abs(exact - row.average) > published.half_unit:
        mark = "†"
        notes.append(
            f"† {row.title}: printed average {row.average}, but its five scores average {exact:.2f}."
        )
    return [
        row.title,
        row.parameters,
        *(f"{row.scores[name]:.1f}" for name in published.benchmarks),
        *("-" for _ in range(others)),
        f"{row.average:.1f}{mark}",
        "-",
        "-",
        "-",
        "published",
    ]


def to_markdown(grid: Grid) -> str:
    """The table as GitHub-flavoured Markdown."""

    def line(cells: Sequence[str]) -> str:
        name, *others = cells
        return "| " + " | ".join([plain(name), *(cell.replace("|", "\\|") for cell in others)]) + " |"

    rule = "|" + "|".join([" --- "] * len(grid.header)) + "|"
    body = [line(grid.header), rule, *(line(row) for row in grid.rows)]
    preface = [*(f"{line}  " for line in grid.preface), ""] if grid.preface else []
    return "\n".join([*preface, *body, "", *(f"{note}  " for note in grid.notes)]) + "\n"


def to_csv(grid: Grid) -> str:
    """The table as CSV, without the notes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(grid.header)
    writer.writerows([cell(each) for each in row] for row in grid.rows)
    return text.getvalue()


_WIDE = 140
_ONLY_WHEN_WIDE = ("Parameters", "n", "unscored", "failed", "Source")


def to_terminal(grid: Grid, width: int) -> Table:
    """The table for rich, without the lesser columns where `width` characters cannot hold them all."""
    shown = [i for i, name in enumerate(grid.header) if width >= _WIDE or name not in _ONLY_WHEN_WIDE]
    table = Table(box=SIMPLE_HEAD)
    header = [grid.header[index].replace("Finance-Instruct-", "Finance-\nInstruct-\n") for index in shown]
    rows = [
        [row[index].replace(" (", "\n(") if index else printable(row[0]) for index in shown]
        for row in grid.rows
    ]
    columns = [[name, *(row[place] for row in rows)] for place, name in enumerate(header)]
    widths = column_widths(columns, width - 3 * len(columns) - 1)
    for place, least in enumerate(widths):
        justify: Literal["left", "right"] = "right" if place else "left"
        table.add_column(header[place], justify=justify, overflow="fold", width=least)
    for number, row in enumerate(rows):
        cells = (Text(fitted(text, widths[place])) for place, text in enumerate(row))
        table.add_row(*cells, style="bold" if number == 0 else "", end_section=number == 0)
    return table
