"""`evalkit runs`: the runs of this machine, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

HELP = """
usage: evalkit runs [MODEL...] [results_dir=results] [json=true]

The runs under results/runs, the newest first: the model, when it was at work, the benchmarks, how many items
are scored and how many per cent of them are right (the mean over the benchmarks), and how far the run is.
Below each its folder. Wherever a command takes a run, it takes

  last                     the newest one
  MODEL                    the only run of a model
  FOLDER                   a run's folder, or the folder above it where that holds one run
  RECORD.jsonl.gz          a record that `evalkit keep` made

exit code: 0 done, 2 wrong request
"""


def main(arguments: Sequence[str]) -> int:
    from evalkit.config.options import read_arguments
    from evalkit.run.find import run_states
    from evalkit.schema import UserError, nearest
    from evalkit.text import output_console, printable, tenths, write_json

    given = read_arguments("runs", arguments, {"results_dir": "results", "json": "false"})
    states = run_states(Path(given.text("results_dir")))
    models = {state.model for state in states}
    for name in given.places:
        if name not in models:
            raise UserError(f"runs: no run of {printable(name)!r} here.{nearest(name, models)}")
    shown = [state for state in states if not given.places or state.model in given.places]
    if given.truth("json"):
        write_json(shown)
        return 0
    console = output_console()
    if not shown:
        console.print(f"no runs in {Path(given.text('results_dir')) / 'runs'} yet", highlight=False)
        return 0
    for state in shown:
        right = "-" if state.right is None else f"{tenths(state.right)} % right of {state.scored:,}"
        head = [printable(state.model, 300), f"{state.when.astimezone():%Y-%m-%d %H:%M}", right, state.text]
        asked = printable(" ".join(state.benchmarks), 300) or "-"
        for line in ("  ".join(head), f"  {asked}", f"  {printable(str(state.path), 1000)}"):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0
