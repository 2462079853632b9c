"""The end of a run: score it, write what is derived, print the table and what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from evalkit.judge.facts import read_calibration
from evalkit.judge.ledger import Ledger, read_ledger
from evalkit.judge.verdicts import NOT_YET
from evalkit.records import file as record_file
from evalkit.records.make import record_of
from evalkit.report.defects import known_defects
from evalkit.report.document import FILES, report, sections, write_bytes
from evalkit.report.material import material
from evalkit.report.results import Result, counting, results, results_json
from evalkit.report.sections import judge
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
    for line in concluded.grid.preface:
        console.print(line, highlight=False, markup=False)
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
    ledger = read_ledger(finished.path)
    scores = score_records(finished.records, finished.data, wanted, ledger)
    found = results(scores, finished.data)
    grid = comparison(finished.config, found, DEFAULT, ledger, read_calibration(finished.path))
    sorted_scores = material(scores, finished.config, DEFAULT, defects, ledger)
    parts = [part for part in [judge.section(sorted_scores)] if part] + sections(sorted_scores)
    folder = finished.path
    write_scores(folder, scores)
    write_atomically(
        folder / "results.json",
        _json(results_json(found, finished.config, finished.data, finished.run, parts, ledger)),
    )
    write_atomically(folder / "table.md", to_markdown(grid))
    write_atomically(folder / "table.csv", to_csv(grid))
    write_atomically(folder / "report.md", report(finished.config, grid, parts))
    write_bytes(folder / record_file.FILE, record_file.to_bytes(record_of(finished)))
    _write_files(folder, {name: content for part in parts for name, content in part.files.items()})
    mine = counting(found)
    lines = [*_shortfalls(finished, mine, scores, ledger), *(line for part in parts for line in part.lines)]
    lines = [line for line in [*lines, cost_line(finished.run["measured"])] if line]
    failed = any(score.failed for score in scores) or _missing(finished, mine) > finished.left_out
    failed = failed or (ledger is not None and bool(ledger.errors or _not_judged(scores)))
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


def _shortfalls(
    finished: Finished, found: Sequence[Result], scores: Sequence[Score], ledger: Ledger | None
) -> list[str]:
    """What the table's reader must know: what was not generated, not scored, left out, and why."""
    lines = []
    unscored = sum(result.unscored for result in found)
    if unscored:
        why = "no judge is configured" if ledger is None else "the judge is not fit, or was never asked"
        lines.append(f"{unscored} free-text answers are unscored: {why}")
    lines += _unjudged(scores, ledger) if ledger is not None else []
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


def _not_judged(scores: Sequence[Score]) -> int:
    """Answers that came after the judge was there, or that were never put before it."""
    return sum(score.verdict.note == NOT_YET for score in scores)


def _unjudged(scores: Sequence[Score], ledger: Ledger) -> list[str]:
    """What has no verdict of the judge, and why."""
    lines = [
        f"{count} answers have no verdict of the judge: {kind}; judge the run again to go on"
        for kind, count in ledger.errors.items()
    ]
    waiting = _not_judged(scores)
    if waiting:
        lines.append(f"{waiting} answers are not judged yet: evalkit judge run RUN_DIR")
    if ledger.summary["stopped"]:
        lines.append(f"the judge was stopped: {ledger.summary['stopped']}")
    return lines
