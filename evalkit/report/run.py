"""A run's own report: score it, write what is derived into its folder, print figures and shortfalls."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from evalkit.files import write_atomically, write_bytes
from evalkit.metrics import Result, average, results
from evalkit.report.judge import judge_section
from evalkit.report.label_defects import Defect, known_defects, label_defects_section
from evalkit.report.results_file import results_json
from evalkit.report.rules import FILES, rules_section
from evalkit.report.samples import budget_section, samples_section
from evalkit.report.sections import (
    Section,
    breakdown_section,
    classification_section,
    failures_section,
)
from evalkit.report.summary import cost_text, heading, next_lines, remedies, summary_lines
from evalkit.report.table import (
    Grid,
    comparison,
    to_csv,
    to_markdown,
    to_terminal,
    unscored_code,
    unscored_code_lines,
)
from evalkit.run.folder import Finished
from evalkit.run.generations import mended_line
from evalkit.run.info import Run
from evalkit.run.judgements import NOT_YET
from evalkit.run.provenance import cost_line
from evalkit.run.record import RECORD_FILE, to_bytes
from evalkit.run.scoring import chosen_rules, scored_run, with_rules, write_scores
from evalkit.schema import CONTEXT_OVERFLOW, JUDGED
from evalkit.text import code, show_lines, write_json


def sections(run: Run, defects: Sequence[Defect]) -> list[Section]:
    """The parts that this run has something for."""
    made = (
        judge_section(run),
        failures_section(run),
        classification_section(run),
        breakdown_section(run),
        samples_section(run),
        budget_section(run),
        label_defects_section(run, defects),
        rules_section(run),
    )
    return [section for section in made if section is not None]


def report(run: Run, grid: Grid, parts: Sequence[Section]) -> str:
    """The whole report as Markdown; the same run gives the same text."""
    head = [
        f"# {code(run.info.model.title)}: report",
        "Written by `evalkit score` from the run's records. Accuracies are per cent with 95 % intervals.",
        "## Accuracy",
        to_markdown(grid).rstrip("\n"),
    ]
    cost = cost_line(run.info.raw["measured"])
    tail = ["## The harness itself", cost] if cost else []
    return "\n\n".join([*head, *(f"## {part.title}\n\n{part.body}" for part in parts), *tail]) + "\n"


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A scored run: its table, what its reader must know besides, and the exit code."""

    run: Run
    grid: Grid
    lines: list[str]
    exit_code: int


def conclude(
    finished: Finished,
    rules: str,
    console: Console,
    label_defects: Path | None = None,
    *,
    published: bool = False,
    as_json: bool = False,
) -> int:
    """Score and report a run; returns the exit code: 1 if examples have no answer, else 0.

    Args:
        published: whether the rows of the published table are shown beside the run's own.
        as_json: whether the figures are printed as JSON, and nothing else.

    Raises:
        UserError: no such rule, or `label_defects` (see `evalkit.report.label_defects`) cannot be read.
    """
    concluded = write_reports(finished, rules, label_defects)
    run = concluded.run
    if as_json:
        write_json(_record(concluded, finished.path))
        return concluded.exit_code
    show_lines(console, [*concluded.grid.preface, heading(run)])
    for line in summary_lines(run):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    show_lines(console, [line for line in [cost_text(run)] if line])
    if published:
        console.print(to_terminal(concluded.grid, console.width))
        show_lines(console, concluded.grid.notes, "dim")
    show_lines(console, concluded.lines)
    show_lines(console, next_lines(finished.path))
    return concluded.exit_code


def _record(concluded: RunSummary, folder: Path) -> dict[str, object]:
    """What a run shows when it has ended, for programs. Accuracies are fractions of 1."""
    run, found = concluded.run, results(concluded.run)
    return {
        "run": folder,
        "model": run.info.model,
        "protocol": run.info.protocol,
        "benchmarks": [
            {
                "title": run.info.benchmarks[name].title,
                **asdict(each),
                "notes": list(remedies(run, name, run.of(name))),
            }
            for name, each in found.items()
        ],
        "average": average(found.values()),
        "measured": run.info.measured,
        "notes": concluded.lines,
        "exit_code": concluded.exit_code,
    }


def write_reports(finished: Finished, rules: str, label_defects: Path | None = None) -> RunSummary:
    """Score a run and write everything that is derived from its records into its folder.

    The record holds the scores of all rules, the rest those of `rules` and of what counts.

    Raises:
        UserError: as `conclude`.
    """
    counting = [benchmark.rule for benchmark in finished.settings.benchmark.values()]
    wanted, defects = [*chosen_rules(rules), *counting, JUDGED], known_defects(label_defects)
    full = scored_run(finished)
    run = with_rules(full, wanted)
    grid, parts, folder = comparison(run), sections(run, defects), finished.path
    write_scores(folder, run)
    content = json.dumps(results_json(run, finished.settings, parts), ensure_ascii=False, indent=2) + "\n"
    write_atomically(folder / "results.json", content)
    write_atomically(folder / "table.md", to_markdown(grid))
    write_atomically(folder / "table.csv", to_csv(grid))
    write_atomically(folder / "report.md", report(run, grid, parts))
    write_bytes(folder / RECORD_FILE, to_bytes(full))
    _write_files(folder, {name: content for part in parts for name, content in part.files.items()})
    shortfalls = _shortfalls(run, finished.left_out)
    lines = [*shortfalls.lines, *(line for part in parts for line in part.lines)]
    if any(part.files for part in parts):
        lines.append(f"rule by rule: report.md and rules.csv in {folder}")
    if line := mended_line(finished.run):
        lines.append(line)
    return RunSummary(run, grid, lines, int(shortfalls.incomplete))


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    for name in FILES:
        # What an earlier scoring wrote and this one does not must not pass for this one's.
        if name in files:
            write_bytes(folder / name, files[name])
        else:
            (folder / name).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Shortfalls:
    """What the table's reader must know, and whether something that was asked for is not there."""

    lines: list[str]
    incomplete: bool


def _shortfalls(run: Run, left_out: int) -> _Shortfalls:
    """What was not generated, not scored, left out, and why.

    Args:
        left_out: examples that a file of recorded outputs has nothing of.
    """
    found = results(run).values()
    failed = Counter(
        sample.error for item in run.items for sample in item.samples if sample.error is not None
    )
    missing = sum(each.left_out for each in found) - left_out
    unjudged = _unjudged(run)
    lines = [*_unscored(run, found), *unjudged]
    if run.info.judge is not None and run.info.judge.stopped:
        lines.append(f"the judge was stopped: {run.info.judge.stopped}")
    for reason, count in sorted(failed.items()):
        hint = "; give a larger backend.context" if reason == CONTEXT_OVERFLOW else ""
        lines.append(f"{count} examples have no answer: {reason}{hint}")
    if left_out:
        lines.append(f"{left_out} examples have no recorded output and are left out, not scored 0")
    if missing > 0:
        lines.append(f"{missing} examples have not been generated yet: the run is partial")
    return _Shortfalls(lines, bool(failed) or missing > 0 or bool(unjudged))


def _unscored(run: Run, found: Iterable[Result]) -> Iterator[str]:
    code = unscored_code(run)
    yield from unscored_code_lines(code)
    unscored = sum(each.unscored for each in found) - code.total()
    if unscored > 0:
        judged = run.info.judge is not None
        why = "the judge is not fit, or was never asked" if judged else "no judge is configured"
        yield f"{unscored} free-text answers are unscored: {why}"


def _unjudged(run: Run) -> list[str]:
    """What has no verdict of the judge, and why."""
    if run.info.judge is None:
        return []
    errors: Counter[str] = Counter()
    for each in run.info.judge.benchmarks.values():
        errors.update(each.errors)
    lines = [
        f"{count} answers have no verdict of the judge: {kind}; judge the run again to go on"
        for kind, count in sorted(errors.items())
        if count
    ]
    lines += [
        f"{run.info.benchmarks[name].title}: the judge gave no verdict on any canary "
        f"({', '.join(sorted(each.canaries.errors))}): judge the run again to go on"
        for name, each in run.info.judge.benchmarks.items()
        if name in run.info.benchmarks and each.canaries is not None and each.canaries.unanswered
    ]
    judged = [
        sample.scores[JUDGED] for item in run.items for sample in item.samples if JUDGED in sample.scores
    ]
    waiting = sum(score.note == NOT_YET for score in judged)
    if waiting:
        lines.append(f"{waiting} answers are not judged yet: evalkit judge run RUN_DIR")
    return lines
