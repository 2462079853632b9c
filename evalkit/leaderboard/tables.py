"""leaderboard.md: measured rows, published rows, quants, where each row comes from, what is not shown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from evalkit.audit.against import Against
from evalkit.audit.against import to_markdown as against_markdown
from evalkit.audit.audit import Audit
from evalkit.audit.audit import to_markdown as audit_markdown
from evalkit.audit.table import PublishedTable
from evalkit.compare.report import accuracy
from evalkit.judge.verdicts import JUDGED
from evalkit.leaderboard.board import Board, Measured, Problem
from evalkit.leaderboard.choose import RULE
from evalkit.leaderboard.judged_table import judged_part
from evalkit.records.accuracy import Cell
from evalkit.report.curves import names
from evalkit.report.markdown import CAP, code
from evalkit.report.markdown import table as markdown_table
from evalkit.report.table import JUDGED_MARK
from evalkit.scorers import DEFAULT
from evalkit.sweep.record import Sweep
from evalkit.sweep.sizes import size

PRINTED_DIGIT = 0.05 + 1e-9
"""Half a unit of the last printed digit: a mean may be that far from what is printed."""

_PLAIN = re.compile(r"(?!.*(?:www\.|//))[\w .,:;'%+()/-]+", re.IGNORECASE)


def to_markdown(
    board: Board,
    published: Sequence[PublishedTable],
    sweeps: Mapping[str, Sweep],
    audits: Sequence[Audit],
    compared: Mapping[str, Sequence[Against]],
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
    rules = ", ".join(sorted({entry.rule for entry in board.measured})) or DEFAULT
    lines = [
        f"Per cent with a 95 % interval, clustered by page, dialogue or file, over n examples; rule {rules}.",
        "Average: the plain mean over the benchmarks that are scored. Over fewer than "
        f"{len(board.benchmarks)} it is not comparable with the published ones.",
        "Rows compare only under the same protocol and data. Two runs are best compared example by example: "
        "`evalkit compare`.",
        "Peak memory is that of the process that served the run; decode speed that of one request alone.",
        RULE,
    ]
    cells = [cell for entry in board.measured for cell in entry.cells.values()]
    if any(cell.unscored for cell in cells):
        lines.append("Unscored: free text without a judge, or with one that is not fit to be shown.")
    if any(cell.rule == JUDGED for cell in cells):
        lines.append(f"{JUDGED_MARK} As a judge says: how wrong that judge is stands under Judged.")
    return lines


def published_notes(board: Board, published: Sequence[PublishedTable]) -> list[str]:
    """Where the published rows are from, and which of their averages do not add up."""
    lines = []
    for table in published:
        protocol = table.protocol
        lines.append(
            f"{table.name}: {table.title}, {', '.join(table.source.values())}; as printed, in per cent; "
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
    return markdown_table(header, [_measured_row(board, label, entry) for label, entry in rows])


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


def _measured_row(board: Board, label: str, entry: Measured) -> list[str]:
    scored = sum(cell.estimate is not None for cell in entry.cells.values())
    average = f"**{accuracy(entry.average)}**" if entry.average else "-"
    short = f" ({scored} of {len(board.benchmarks)})" if 0 < scored < len(board.benchmarks) else ""
    bits, speed = entry.bits_per_weight, entry.decode_tokens_per_second
    return [
        label + (" ⚠" if entry.warnings else ""),
        _parameters(entry.parameters),
        *(_cell(entry.cells.get(name)) for name in board.benchmarks),
        average + short,
        _file_size(entry.size_bytes),
        "-" if bits is None else f"{bits:.2f}",
        size(entry.peak_memory_bytes) if entry.peak_memory_bytes else "-",
        "-" if speed is None else f"{speed:,.1f}",
        _words(entry.protocol),
        _words(entry.data),
    ]


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    counts = {"unscored": cell.unscored, "failed": cell.failed, "cut off": cell.truncated}
    rest = [f"{count:,} {what}" for what, count in counts.items() if count]
    if cell.estimate is None:
        return ", ".join(rest) or "-"
    mark = JUDGED_MARK if cell.rule == JUDGED else ""
    return ", ".join([f"{accuracy(cell.estimate)}{mark} n={cell.estimate.n:,}", *rest])


def _parameters(count: int | None) -> str:
    if not count:
        return "-"
    return f"{count / 1e9:.1f}B" if count >= 1e9 else f"{count / 1e6:.0f}M"


def _file_size(count: int | None) -> str:
    if not count:
        return "-"
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _published(board: Board) -> str:
    header = ["Model", "Parameters", *map(_words, board.benchmarks.values()), "Average", "Table"]
    rows = []
    for row in board.published:
        mark = " †" if abs(row.mean - row.average) > PRINTED_DIGIT else ""
        cells = (f"{row.scores[name]:.1f}" if name in row.scores else "-" for name in board.benchmarks)
        rows.append([row.title, row.parameters, *cells, f"{row.average:.1f}{mark}", row.table])
    return markdown_table(header, rows)


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
    yield markdown_table(header, rows, text_columns=3)


def _problems(board: Board) -> Iterator[str]:
    titles: dict[str, str] = {"superseded": "Another run stands for these", "unreadable": "Could not be read"}
    for kind, title in titles.items():
        found = [problem for problem in board.problems if problem.kind == kind]
        if found:
            yield f"## {title}"
            yield _list([_problem_line(problem) for problem in found])


def _problem_line(problem: Problem) -> str:
    return f"{code(problem.file, 200)}: {code(problem.reason, 300)}"


def _audited(board: Board, audit: Audit, compared: Sequence[Against]) -> str:
    measured = against_markdown(compared, board.benchmarks).rstrip()
    return (
        f"## The published table, audited\n\n{audit_markdown(audit).rstrip()}\n\n"
        f"### Measured against published\n\n{measured}"
    )


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
