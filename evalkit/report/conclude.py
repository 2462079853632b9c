"""The end of a run: score it, write what is derived, print the table and what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from evalkit.records import file as record_file
from evalkit.records.make import record_of
from evalkit.report.defects import known_defects
from evalkit.report.document import FILES, report, sections, write_bytes
from evalkit.report.material import material
from evalkit.report.results import Result, results, results_json
from evalkit.report.table import Grid, comparison, to_csv, to_markdown, to_terminal
from evalkit.runner.folder import write_atomically
from evalkit.runner.run import Finished
from evalkit.runner.scoring import Score, chosen_rules, score_records, write_scores
from evalkit.runner.session import cost_line
from evalkit.scorers import DEFAULT


@dataclass(frozen=True, slots=True)
class Concluded:
    """A scored run: its table, what its reader must know besides, and the exit code."""

    grid: Grid
    lines: list[str]
    exit_code: int


def conclude(finished: Finished, rules: str, console: Console, label_defects: Path | None = None) -> int:
    """Score and report a run; returns the exit code: 1 if examples have no answer, else 0.

    Raises:
        UserError: no such rule, or `label_defects` (see `evalkit.report.defects`) cannot be read.
    """
    concluded = write_reports(finished, rules, label_defects)
    console.print(to_terminal(concluded.grid, console.width))
    for note in concluded.grid.notes:
        console.print(note, style="dim", highlight=False, markup=False)
    for line in concluded.lines:
        console.print(line, highlight=False, markup=False)
    return concluded.exit_code


def write_reports(finished: Finished, rules: str, label_defects: Path | None = None) -> Concluded:
    """Score a run and write everything that is derived from its records into its folder.

    Raises:
        UserError: as `conclude`.
    """
    wanted, defects = chosen_rules(rules, DEFAULT), known_defects(label_defects)
    scores = score_records(finished.records, finished.data, wanted)
    found = results(scores, finished.data)
    grid = comparison(finished.config, found, DEFAULT)
    parts = sections(material(scores, finished.config, DEFAULT, defects))
    folder = finished.path
    write_scores(folder / "scores.jsonl", scores)
    write_atomically(
        folder / "results.json",
        _json(results_json(found, finished.config, finished.data, finished.run, parts)),
    )
    write_atomically(folder / "table.md", to_markdown(grid))
    write_atomically(folder / "table.csv", to_csv(grid))
    write_atomically(folder / "report.md", report(finished.config, grid, parts))
    write_bytes(folder / record_file.FILE, record_file.to_bytes(record_of(finished)))
    _write_files(folder, {name: content for part in parts for name, content in part.files.items()})
    mine = [result for result in found if result.rule == DEFAULT]
    lines = [*_shortfalls(finished, mine, scores), *(line for part in parts for line in part.lines)]
    lines = [line for line in [*lines, cost_line(finished.run["measured"])] if line]
    failed = any(score.failed for score in scores) or _missing(finished, mine) > finished.left_out
    return Concluded(grid, lines, int(failed))


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    for name in FILES:
        # What an earlier scoring wrote and this one does not must not pass for this one's.
        if name in files:
            write_bytes(folder / name, files[name])
        else:
            (folder / name).unlink(missing_ok=True)


def _json(content: dict[str, object]) -> str:
    import json

    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _missing(finished: Finished, found: Sequence[Result]) -> int:
    items = sum(len(loaded.examples) for loaded in finished.data.values())
    return items - sum(result.items - result.left_out for result in found)


def _shortfalls(finished: Finished, found: Sequence[Result], scores: Sequence[Score]) -> list[str]:
    """What the table's reader must know: what was not generated, not scored, left out, and why."""
    lines = []
    unscored = sum(result.unscored for result in found)
    if unscored:
        lines.append(f"{unscored} free-text answers are unscored: no judge is configured")
    reasons: dict[str, int] = {}
    for score in scores:
        if score.failed and score.rule == DEFAULT:
            reasons[score.verdict.note] = reasons.get(score.verdict.note, 0) + 1
    for reason, count in sorted(reasons.items()):
        hint = "; give a larger backend.context" if reason == "context_overflow" else ""
        lines.append(f"{count} examples have no answer: {reason}{hint}")
    if finished.left_out:
        lines.append(f"{finished.left_out} examples have no recorded output and are left out, not scored 0")
    missing = _missing(finished, found) - finished.left_out
    if missing > 0:
        lines.append(f"{missing} examples have not been generated yet: the run is partial")
    return lines
