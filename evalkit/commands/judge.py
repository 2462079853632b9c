"""`evalkit judge`: a language model as the judge of what rules cannot decide, and how wrong it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.config.options import Arguments, read_arguments
from evalkit.run.folder import Finished
from evalkit.schema import UserError, nearest

if TYPE_CHECKING:
    from rich.console import Console

    from evalkit.config.judge import JudgeSettings
    from evalkit.judge.calibrate import CalibrationReport
    from evalkit.judge.judge import Subject
    from evalkit.judge.labels import Label, Labels
    from evalkit.judge.pairwise import Match, Pairwise
    from evalkit.judge.stage import Plan


HELP = """
usage: evalkit judge run|calibrate|label|pairwise ...

A language model as the judge of what rules cannot decide. It is never trusted unseen: every judged run has
canaries whose verdict is known, and a judge that fails them has its scores withheld.

  judge run RUN_DIR judge=...             judge a finished run
  judge calibrate RUN_DIR judge=...       how often it is right, by labels, and scores corrected for that
  judge label RUN_DIR                     label answers yourself, one key each
  judge pairwise RUN_A RUN_B judge=...    which of two models gives the better free-text answers

`evalkit judge run --help` and the like tell more.
"""

RUN_HELP = """
usage: evalkit judge run RUN_DIR judge=local judge.model=NAME [KEY=VALUE ...]
       evalkit judge run RUN_DIR judge=endpoint judge.base_url=URL [judge.name=MODEL] [KEY=VALUE ...]

Judge what the rules of a run cannot decide: free text, and outputs in which they found no answer that they
could read. Canaries come first: answers made from the run's own examples whose verdict is known. A judge that
accepts too many wrong ones or refuses too many right ones is not fit, and its scores are withheld. Every
verdict is kept: the same command goes on where it stopped. `evalkit run ... judge=...` does both.

  judge.model=NAME         `evalkit models` lists them; below it: "judge.overrides=['backend.slots=2']"
  judge.base_url=URL       an OpenAI-compatible service; key in OPENAI_API_KEY, or judge.api_key_env=VARIABLE
  judge.when=undecided     what the rules cannot decide; always: every answer; never: rules only
  judge.when=audit         also judge.audit=100 answers per benchmark that the default rule accepts: how many
                           of those the judge refuses, with an interval; no score depends on it
  judge.contract=auto      replies as json, or boxed for services that take no schema
  judge.language=auto      of the instructions: en, zh, or the question's own
  judge.canaries=40        wrong answers per benchmark, and as many right ones
  judge.max_false_positive=0.1  judge.max_false_negative=0.2  judge.force=true: show the scores all the same
  judge.threshold=0.75     a free-text answer counts as right from this grade on
  judge.max_cost=5         ceiling of one command; needs backend.prices.input and .output in judge.overrides
  judge.max_tokens_total=N judge.max_tokens=N (of one reply: thousands for a judge that thinks first)
  rules=NAMES              as in `evalkit score`; default: those that the run was last scored by
  data.dir=PATH            where the run's local data is now, if it has moved
  published=true           the rows of the published table as well
  json=true                the figures as JSON

exit code: 0 done, 1 some answers have no verdict, 2 wrong request, 130 interrupted
"""


def _arguments(command: str, arguments: Sequence[str], defaults: Mapping[str, str]) -> Arguments:
    """Folders, the command's own settings, and those of the judge, which are Hydra's."""
    return read_arguments(
        f"judge {command}",
        arguments,
        defaults,
        hand_on=lambda key: key == "judge" or key.startswith("judge."),
    )


def _folders(asked: Arguments) -> list[Path]:
    from evalkit.run.find import find_run

    return [find_run(place) for place in asked.places]


_RUN_DEFAULTS = {
    "data.dir": "",
    "label_defects": "",
    "rules": "",
    "published": "false",
    "json": "false",
}


def run_main(arguments: Sequence[str]) -> int:
    from pathlib import Path

    from rich.console import Console

    from evalkit.config.judge import judge_settings
    from evalkit.judge.stage import judge_run
    from evalkit.report.run import conclude
    from evalkit.run.runner import finished_run
    from evalkit.run.scoring import scored_by
    from evalkit.schema import UserError
    from evalkit.text import output_console

    asked = _arguments("run", arguments, _RUN_DEFAULTS)
    if len(asked.places) != 1:
        raise UserError("judge run: give one run folder: evalkit judge run RUN_DIR judge=...")
    settings = judge_settings(asked.handed_on)
    finished = finished_run(_folders(asked)[0], asked.values["data.dir"] or None)
    judge_run(finished, settings, Console(stderr=True))
    defects = asked.values["label_defects"] or finished.settings.label_defects
    rules = asked.values["rules"] or ",".join(scored_by(finished.path))
    return conclude(
        finished,
        rules,
        output_console(),
        Path(defects) if defects else None,
        published=asked.truth("published"),
        as_json=asked.truth("json"),
    )


CALIBRATE_HELP = """
usage: evalkit judge calibrate RUN_DIR... judge=NAME [labels=FILE,...] [n=200] [KEY=VALUE ...]

How often a judge is right, on the answers of finished runs, by labels of two kinds: the verdicts of the
default rule, wherever that can decide, and people's labels from files. Per run, benchmark and kind of
label: the 2 × 2 table, Cohen's κ, sensitivity and specificity with intervals; the judged score as it is,
corrected, and prediction-powered, with intervals that carry the judge's errors; and how many verdicts
change when the fields are shown in the other order or the instructions are in the other language. Writes
calibration.json and calibration.md into each run's folder, and takes the scores into its table and record.
Broken replies are counted and left out.

  judge=local judge.model=NAME        a model that can be named here, e.g. smollm2-135m
  judge=endpoint judge.base_url=URL   an OpenAI-compatible service
  labels=A.jsonl,B.csv     people's labels: id (or record_id), turn (or turn_idx), sample, benchmark, correct
                           (or correct_lenient), borderline; or what `evalkit judge label` wrote
  n=200                    answers judged per benchmark and kind, a random sample; n=all: every one
  benchmark=NAME           of one benchmark only
  seed=0                   of the sample
  data.dir=PATH            where the runs' local data is now, if it has moved
  json=true                the figures as JSON

Labels of outputs that were made elsewhere: replay the outputs first,
  evalkit run OUT.jsonl benchmark=finqa data=local data.dir=DIR run_dir=RUN_DIR

exit code: 0 done, 1 some verdicts are missing (counted, left out), 2 wrong request
"""

_CALIBRATE_DEFAULTS = {
    "labels": "",
    "n": "200",
    "benchmark": "",
    "seed": "0",
    "data.dir": "",
    "json": "false",
}


def calibrate_main(arguments: Sequence[str]) -> int:
    asked = _arguments("calibrate", arguments, _CALIBRATE_DEFAULTS)
    n, seed = asked.optional_whole("n"), asked.whole("seed", least=0)
    if not _folders(asked):
        raise UserError("judge calibrate: give a run's folder: evalkit judge calibrate RUN_DIR judge=NAME")

    from rich.console import Console

    from evalkit.config.judge import judge_settings
    from evalkit.judge.calibrate import calibration_json
    from evalkit.judge.stage import LOG, Progress, open_judge
    from evalkit.run.runner import finished_run
    from evalkit.text import output_console, show_lines, write_json

    settings = judge_settings(asked.handed_on)
    files = [Path(name) for name in asked.names("labels")]
    runs = [finished_run(folder, asked.values["data.dir"] or None) for folder in _folders(asked)]
    plans = _plans(asked, runs, files, settings, n, seed)
    how = {"judge": settings.as_json(), "n": n, "seed": seed, "labels": [_file(path) for path in files]}
    console, as_json = output_console(), asked.truth("json")
    progress = Progress(Console(stderr=True))
    failed, records = False, []
    with open_judge(settings, _folders(asked)[0] / LOG, progress.verdict) as judge:
        for run, plan in zip(runs, plans, strict=True):
            # The identity is complete when the judge was used: only then is its form of reply known.
            calibrations, flips = plan.carry_out(judge, settings.threshold)
            report = plan.report(calibrations, flips, {"name": judge.name, "identity": judge.identity}, how)
            _write_calibration(run, report)
            if as_json:
                records.append({"run": run.path, **json.loads(calibration_json(report))})
            else:
                _show_calibration(report, run.path, console)
            failed = failed or bool(report.errors)
        if as_json:
            write_json({"runs": records, "stopped": judge.stopped})
        elif judge.stopped:
            show_lines(console, [f"judge stopped: {judge.stopped}; the same command goes on from there"])
    return int(failed)


def _plans(
    asked: Arguments,
    runs: Sequence[Finished],
    files: Sequence[Path],
    settings: JudgeSettings,
    n: int | None,
    seed: int,
) -> list[Plan]:
    from evalkit.judge.labels import read_labels
    from evalkit.judge.stage import plan

    labels = [label for file in files for label in read_labels(file)]
    plans = [
        plan(
            run,
            labels,
            any_output=len(runs) == 1,
            benchmark=asked.values["benchmark"] or None,
            n=n,
            seed=seed,
            language=settings.language,
        )
        for run in runs
    ]
    if labels and not any(plan.matched and plan.matched.verdicts for plan in plans):
        why = "" if len(plans) == 1 else " (labels without a key can be of one run only)"
        raise UserError(
            f"judge calibrate: none of {len(labels)} labels belongs to an answer of these runs{why}"
        )
    return plans


def _file(path: Path) -> Mapping[str, Any]:
    from hashlib import sha256

    return {"file": path.name, "sha256": sha256(path.read_bytes()).hexdigest()}


def _write_calibration(run: Finished, report: CalibrationReport) -> None:
    from evalkit.files import write_atomically
    from evalkit.judge.calibrate import calibration_json, calibration_markdown
    from evalkit.report.run import write_reports
    from evalkit.run.judgements import CALIBRATION
    from evalkit.run.scoring import scored_by

    write_atomically(run.path / CALIBRATION, calibration_json(report))
    write_atomically(run.path / "calibration.md", calibration_markdown(report))
    defects = run.settings.label_defects
    write_reports(run, ",".join(scored_by(run.path)), Path(defects) if defects else None)


def _show_calibration(report: CalibrationReport, folder: Path, console: Console) -> None:
    from evalkit.judge.calibrate import findings, grids, notes
    from evalkit.text import show_lines, show_table

    show_lines(console, [f"{report.model}, judged by {report.judge['name']}:"], "bold")
    show_lines(console, findings(report))
    for grid in grids(report):
        show_table(console, grid.title, grid.header, grid.rows)
    show_lines(console, notes(report), "dim")
    show_lines(console, [f"written: {folder / 'calibration.md'}"])


LABEL_HELP = """
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
_LABEL_DEFAULTS = {"n": "100", "out": "", "in": "", "benchmark": "", "seed": "0", "data.dir": ""}


def label_main(arguments: Sequence[str]) -> int:
    asked = _arguments("label", arguments, _LABEL_DEFAULTS)
    n, seed, options = asked.whole("n"), asked.whole("seed", least=0), asked.values
    if len(_folders(asked)) != 1:
        raise UserError("judge label: give one run folder: evalkit judge label RUN_DIR")
    if asked.handed_on:
        raise UserError(f"judge label: it needs no judge: leave {asked.handed_on[0]} out")
    if options["out"] and options["in"]:
        raise UserError("judge label: give out=FILE.csv or in=FILE.csv, not both")

    from evalkit.judge.calibrate import label_sample
    from evalkit.judge.judge import population
    from evalkit.run.runner import finished_run
    from evalkit.text import output_console

    folder = _folders(asked)[0]
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
    from evalkit.judge.labels import label_of, match

    found = match(labels, subjects)
    by_name = {subject.name: subject for subject in subjects}
    return {name: label_of(by_name[name], said) for name, said in found.verdicts.items()}, found.unmatched


def _ask(sample: Sequence[Subject], labels: Labels, path: Path, console: Console) -> int:
    from rich.console import Console

    from evalkit.judge.labels import fill, keys, shower, write_labels

    # Not `output_console`: cards are for the terminal's own width.
    with keys() as typed:
        left = fill(sample, labels, typed, shower(Console()), lambda all_: write_labels(path, all_.values()))
    _say(console, f"{len(sample) - left} of {len(sample)} labelled: {path}")
    return 0


def _write_sheet(out: Path, sample: Sequence[Subject], labels: Labels, console: Console) -> int:
    from evalkit.judge.labels import to_csv

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


PAIRWISE_HELP = """
usage: evalkit judge pairwise RUN_A RUN_B judge=NAME [n=200] [KEY=VALUE ...]

Which of two models answers free-text questions better, by a judge: both runs' answers to the same examples
are put before it, each pair in both orders. A pair is won only if both orders say so; one that the order
decides counts as a tie and as position-inconsistent. Prints A's wins, ties and losses, its win rate with a
clustered 95 % interval, an exact sign test, and the judge's position bias; writes pairwise.json and
pairwise.md into RUN_A, or out=DIR.

  judge=local judge.model=NAME        a model that can be named here, e.g. smollm2-135m
  judge=endpoint judge.base_url=URL   an OpenAI-compatible service
  n=200                    pairs per benchmark, a random sample; n=all: every one
  benchmark=NAME           of one benchmark only (default: every one with free text)
  seed=0                   of the sample
  out=DIR                  where the results go
  data.dir=PATH            where the runs' local data is now, if it has moved
  json=true                the figures as JSON

exit code: 0 done, 1 some verdicts are missing (counted, left out), 2 wrong request
"""

_PAIRWISE_DEFAULTS = {
    "n": "200",
    "benchmark": "",
    "seed": "0",
    "out": "",
    "data.dir": "",
    "json": "false",
}


def pairwise_main(arguments: Sequence[str]) -> int:
    asked = _arguments("pairwise", arguments, _PAIRWISE_DEFAULTS)
    n, seed = asked.optional_whole("n"), asked.whole("seed", least=0)
    if len(_folders(asked)) != 2:
        raise UserError("judge pairwise: give two run folders: evalkit judge pairwise RUN_A RUN_B judge=NAME")
    if _folders(asked)[0].resolve() == _folders(asked)[1].resolve():
        raise UserError(f"judge pairwise: {_folders(asked)[0]} is given twice: give two different runs")

    from evalkit.config.judge import judge_settings

    settings = judge_settings(asked.handed_on)
    as_json = asked.truth("json")
    names, pairs = _pairs(asked, settings, n, seed)
    how = {"judge": settings.as_json(), "n": n, "seed": seed}
    return _judge(settings, names, pairs, how, _folder(asked), as_json=as_json)


def _judge(
    settings: JudgeSettings,
    names: tuple[str, str],
    pairs: Mapping[str, Sequence[Match]],
    how: Mapping[str, Any],
    out: Path,
    *,
    as_json: bool,
) -> int:
    from rich.console import Console

    from evalkit.judge.pairwise import Pairwise, play, tally, to_json
    from evalkit.judge.stage import LOG, Progress, open_judge
    from evalkit.text import output_console, show_lines, write_json

    progress = Progress(Console(stderr=True))
    with open_judge(settings, out / LOG, progress.verdict) as judge:
        played = {benchmark: play(of_one, judge) for benchmark, of_one in pairs.items()}
        about = {"name": judge.name, "identity": judge.identity}
        stopped = judge.stopped
    found = Pairwise(
        *names,
        judge=about,
        settings=how,
        tallies=[tally(benchmark, of_one) for benchmark, of_one in played.items()],
        played=[each for of_one in played.values() for each in of_one],
    )
    _write_pairwise(out, found)
    if as_json:
        write_json({**json.loads(to_json(found)), "stopped": stopped})
        return int(found.errors > 0)
    console = output_console()
    _show_pairwise(found, out, console)
    if stopped:
        show_lines(console, [f"judge stopped: {stopped}; the same command goes on from there"])
    return int(found.errors > 0)


def _pairs(
    asked: Arguments, settings: JudgeSettings, n: int | None, seed: int
) -> tuple[tuple[str, str], dict[str, list[Match]]]:
    """Both models' names, and the pairs to be judged by benchmark."""
    from evalkit.judge.pairwise import drawn, matches
    from evalkit.run.runner import read_run

    a, b = (read_run(folder, asked.values["data.dir"] or None) for folder in _folders(asked))
    found = matches(a, b, asked.values["benchmark"] or None)
    pairs = {name: drawn(of_one, n, seed, settings.language) for name, of_one in found.items()}
    titles = (a.info.model.title, b.info.model.title)
    names = titles if titles[0] != titles[1] else (f"{titles[0]} (A)", f"{titles[1]} (B)")
    return names, pairs


def _folder(asked: Arguments) -> Path:
    if not asked.values["out"]:
        return _folders(asked)[0]
    out = Path(asked.values["out"])
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"judge pairwise: cannot make {out}: {error.strerror or error}") from error
    return out


def _write_pairwise(out: Path, found: Pairwise) -> None:
    from evalkit.files import write_atomically
    from evalkit.judge.pairwise import to_json, to_markdown

    write_atomically(out / "pairwise.json", to_json(found))
    write_atomically(out / "pairwise.md", to_markdown(found))


def _show_pairwise(found: Pairwise, out: Path, console: Console) -> None:
    from evalkit.judge.pairwise import HEADER, findings, notes, rows_of
    from evalkit.text import show_lines, show_table

    show_lines(console, [f"{found.a} (A) against {found.b}"], "bold")
    show_lines(console, findings(found))
    show_table(console, "", HEADER, rows_of(found))
    show_lines(console, notes(found), "dim")
    show_lines(console, [f"written: {out / 'pairwise.md'}"])


_COMMANDS: dict[str, tuple[Callable[[Sequence[str]], int], str]] = {
    "run": (run_main, RUN_HELP),
    "calibrate": (calibrate_main, CALIBRATE_HELP),
    "label": (label_main, LABEL_HELP),
    "pairwise": (pairwise_main, PAIRWISE_HELP),
}


def main(arguments: Sequence[str]) -> int:
    known = ", ".join(_COMMANDS)
    if not arguments:
        raise UserError(f"judge: say what to do: {known} (`evalkit judge --help`)")
    name = arguments[0]
    if name not in _COMMANDS:
        raise UserError(f"judge: no command '{name}'.{nearest(name, _COMMANDS)} Commands: {known}")
    command, _ = _COMMANDS[name]
    return command(arguments[1:])


def help_of(arguments: Sequence[str]) -> str:
    """The help of what `arguments` name: of a subcommand, or of all."""
    named = next((argument for argument in arguments if argument in _COMMANDS), None)
    return HELP if named is None else _COMMANDS[named][1]
