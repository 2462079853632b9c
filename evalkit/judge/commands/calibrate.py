"""`evalkit judge calibrate`: a judge against labels, and judged scores with the judge's errors in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import UserError
from evalkit.judge.options import Given, given, whole

if TYPE_CHECKING:
    from rich.console import Console

    from evalkit.judge.calibration_report import Report
    from evalkit.judge.plan import Plan
    from evalkit.judge.settings import JudgeSettings
    from evalkit.runner.run import Finished

HELP = """
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

Labels of outputs that were made elsewhere: replay the outputs first,
  evalkit run +model=replay model.path=OUT.jsonl benchmark=finqa data=local data.dir=DIR run_dir=RUN_DIR

exit code: 0 done, 1 some verdicts are missing (counted, left out), 2 wrong request
"""

_DEFAULTS = {"labels": "", "n": "200", "benchmark": "", "seed": "0", "data.dir": ""}


def main(arguments: Sequence[str]) -> int:
    asked = given("calibrate", arguments, _DEFAULTS)
    n = None if asked.options["n"] == "all" else whole("calibrate", "n", asked.options["n"])
    seed = whole("calibrate", "seed", asked.options["seed"], least=0)
    if not asked.folders:
        raise UserError("judge calibrate: give a run's folder: evalkit judge calibrate RUN_DIR judge=NAME")

    from rich.console import Console

    from evalkit.judge.open import open_judge
    from evalkit.judge.progress import Progress
    from evalkit.judge.settings import settings_of
    from evalkit.judge.show import show_lines
    from evalkit.judge.stage import LOG
    from evalkit.report.console import output_console
    from evalkit.runner.run import finished_run

    settings = settings_of(asked.judge)
    files = [Path(name) for name in asked.options["labels"].strip("[]").split(",") if name]
    runs = [finished_run(folder, asked.options["data.dir"] or None) for folder in asked.folders]
    plans = _plans(asked, runs, files, settings, n, seed)
    how = {"judge": settings.as_json(), "n": n, "seed": seed, "labels": [_file(path) for path in files]}
    console = output_console()
    progress = Progress(Console(stderr=True))
    failed = False
    with open_judge(settings, asked.folders[0] / LOG, progress.verdict) as judge:
        for run, plan in zip(runs, plans, strict=True):
            # The identity is complete when the judge was used: only then is its form of reply known.
            calibrations, flips = plan.carry_out(judge, settings.threshold)
            report = plan.report(calibrations, flips, {"name": judge.name, "identity": judge.identity}, how)
            _write(run, report)
            _show(report, run.path, console)
            failed = failed or bool(report.errors)
        if judge.stopped:
            show_lines(console, [f"judge stopped: {judge.stopped}; the same command goes on from there"])
    return int(failed)


def _plans(
    asked: Given,
    runs: Sequence[Finished],
    files: Sequence[Path],
    settings: JudgeSettings,
    n: int | None,
    seed: int,
) -> list[Plan]:
    from evalkit.judge.labels import read_labels
    from evalkit.judge.plan import plan

    labels = [label for file in files for label in read_labels(file)]
    plans = [
        plan(
            run,
            labels,
            any_output=len(runs) == 1,
            benchmark=asked.options["benchmark"] or None,
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


def _write(run: Finished, report: Report) -> None:
    from evalkit.judge.calibration_report import to_json, to_markdown
    from evalkit.judge.facts import CALIBRATION
    from evalkit.report.conclude import write_reports
    from evalkit.runner.folder import write_atomically
    from evalkit.runner.scoring import scored_by

    write_atomically(run.path / CALIBRATION, to_json(report))
    write_atomically(run.path / "calibration.md", to_markdown(report))
    defects = run.config.get("label_defects")
    write_reports(run, ",".join(scored_by(run.path)), Path(defects) if defects else None)


def _show(report: Report, folder: Path, console: Console) -> None:
    from evalkit.judge.calibration_report import findings, grids, notes
    from evalkit.judge.show import show_lines, show_table

    show_lines(console, [f"{report.model}, judged by {report.judge['name']}:"], "bold")
    show_lines(console, findings(report))
    for grid in grids(report):
        show_table(console, grid.title, grid.header, grid.rows)
    show_lines(console, notes(report), "dim")
    show_lines(console, [f"written: {folder / 'calibration.md'}"])
