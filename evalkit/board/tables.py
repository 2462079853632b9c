"""leaderboard.md, and the same board as leaderboard.json and leaderboard.csv for other tools."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from evalkit.audit import Audit, to_markdown
from evalkit.board import RULE
from evalkit.board.board import Board, BoardEntry, JudgeCell, Problem, PublishedRow
from evalkit.board.published import PublishedDifference, published_differences
from evalkit.metrics import Result
from evalkit.published import PublishedTable
from evalkit.report.curves import names
from evalkit.run.judgements import JudgedBenchmark, Rate
from evalkit.schema import JUDGED, Estimate
from evalkit.sweep.record import Sweep
from evalkit.text import (
    CAP,
    JUDGED_MARK,
    code,
    file_size,
    parameters_text,
    percent,
    safe,
    size_text,
    table,
)

PRINTED_DIGIT = 0.05 + 1e-9
"""Half a unit of the last printed digit: a mean may be that far from what is printed."""

_PLAIN = re.compile(r"(?!.*(?:www\.|//))[\w .,:;'%+()/-]+", re.IGNORECASE)


def board_markdown(
    board: Board,
    published: Sequence[PublishedTable],
    sweeps: Mapping[str, Sweep],
    audits: Sequence[Audit],
    compared: Mapping[str, Sequence[PublishedDifference]],
) -> str:
    """The whole page; links are relative to the results folder.

    Args:
        sweeps: by the name of their folder under curves/.
        compared: measured scores against those of each published table, by the table's name.
    """
    parts = [
        "# Leaderboard",
        "Made by `evalkit leaderboard` from run records and published tables: run that, do not edit this. "
        "The same numbers: [leaderboard.csv](leaderboard.csv), [leaderboard.json](leaderboard.json); "
        "with every single answer: [the site](site/index.html).",
        "## Measured",
        _measured(board),
        _list(notes(board)),
        "## Published",
        _published(board),
        _list(published_notes(board, published)),
        *judged_part(board, _labels(board)),
        *_sweeps(sweeps),
        *_runs(board),
        *_problems(board),
        *(_audited(board, audit, compared[audit.name]) for audit in audits),
    ]
    return "\n\n".join(parts) + "\n"


def notes(board: Board) -> list[str]:
    """What a reader of the measured rows must know."""
    rules = ", ".join(board.rules)
    lines = [
        f"Per cent with a 95 % interval, clustered by page, dialogue or file, over n examples; rule {rules}.",
        "Average: the plain mean over the benchmarks that are scored. Over fewer than "
        f"{len(board.benchmarks)} it is not comparable with the published ones.",
        "Rows compare only under the same protocol and data. Two runs are best compared example by example: "
        "`evalkit compare`.",
        "Peak memory is that of the process that served the run, host and GPU together; decode speed that of "
        "one request alone.",
        RULE,
    ]
    cells = [cell for entry in board.measured for cell in entry.cells.values()]
    if any(cell.unscored for cell in cells):
        lines.append(
            "Unscored: free text without a judge, or with one that is not fit to be shown; code that was not "
            "run."
        )
    if any(cell.rule == JUDGED for cell in cells):
        lines.append(f"{JUDGED_MARK} As a judge says: how wrong that judge is stands under Judged.")
    return lines


def published_notes(board: Board, published: Sequence[PublishedTable]) -> list[str]:
    """Where the published rows are from, and which of their averages do not add up."""
    lines = []
    for each in published:
        protocol = each.protocol
        lines.append(
            f"{each.name}: {each.title}, {', '.join(each.source.values())}; as printed, in per cent; "
            f"temperature {protocol.temperature}, judge {protocol.judge}: another protocol and "
            "another rule than the measured rows."
        )
    lines += [
        f"† {row.title}: {row.average:.1f} is printed, its scores average {row.mean:.2f}."
        for row in board.published
        if abs(row.mean - row.average) > PRINTED_DIGIT
    ]
    return lines


def _measured(board: Board) -> str:
    if not board.measured:
        return "No run yet: `evalkit run` makes one, `evalkit keep` keeps it in the repository."
    header = [
        *("Model", "Parameters", *map(_words, board.benchmarks.values()), "Average", "File", "Bits/weight"),
        *("Peak memory", "Decode tok/s", "Protocol", "Data"),
    ]
    rows = zip(_labels(board), board.measured, strict=True)
    return table(header, [_measured_row(board, label, entry) for label, entry in rows])


def _labels(board: Board) -> list[str]:
    """What each measured row is called: its title, with the run id where several have the same."""
    count = Counter(entry.title for entry in board.measured)
    return [
        _words(entry.title) + (f" {code(entry.run)}" if count[entry.title] > 1 else "")
        for entry in board.measured
    ]


def _words(text: str, cap: int = CAP) -> str:
    """Somebody's text: as it is where Markdown can make nothing of it, else as code."""
    return text if len(text) <= cap and _PLAIN.fullmatch(text) else code(text, cap)


def _measured_row(board: Board, label: str, entry: BoardEntry) -> list[str]:
    scored = sum(cell.estimate is not None for cell in entry.cells.values())
    average = f"**{percent(entry.average)}**" if entry.average else "-"
    short = f" ({scored} of {len(board.benchmarks)})" if 0 < scored < len(board.benchmarks) else ""
    bits, speed = entry.bits_per_weight, entry.decode_tokens_per_second
    return [
        label + (" ⚠" if entry.warnings else ""),
        parameters_text(entry.parameters),
        *(_cell(entry.cells.get(name)) for name in board.benchmarks),
        average + short,
        file_size(entry.size_bytes) if entry.size_bytes else "-",
        "-" if bits is None else f"{bits:.2f}",
        size_text(entry.peak_memory_bytes) if entry.peak_memory_bytes else "-",
        "-" if speed is None else f"{speed:,.1f}",
        _words(entry.protocol),
        _words(entry.data),
    ]


def _cell(cell: Result | None) -> str:
    if cell is None:
        return "-"
    counts = {"unscored": cell.unscored, "failed": cell.failed, "cut off": cell.truncated}
    rest = [f"{count:,} {what}" for what, count in counts.items() if count]
    if cell.estimate is None:
        return ", ".join(rest) or "-"
    mark = JUDGED_MARK if cell.rule == JUDGED else ""
    return ", ".join([f"{percent(cell.estimate)}{mark} n={cell.n:,}", *rest])


def _published(board: Board) -> str:
    header = ["Model", "Parameters", *map(_words, board.benchmarks.values()), "Average", "Table"]
    rows = []
    for row in board.published:
        mark = " †" if abs(row.mean - row.average) > PRINTED_DIGIT else ""
        cells = (f"{row.scores[name]:.1f}" if name in row.scores else "-" for name in board.benchmarks)
        rows.append([row.title, row.parameters, *cells, f"{row.average:.1f}{mark}", row.table])
    return table(header, rows)


def _sweeps(sweeps: Mapping[str, Sweep]) -> Iterator[str]:
    if sweeps:
        yield "## Quants"
    for name, sweep in sweeps.items():
        folder = f"curves/{quote(name)}"
        figure = next(iter(names(sweep).items()), None)
        picture = f"\n\n![{figure[1]}]({folder}/{figure[0]}.svg)" if figure else ""
        yield f"{_words(sweep.title)}: [what each loses and costs]({folder}/report.md){picture}"


def _runs(board: Board) -> Iterator[str]:
    if not board.measured:
        return
    yield "## Where each row comes from"
    header = ["Model", "Record", "Warnings"]
    rows = [
        [label, code(entry.file, 200), "; ".join(_words(text, 200) for text in entry.warnings) or "-"]
        for label, entry in zip(_labels(board), board.measured, strict=True)
    ]
    yield table(header, rows, text_columns=3)


def _problems(board: Board) -> Iterator[str]:
    titles: dict[str, str] = {"superseded": "Another run stands for these", "unreadable": "Could not be read"}
    for kind, title in titles.items():
        found = [problem for problem in board.problems if problem.kind == kind]
        if found:
            yield f"## {title}"
            yield _list([_problem_line(problem) for problem in found])


def _problem_line(problem: Problem) -> str:
    return f"{code(problem.file, 200)}: {code(problem.reason, 300)}"


def _audited(board: Board, audit: Audit, compared: Sequence[PublishedDifference]) -> str:
    measured = published_differences(compared, board.benchmarks).rstrip()
    return (
        f"## The published table, audited\n\n{to_markdown(audit).rstrip()}\n\n"
        f"### Measured against published\n\n{measured}"
    )


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


NOTES = (
    "Wrong accepted, right refused: mistakes on canaries, answers made from the run's own examples whose "
    "verdict is known, with Wilson's 95 % interval. Above its limits a judge is not fit, and its scores are "
    "withheld.",
    "Corrected: raw score put right by the judge's sensitivity and specificity on labelled answers; "
    "prediction-powered: the same labels as a correction of the mean. Both with the labels' own uncertainty.",
)


def judged_part(board: Board, labels: Sequence[str]) -> Iterator[str]:
    """The section, if any run was judged.

    Args:
        labels: what each measured row is called.
    """
    lines = [
        (label, board.benchmarks.get(each.benchmark, each.benchmark), each)
        for label, entry in zip(labels, board.measured, strict=True)
        for each in entry.judged
    ]
    tested = [[label, title, *_tested(each)] for label, title, each in lines if each.fitness]
    calibrated = [[label, title, *_calibrated(each)] for label, title, each in lines if each.calibrated]
    if not lines:
        return
    yield "## Judged"
    if tested:
        header = ["Model", "Benchmark", "Judge", "Left to it", "Wrong accepted", "Right refused", "Raw", ""]
        yield table(header, tested, text_columns=3)
    if calibrated:
        header = ["Model", "Benchmark", "Judge", "Labels", "κ", "Raw", "Corrected", "Prediction-powered"]
        yield table(header, calibrated, text_columns=3)
    yield "\n".join(f"- {note}" for note in NOTES)


def _tested(each: JudgeCell) -> list[str]:
    of = each.fitness
    assert of is not None
    mistakes = [of.canaries.false_positive, of.canaries.false_negative] if of.canaries else [None, None]
    shown = [*map(rate, mistakes), percent(each.raw)]
    return [code(each.judge), f"{of.paths.judge:,}", *shown, code(standing(each))]


def standing(each: JudgeCell) -> str:
    """Whether the judge's scores are shown, in words."""
    assert each.fitness is not None
    reason = each.fitness.canaries.reason if each.fitness.canaries else None
    if each.fitness.shown == "fit":
        return "fit"
    how = "not fit, withheld" if each.fitness.shown == "withheld" else "not fit, shown by force"
    return f"{how}: it {reason}" if reason else how


def _calibrated(each: JudgeCell) -> list[str]:
    found = each.calibrated
    assert found is not None
    scores = (found.raw, found.corrected, found.prediction_powered)
    return [
        code(each.judge),
        f"{found.n:,} by {'people' if each.labels == 'people' else 'rule'}",
        found.kappa.text if found.kappa else "undefined",
        *(score.text if score else "-" for score in scores),
    ]


def rate(found: Rate | None) -> str:
    """`12 % [5, 25] of 40`"""
    return found.text if found else "-"


BOARD_SCHEMA = 1
"""Version of leaderboard.json."""

DIGITS = 6
"""Decimals of a fraction in both files: further ones depend on the processor, and bytes must not."""

_FACTS = ("title", "parameters", "rule", "protocol", "data", "run", "file", "family")
_COSTS = ("size_bytes", "bits_per_weight", "peak_memory_bytes", "decode_tokens_per_second")
_COUNTS = ("covered", "unscored", "failed", "truncated")


def board_json(board: Board, notes: Sequence[str]) -> str:
    """The board as JSON: measured accuracies are fractions of 1, published ones per cent as printed."""
    content = {"schema": BOARD_SCHEMA, "notes": list(notes), **asdict(board)}
    content["measured"] = [_measured_json(entry) for entry in board.measured]
    return json.dumps(_rounded(content), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _measured_json(entry: BoardEntry) -> dict[str, Any]:
    fields = asdict(entry)
    for name, cell in entry.cells.items():
        estimate = fields["cells"][name]["estimate"]
        counts = {count: getattr(cell, count) for count in _COUNTS}
        fields["cells"][name] = {"estimate": estimate, **counts, "rule": cell.rule}
    for judged, each in zip(fields["judged"], entry.judged, strict=True):
        judged["fitness"] = _fitness_json(each.fitness) if each.fitness else None
    return fields


def _fitness_json(of: JudgedBenchmark) -> dict[str, Any]:
    found = of.canaries
    canaries = found and {
        "false_positive": asdict(found.false_positive),
        "false_negative": asdict(found.false_negative),
        "reason": found.reason,
    }
    return {"shown": of.shown, "paths": asdict(of.paths), "canaries": canaries}


def _rounded(node: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(node, float):
        return round(node, DIGITS) + 0.0
    if isinstance(node, dict):
        return {key: _rounded(value) for key, value in node.items()}
    return [_rounded(value) for value in node] if isinstance(node, list | tuple) else node


def board_csv(board: Board) -> str:
    """The board as CSV, all accuracies in per cent: `kind` is measured or published.

    A benchmark has the columns NAME, NAME_low, NAME_high (95 % interval) and NAME_n (scored examples), and
    NAME_covered, NAME_unscored, NAME_failed, NAME_truncated (examples).
    """
    rows = [_measured_fields(entry) for entry in board.measured] + [
        _published_fields(row) for row in board.published
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(_columns(board)), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: safe(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _columns(board: Board) -> Iterator[str]:
    yield from ("kind", "model", "table", *_FACTS, *_estimate_columns("average"), "benchmarks", *_COSTS)
    for name in board.benchmarks:
        yield from (*_estimate_columns(name), *(f"{name}_{count}" for count in _COUNTS))


def _estimate_columns(name: str) -> tuple[str, ...]:
    return name, f"{name}_low", f"{name}_high", f"{name}_n"


def _measured_fields(entry: BoardEntry) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": "measured", "model": entry.model}
    row |= {name: getattr(entry, name) for name in (*_FACTS, *_COSTS)}
    row |= _estimate("average", entry.average)
    row["benchmarks"] = sum(cell.estimate is not None for cell in entry.cells.values())
    for name, cell in entry.cells.items():
        row |= _estimate(name, cell.estimate)
        row |= {f"{name}_{count}": getattr(cell, count) for count in _COUNTS}
    return row


def _published_fields(row: PublishedRow) -> dict[str, Any]:
    facts = {"kind": "published", "model": row.model, "table": row.table, "title": row.title}
    scores = {"parameters": row.parameters, "average": row.average, "benchmarks": len(row.scores)}
    return {**facts, **scores, **row.scores}


def _estimate(name: str, estimate: Estimate | None) -> dict[str, float | int]:
    if estimate is None:
        return {}
    limits = [round(100 * limit, DIGITS - 2) + 0.0 for limit in (estimate.value, estimate.low, estimate.high)]
    return dict(zip(_estimate_columns(name), [*limits, estimate.n], strict=True))
