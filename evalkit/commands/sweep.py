"""`evalkit sweep`: a family of files as one unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.commands.run import LEFT_OUT
from evalkit.run.folder import Finished, path_of

if TYPE_CHECKING:
    from rich.console import Console

    from evalkit.config.settings import RunSettings
    from evalkit.sweep.plan import Plan

HELP = """
usage: evalkit sweep A.gguf B.gguf ... [reference=A.gguf] [KEY=VALUE ...]
       evalkit sweep NAME [KEY=VALUE ...]

Run every member on the same examples, one after the other; measure what each costs (memory, load time,
speed, file); compare each with the reference example by example; write the report and the curves. Called
again after any interruption, the same command goes on where it stopped. A member that fails is reported,
and the others go on.

  A B ...                  files, names that `evalkit models` lists, hf:OWNER/REPO/FILE, URLs, in any mix
  NAME                     fin-r1-quants: the eleven GGUF files of Fin-R1
                           smollm2-ladder: the same recipes built from a tiny model, to try it all
  reference=A              what the others are compared with: file or name (default: the highest precision)
  stop=resolved            end a member when its verdicts are there (needs reference=); valid however often
                           one looks: fewer answers for the same claims
  budget=8h                with it: time for all members but the reference, shared out evenly
  sweep.margin=2           points of accuracy that may be lost and still be "as good"
  sweep.noise=repeat,slots  the reference against itself (default: both); none
  fidelity=N               hold each GGUF file against the reference token by token, on N of its answers per
                           benchmark (default: 20; needs llama-cpp-python, else it is left out); none
  sweep.delete_weights=true  remove each member's file after use: at most two are on disk at once
  plan=true                say what every member takes, and start nothing
  judge=local|endpoint     a judge for free text, the same for all: see `evalkit judge run --help`
  strict=true              refuse a file whose tensors contradict the recipe that it claims
  json=true                at the end (or with plan=true), the figures as JSON and nothing else
  sweep.dir=PATH           default: results/sweeps/NAME/<id>
  track=TOOL               each member's run with wandb, mlflow or trackio: see `evalkit run --help`
  ...                      everything that `evalkit run` takes; several values (backend.slots=1,4): members

examples:
  evalkit sweep A.gguf B.gguf benchmark=finqa,tfns limit=50
  evalkit sweep smollm2-ladder data=sample benchmark=finqa,tfns
  evalkit sweep fin-r1-quants limit=1000 sweep.delete_weights=true

exit code: 0 done, 1 finished but a member failed or lacks answers, 2 wrong request, 130 interrupted
"""


def main(arguments: Sequence[str]) -> int:
    from rich.console import Console

    from evalkit.config.options import json_wanted
    from evalkit.report.run import write_reports
    from evalkit.report.sweep import sweep_terminal, write_sweep
    from evalkit.report.verdict import sweep_answer
    from evalkit.schema import DEFAULT
    from evalkit.sweep.plan import plan
    from evalkit.sweep.recommend import every_choice
    from evalkit.sweep.runner import run_sweep
    from evalkit.text import output_console, printable, show_lines, write_json
    from evalkit.track import check_tracker

    def report(finished: Finished) -> None:
        write_reports(finished, DEFAULT)
        tried.add(finished.path)
        _track(finished.path, finished.settings, messages)

    as_json, words = json_wanted("sweep", arguments)
    planned, output, messages = plan(words), output_console(), Console(stderr=True)
    tried: set[Path] = set()
    if planned.left_out:
        show_lines(messages, [LEFT_OUT.format(", ".join(planned.left_out))])
    if any(member.settings.plan for member in planned.members):
        if as_json:
            write_json(_plan_record(planned))
            return 0
        show_lines(output, _plan_lines(planned))
        return 0
    for member in planned.members:
        if member.settings.track:
            check_tracker(member.settings.track)
    sweep = run_sweep(planned, report, write_sweep, messages)
    for member in planned.members:
        if (path := path_of(member.settings)) not in tried:  # it was complete before
            _track(path, member.settings, messages)
    failed = int(any(member.status != "done" for member in sweep.members))
    if as_json:
        answer = sweep_answer(sweep, *every_choice(sweep), printable)
        write_json({"answer": answer, "folder": planned.folder, "sweep": sweep, "exit_code": failed})
        return failed
    output.print(sweep_terminal(sweep, output.width))
    output.print(f"report and curves: {planned.folder / 'report.md'}", highlight=False, soft_wrap=True)
    return failed


def _plan_record(plan: Plan) -> dict[str, object]:
    """The same for programs."""
    from evalkit.run.runner import planned

    members = [{"member": each.title, **planned(each.settings).record()} for each in plan.members]
    return {"folder": plan.folder, "members": members}


def _track(path: Path, settings: RunSettings, messages: Console) -> None:
    """Log a member's run with its tracker, if it has one and the run is there."""
    from evalkit.run.record import RECORD_FILE
    from evalkit.text import show_lines
    from evalkit.track import track

    if (path / RECORD_FILE).exists() and (line := track(path, settings)):
        show_lines(messages, [line])


def _plan_lines(plan: Plan) -> Iterator[str]:
    """What each member would take; of all together what is known."""
    from evalkit.run.runner import planned
    from evalkit.text import duration, file_size

    seconds, download, unknown = 0.0, 0, 0
    yield f"{len(plan.members)} members into {plan.folder}"
    for member in plan.members:
        expected = planned(member.settings)
        yield member.title
        yield from expected.lines() if expected.questions else ["already complete"]
        download += expected.download or 0
        seconds += expected.seconds or 0.0
        unknown += expected.seconds is None and bool(expected.questions)
    time = f"about {duration(seconds)} here" if not unknown else f"time of {unknown} not known yet"
    yield f"in all: {file_size(download)} to download, {time}"
