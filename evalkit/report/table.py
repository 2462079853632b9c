"""The comparison table: this run beside the published rows. Terminal, Markdown, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from evalkit.judge.facts import Calibrated, CalibrationFacts, Interval
from evalkit.judge.ledger import Ledger
from evalkit.judge.verdicts import JUDGED
from evalkit.report.markdown import code
from evalkit.report.published import Published, read_published
from evalkit.report.results import Result, average, counting
from evalkit.report.sections.judge import rate, standing
from evalkit.stats.error import wilson

JUDGED_MARK = "‡"


@dataclass(frozen=True, slots=True)
class Grid:
    """A table as text: header, rows, the notes that belong below it, and what must be read before it."""

    header: list[str]
    rows: list[list[str]]
    notes: list[str]
    preface: list[str] = field(default_factory=list)


def comparison(
    config: Mapping[str, Any],
    found: Sequence[Result],
    rule: str,
    ledger: Ledger | None = None,
    calibration: CalibrationFacts | None = None,
) -> Grid:
    """This run's row above the published ones, with the columns of the published table.

    Measured cells are per cent ± one standard error (clustered), published ones as printed. What `rule`
    cannot score is there as judged, marked, or not at all if the judge is not fit.

    Args:
        ledger: what a judge has said of the run.
        calibration: a judge against labels, on this run's answers.
    """
    published = read_published()
    columns = published.benchmarks
    titles = [published.titles[name] for name in columns]
    header = ["Model", "Parameters", *titles, "Average", "n", "unscored", "failed", "Source"]
    mine = {result.benchmark: result for result in counting(found, rule)}
    notes = [
        f"Measured cells: % ± one standard error, clustered by page, dialogue or file; rule `{rule}`, "
        f"protocol {config['protocol']['name']}, data {config['data']['source']}."
    ]
    if any(result.accuracy in (0.0, 1.0) for result in mine.values()):
        notes.append("[low, high]: 95 % Wilson interval, where no or all items are right.")
    rows = [_measured_row(config, [mine.get(name) for name in columns], ledger, notes)]
    rows += [_published_row(row, published, notes) for row in published.rows]
    notes.append(published.source_note)
    preface = _of_judge(config, mine, ledger) if ledger is not None else []
    preface += _calibrated(config, calibration) if calibration is not None else []
    return Grid(header, rows, list(dict.fromkeys(notes)), preface)


def _of_judge(config: Mapping[str, Any], mine: Mapping[str, Result], ledger: Ledger) -> list[str]:
    """Of each benchmark that the judge was asked about: its canaries, and whether its scores are shown."""
    judge, lines = code(str(ledger.summary["judge"]["name"])), []
    for name, result in mine.items():
        of = ledger.of(name)
        if not of or not of["canaries"]:
            continue
        title, canaries = config["benchmark"][name]["title"], of["canaries"]
        mark = f"{JUDGED_MARK} " if result.rule == JUDGED else ""
        lines.append(
            f"{mark}{title}: judge {judge} accepts {rate(canaries['false_positive'])} wrong canaries, "
            f"refuses {rate(canaries['false_negative'])} right ones: {standing(of)}."
        )
    return lines


def _calibrated(config: Mapping[str, Any], calibration: CalibrationFacts) -> list[str]:
    """The judged scores raw and corrected, by whose labels."""
    judge = code(calibration.judge.name)
    return [
        f"{config['benchmark'][name]['title']}: judge {judge} against {labels} labels: {_corrected(found)}."
        for name, sources in calibration.benchmarks.items()
        if name in config["benchmark"]
        for labels, found in (("people's", sources.people), ("the rule's", sources.rule))
        if found is not None
    ]


def _corrected(found: Calibrated) -> str:
    def said(score: Interval | None) -> str:
        return score.text if score else "-"

    return (
        f"κ {found.kappa.text if found.kappa else 'undefined'} (n={found.n}); over {found.estimated} answers "
        f"{said(found.raw)} raw, {said(found.corrected)} corrected, {said(found.prediction_powered)} "
        "prediction-powered"
    )


def _measured_row(
    config: Mapping[str, Any], cells: Sequence[Result | None], ledger: Ledger | None, notes: list[str]
) -> list[str]:
    present = [cell for cell in cells if cell is not None]
    model = config["model"]
    return [
        str(model["title"]),
        _parameters(model.get("parameters")),
        *(_cell(cell, ledger) for cell in cells),
        _average(present, len(cells), notes),
        str(sum(cell.n for cell in present)),
        str(sum(cell.unscored for cell in present)),
        str(sum(cell.failed for cell in present)),
        "this run",
    ]


def _cell(result: Result | None, ledger: Ledger | None) -> str:
    if result is None:
        return "-"
    if result.accuracy is None:
        if result.unscored and ledger is not None and ledger.of(result.benchmark).get("shown") == "withheld":
            return f"judge not fit ({result.unscored})"
        return f"unscored ({result.unscored})" if result.unscored else "failed"
    return f"{_accuracy(result)}{JUDGED_MARK if result.rule == JUDGED else ''} (n={result.n})"


def _accuracy(result: Result) -> str:
    """± one standard error, or a Wilson interval where all or no items are right and the error would be 0."""
    assert result.accuracy is not None
    if result.accuracy in (0.0, 1.0):
        low, high = wilson(round(result.accuracy * result.n), result.n)
        return f"{100 * result.accuracy:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    return percent(result.accuracy, result.stderr)


def percent(value: float, error: float | None) -> str:
    """A fraction as per cent with its standard error, e.g. `45.0 ± 3.1`."""
    return f"{100 * value:.1f} ± {100 * error:.1f}" if error is not None else f"{100 * value:.1f}"


def _average(present: Sequence[Result], of: int, notes: list[str]) -> str:
    mean = average(present)
    if mean is None:
        return "-"
    scored = sum(result.accuracy is not None for result in present)
    text = percent(*mean)
    if scored < of:
        notes.append(f"An average over fewer than {of} benchmarks is not comparable with the published ones.")
        return f"{text} ({scored} of {of})"
    return text


def _parameters(count: int | None) -> str:
    if not count:
        return "-"
    return f"{count / 1e9:.0f}B" if count >= 1e9 else f"{count / 1e6:.0f}M"


def _published_row(row: Mapping[str, Any], published: Published, notes: list[str]) -> list[str]:
    printed = float(row["average"])
    mean = published.mean(row)
    mark = ""
    # The printed average has one decimal, so it may differ from the exact mean by half a unit of it.
    if abs(mean - printed) > 0.05 + 1e-9:
        mark = "†"
        notes.append(f"† {row['title']}: printed average {printed}, but its five scores average {mean:.2f}.")
    return [
        str(row["title"]),
        str(row["parameters"]),
        *(f"{row['scores'][name]:.1f}" for name in published.benchmarks),
        f"{printed:.1f}{mark}",
        "-",
        "-",
        "-",
        "published",
    ]


def to_markdown(grid: Grid) -> str:
    """The table as GitHub-flavoured Markdown."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rule = "|" + "|".join([" --- "] * len(grid.header)) + "|"
    body = [line(grid.header), rule, *(line(row) for row in grid.rows)]
    preface = [*(f"{line}  " for line in grid.preface), ""] if grid.preface else []
    return "\n".join([*preface, *body, "", *(f"{note}  " for note in grid.notes)]) + "\n"


def to_csv(grid: Grid) -> str:
    """The table as CSV, without the notes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(grid.header)
    writer.writerows(grid.rows)
    return text.getvalue()


_WIDE = 140
_ONLY_WHEN_WIDE = ("Parameters", "n", "unscored", "failed", "Source")


def to_terminal(grid: Grid, width: int) -> Table:
    """The table for rich, without the lesser columns where `width` characters cannot hold them all."""
    shown = [i for i, name in enumerate(grid.header) if width >= _WIDE or name not in _ONLY_WHEN_WIDE]
    table = Table(box=SIMPLE_HEAD)
    for index in shown:
        header = grid.header[index].replace("Finance-Instruct-", "Finance-\nInstruct-")
        table.add_column(header, justify="left" if index == 0 else "right", overflow="fold")
    for number, row in enumerate(grid.rows):
        cells = [row[index].replace(" (", "\n(") for index in shown]
        table.add_row(*cells, style="bold" if number == 0 else "", end_section=number == 0)
    return table
