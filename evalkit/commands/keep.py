"""`evalkit keep`: records of runs and sweeps into the part of results/ that a repository keeps."""

from __future__ import annotations

from collections.abc import Sequence

HELP = """
usage: evalkit keep RUN|SWEEP_DIR... [results_dir=results] [partial=true] [prompts=false]
                    [json=true]

Copy what the leaderboard needs of finished runs and sweeps to where a repository keeps it:
  a run's record.jsonl.gz     to results/records/<model>/<run id>.jsonl.gz
  a sweep's sweep.json        to results/records/sweeps/<name>.json
Either all are copied or none. A copy that is there already is replaced.

  partial=true             also a run that lacks answers, or a sweep with members that are not done
  prompts=false            with hashes in place of the questions: benchmarks and private data stay where they
                           are, and comparisons still know which prompts are the same
  results_dir=DIR          default: results
  json=true                the same as JSON

examples:
  evalkit keep results/runs/*/*
  evalkit keep results/sweeps/smollm2-ladder/* && evalkit leaderboard

exit code: 0 done, 2 wrong request
"""

_SETTINGS = {"results_dir": "results", "partial": "false", "prompts": "true", "json": "false"}


def main(arguments: Sequence[str]) -> int:
    from pathlib import Path

    from evalkit.board.board import copy_of, write
    from evalkit.config.options import read_arguments
    from evalkit.run.find import find_run
    from evalkit.schema import UserError
    from evalkit.sweep.record import FILE
    from evalkit.text import write_json

    given = read_arguments("keep", arguments, _SETTINGS)
    folders = [find_run(place, also=(FILE,)) for place in given.places]
    if not folders:
        raise UserError("keep: give the folders of runs or sweeps: evalkit keep RUN_DIR...")
    results, partial = Path(given.text("results_dir")), given.truth("partial")
    prompts = given.truth("prompts")
    copies = [copy_of(folder, results, partial=partial, prompts=prompts) for folder in folders]
    if given.truth("json"):
        write_json([{"what": write(copy), "source": copy.source, "target": copy.target} for copy in copies])
        return 0
    for copy in copies:
        print(f"{write(copy)}: {copy.target}")
    return 0
