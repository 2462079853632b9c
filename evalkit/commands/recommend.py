"""`evalkit recommend`: which file of a sweep to deploy on a given memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evalkit.config.options import Arguments
    from evalkit.sweep.recommend import Target
    from evalkit.sweep.record import Sweep

_LONGEST_WAIT = 86_400  # seconds

HELP = """
usage: evalkit recommend memory=SIZE [context=N] [slots=N] [headroom=SIZE] [users=N p95=SECONDS]
                         [sweep=NAME|PATH] [results_dir=DIR]

The file to deploy on that memory in one sentence, from a sweep's measured results, or that there is no answer
yet and the limit that would give one; why; what else would fit; and what it would take to be surer. No
weights are needed.

  memory=6GiB              what serving the model may take: GiB, GB, MiB, MB, or bytes
  headroom=512MiB          of which this much must stay free (default: nothing)
  context=N, slots=N       tokens per slot, and requests at a time (default: as in the sweep)
  users=N p95=SECONDS      only files of which `evalkit load` has measured that 95 % of the waits of N users
                           for a first token are no longer; p95_token=SECONDS: nor those for each after it
  sweep=NAME|PATH          a sweep under results_dir/sweeps, or a sweep.json, or the folder that holds one
                           (default: the only one there is)
  results_dir=DIR          default: results
  json=true                the same as JSON

The need of a file is its measured peak memory (with the GPU's, where there is one), plus what the KV cache
and the compute buffers grow by if context or slots are not the sweep's. A file with more than half of its
answers cut off, or with an accuracy below chance, is unfit and never chosen. Of the others that fit it is:
  1. the reference, or as good as it within the sweep's margin: the fastest decode, then the smaller;
  2. if there is none, one without an answer yet: the most bits per weight;
  3. if all are worse: the smallest loss.
The verdict is that on the average over the benchmarks. Where accuracy has no answer yet, a file's fidelity
speaks (see `evalkit fidelity --help`): one that is token by token within the engine's own noise counts as
good, and one that would lose more right final answers than the margin is the one to test first.
Where `evalkit load` has measured the chosen file with that context and these slots, or with users=, the
answer ends with the command line that serves it so.

exit code: 0 done, 2 wrong request, or no file fits
"""

_DEFAULTS = {
    "memory": "",
    "context": "",
    "slots": "",
    "headroom": "",
    "users": "",
    "p95": "",
    "p95_token": "",
    "sweep": "",
    "results_dir": "results",
    "json": "false",
}


def main(arguments: Sequence[str]) -> int:
    from evalkit.config.options import no_places, read_arguments
    from evalkit.load.record import loads_in
    from evalkit.report.recommend import answer, recommendation_parts
    from evalkit.schema import UserError
    from evalkit.sweep.recommend import recommend
    from evalkit.text import output_console, parse_size, write_json

    given = no_places(read_arguments("recommend", arguments, _DEFAULTS))
    if not given.text("memory"):
        raise UserError("recommend: say how much memory there is: evalkit recommend memory=6GiB")
    memory = parse_size(given.text("memory"), "memory")
    if given.text("headroom"):
        memory -= parse_size(given.text("headroom"), "headroom")
    if memory <= 0:
        raise UserError("recommend: headroom leaves nothing of memory: give less headroom")
    context, slots = given.optional_whole("context"), given.optional_whole("slots")
    target, results = _target(given), Path(given.text("results_dir"))
    sweep = _sweep(given.text("sweep") or None, results)
    as_json = given.truth("json")
    loads = loads_in(results)
    found = recommend(sweep, memory, context=context, slots=slots, target=target, loads=loads)
    if as_json:
        write_json({"answer": answer(sweep, found), "sweep": sweep.name, "recommendation": found})
        return 0
    console = output_console()
    for part in recommendation_parts(sweep, found, console.width):
        console.print(part)
    return 0


def _target(given: Arguments) -> Target | None:
    """How long people may wait, if that was said."""
    from evalkit.schema import UserError
    from evalkit.sweep.recommend import Target

    users, p95, each = given.optional_whole("users"), given.text("p95"), given.text("p95_token")
    if users is None and not p95 and not each:
        return None
    if users is None or not p95:
        raise UserError(
            "recommend: users=N and p95=SECONDS belong together: how many, and how long they may wait"
        )
    token = given.number("p95_token", 0, _LONGEST_WAIT) if each else None
    return Target(users, given.number("p95", 0, _LONGEST_WAIT), token)


def _sweep(given: str | None, results: Path) -> Sweep:
    """The sweep that was named by path or by name, or the only one there is."""
    from evalkit.schema import UserError, nearest
    from evalkit.sweep.record import FILE, read_sweep

    if given is not None and (Path(given).is_file() or (Path(given) / FILE).is_file()):
        return read_sweep(Path(given))
    records = sorted((results / "sweeps").glob(f"*/*/{FILE}"))
    names = sorted({record.parent.parent.name for record in records})
    if given is not None:
        records = [record for record in records if record.parent.parent.name == given]
        if not records:
            known = f" Sweeps: {', '.join(names)}." if names else ""
            where = results / "sweeps"
            raise UserError(f"recommend: no sweep {given[:60]!a} in {where}.{nearest(given, names)}{known}")
    if not records:
        raise UserError(
            f"recommend: no sweep in {results / 'sweeps'}: run evalkit sweep first, or give sweep=PATH"
        )
    if len(records) > 1:
        paths = ", ".join(f"sweep={record.parent}" for record in records)
        raise UserError(f"recommend: {len(records)} sweeps to choose from, name one: {paths}")
    return read_sweep(records[0])
