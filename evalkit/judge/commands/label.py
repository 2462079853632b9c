"""`evalkit judge label`: a person labels a sample of a run's answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import UserError
from evalkit.judge.options import given, whole

if TYPE_CHECKING:
    from rich.console import Console

    from evalkit.judge.labels import Label
    from evalkit.judge.sheet import Labels
    from evalkit.judge.subject import Subject

HELP = """
usage: evalkit judge label RUN_DIR [n=100] [out=FILE.csv | in=FILE.csv] [KEY=VALUE ...]

Label a sample of a run's answers as right or wrong, one key each: 1 right, 0 wrong, b borderline, s skip,
u undo, q quit. Every label is in RUN_DIR/labels.jsonl when the next answer appears; the same command goes on
there. The labeller sees the question, the gold answer, what was found as the answer and the answer's end, and
neither the rule's verdict nor the judge's. Then: evalkit judge calibrate RUN_DIR labels=RUN_DIR/labels.jsonl

The sample is random, the same for the same seed: n spread evenly over the benchmarks, and within one in
proportion to the rule's verdicts, the judge's (where the run was judged) and the kinds of answer, so that
estimates from it need no weights.

  n=100                    how many answers in all
  out=FILE.csv             write the sheet for a spreadsheet instead; fill in its column `label`: 1, 0 or b
  in=FILE.csv              read a filled-in sheet back
  benchmark=NAME           of one benchmark only
  seed=0                   of the sample
  data.dir=PATH            where the run's local data is now, if it has moved

exit code: 0 done, 2 wrong request
"""

LABELS = "labels.jsonl"
_DEFAULTS = {"n": "100", "out": "", "in": "", "benchmark": "", "seed": "0", "data.dir": ""}


def main(arguments: Sequence[str]) -> int:
    asked = given("label", arguments, _DEFAULTS)
    options = asked.options
    n, seed = whole("label", "n", options["n"]), whole("label", "seed", options["seed"], least=0)
    if len(asked.folders) != 1:
        raise UserError("judge label: give one run folder: evalkit judge label RUN_DIR")
    if asked.judge:
        raise UserError(f"judge label: it needs no judge: leave {asked.judge[0]} out")
    if options["out"] and options["in"]:
        raise UserError("judge label: give out=FILE.csv or in=FILE.csv, not both")

    from evalkit.judge.stratify import label_sample
    from evalkit.judge.subject import population
    from evalkit.report.console import output_console
    from evalkit.runner.run import finished_run

    folder = asked.folders[0]
    finished = finished_run(folder, options["data.dir"] or None)
    wanted = population(finished, options["benchmark"] or None).subjects
    # Labels given earlier may be of any benchmark.
    every = [subject for of_one in population(finished).subjects.values() for subject in of_one]
    path = folder / LABELS
    labels = _earlier(path, every)
    console = output_console()
    if options["in"]:
        return _take(Path(options["in"]), every, labels, path, console)
    sample = label_sample(wanted, n, seed, folder)
    if options["out"]:
        return _write_sheet(Path(options["out"]), sample, labels, console)
    return _ask(sample, labels, path, console)


def _earlier(path: Path, subjects: Sequence[Subject]) -> Labels:
    """The labels given so far."""
    from evalkit.judge.labels import read_labels

    if not path.exists() or not path.stat().st_size:
        return {}
    labels, unmatched = _of_subjects(read_labels(path), subjects)
    if unmatched:
        raise UserError(f"{path}: {unmatched} labels there are of other answers: move it away")
    return labels


def _of_subjects(labels: Sequence[Label], subjects: Sequence[Subject]) -> tuple[Labels, int]:
    """Labels as verdicts on these very answers, and how many are on none of them."""
    from evalkit.judge.labels import match
    from evalkit.judge.sheet import label_of

    found = match(labels, subjects)
    by_name = {subject.name: subject for subject in subjects}
    return {name: label_of(by_name[name], said) for name, said in found.verdicts.items()}, found.unmatched


def _ask(sample: Sequence[Subject], labels: Labels, path: Path, console: Console) -> int:
    from rich.console import Console

    from evalkit.judge.keys import keys
    from evalkit.judge.labels import write_labels
    from evalkit.judge.sheet import fill, shower

    # Not `output_console`: cards are for the terminal's own width.
    with keys() as typed:
        left = fill(sample, labels, typed, shower(Console()), lambda all_: write_labels(path, all_.values()))
    _say(console, f"{len(sample) - left} of {len(sample)} labelled: {path}")
    return 0


def _write_sheet(out: Path, sample: Sequence[Subject], labels: Labels, console: Console) -> int:
    from evalkit.judge.sheet_csv import to_csv

    try:
        # The byte order mark tells spreadsheets that it is UTF-8.
        out.write_text(to_csv(sample, labels), encoding="utf-8-sig", newline="")
    except OSError as error:
        raise UserError(f"judge label: cannot write {out}: {error.strerror or error}") from error
    _say(console, f"{out}: {len(sample)} answers; fill in the column `label` (1, 0 or b), then give in={out}")
    return 0


def _take(source: Path, subjects: Sequence[Subject], labels: Labels, path: Path, console: Console) -> int:
    from evalkit.judge.labels import read_labels, write_labels

    fresh, unmatched = _of_subjects(read_labels(source), subjects)
    if not fresh:
        raise UserError(f"judge label: no label in {source} belongs to an answer of this run")
    write_labels(path, {**labels, **fresh}.values())
    other = f" ({unmatched} others belong to no answer of this run)" if unmatched else ""
    _say(console, f"{len(fresh)} labels taken{other}: {path}")
    return 0


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
