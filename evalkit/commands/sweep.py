"""`evalkit sweep`: a family of files as one unit."""

from __future__ import annotations

from collections.abc import Sequence

HELP = """
usage: evalkit sweep +sweep=NAME [KEY=VALUE ...]
       evalkit sweep +model=A,B,C [KEY=VALUE ...]

Run every member on the same examples, one after the other; measure what each costs (memory, load time,
speed, file); compare each with the reference example by example; write the report and the curves. Called
again after any interruption, the same command goes on where it stopped. A member that fails is reported,
and the others go on.

  +sweep=NAME              fin-r1-quants: the eleven GGUF files of Fin-R1
                           smollm2-ladder: the same recipes built from a tiny model, to try it all
                           custom: with sweep.members=[A,B], names that `evalkit models` lists
  sweep.reference=NAME     what the others are compared with (default: the highest precision)
  sweep.margin=2           points of accuracy that may be lost and still be "as good"
  sweep.noise=[repeat]     the reference against itself: repeat, slots; [] for none
  sweep.delete_weights=true  remove each member's file after use: at most two are on disk at once
  strict=true              refuse a file whose tensors contradict the recipe that it claims
  sweep.dir=PATH           default: results/sweeps/NAME/<id>
  ...                      everything that `evalkit run` takes; a list (backend.slots=1,4) makes members

examples:
  evalkit sweep +sweep=smollm2-ladder data=sample benchmark=[finqa,tfns]
  evalkit sweep +sweep=fin-r1-quants limit=1000 sweep.delete_weights=true
  evalkit sweep +model=fin-r1-q4_k,fin-r1-q6_k benchmark=[finqa] limit=200

exit code: 0 done, 1 finished but a member failed or lacks answers, 2 wrong request, 130 interrupted
"""


def main(arguments: Sequence[str]) -> int:
    from rich.console import Console

    from evalkit.report.console import output_console
    from evalkit.sweep.plan import plan
    from evalkit.sweep.run import run_sweep

    return run_sweep(plan(arguments), Console(stderr=True), output_console())
