"""`evalkit run`: a model through the benchmarks, and the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig

HELP = """
usage: evalkit run +model=NAME [KEY=VALUE ...]

Generate answers, score them, print the comparison table. Called again after any interruption, the same
command goes on where it stopped.

  +model=NAME              `evalkit models` lists them; +model=gguf model.path=FILE for a file of your own
  benchmark=[A,B]          default: all five; `evalkit benchmarks` lists them
  data=hub|local|sample    hub: pinned downloads (default); local: data.dir=PATH; sample: the bundled records
  limit=N                  scored items per benchmark; a larger limit contains the smaller
  sampling=item|group      group: whole pages, dialogues, files until the limit is reached
  protocol=NAME            greedy (default), fin-r1-paper, fin-r1-card; protocol.max_tokens=N ...
  backend.slots=N          requests decoded together; also backend.context, .threads, .binary, .port
  judge=local|endpoint     a judge for what rules cannot decide: see `evalkit judge run --help`
  label_defects=FILE       wrong or ambiguous gold labels of your own (CSV), to see accuracy without them
  run_dir=PATH             default: results/runs/<model>/<run id>
  -m ...                   Hydra's multirun over anything: -m +model=fin-r1-q4_k,fin-r1-q8_0

examples:
  evalkit run +model=smollm2-135m data=sample
  evalkit run +model=fin-r1-q4_k benchmark=[finqa,tfns] limit=200
  evalkit run +model=replay model.path=outputs.jsonl benchmark=finqa data=local data.dir=DIR

exit code: 0 done, 1 finished but some examples have no answer or no verdict, 2 wrong request, 130 interrupted
"""


def main(arguments: Sequence[str]) -> int:
    from evalkit.config import compose

    flags = {"-m", "--multirun"}
    overrides = [argument for argument in arguments if argument not in flags]
    if len(overrides) < len(arguments):
        from evalkit.commands.multirun import multirun

        return multirun(overrides)
    return run(compose(overrides))


def run(config: DictConfig) -> int:
    """One run of a composed config; returns the exit code."""
    from pathlib import Path

    from rich.console import Console

    from evalkit.backends.engine import EngineUnusable
    from evalkit.config import to_dict
    from evalkit.judge.open import check_judge
    from evalkit.judge.settings import read_settings
    from evalkit.judge.stage import judge_run
    from evalkit.report.conclude import conclude
    from evalkit.report.console import output_console
    from evalkit.report.defects import known_defects
    from evalkit.runner.run import execute
    from evalkit.scorers import DEFAULT

    messages = Console(stderr=True)
    settings = to_dict(config)
    # The judge comes after the run and is no part of what makes it.
    judged_by = settings.pop("judge", None)
    defects = Path(settings["label_defects"]) if settings["label_defects"] else None
    known_defects(defects)  # a file that cannot be read shows before hours of work, and not after
    judge = read_settings(judged_by) if judged_by else None
    if judge:
        check_judge(judge)
    try:
        finished = execute(settings, messages)
    except EngineUnusable as error:
        messages.print(
            f"evalkit: {error}; finished answers are kept, the same command goes on",
            markup=False,
            soft_wrap=True,
            highlight=False,
        )
        return 1
    if judge:
        judge_run(finished, judge, messages)
    return conclude(finished, DEFAULT, output_console(), defects)
