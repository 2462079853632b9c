"""`evalkit recommend`: which file of a sweep to deploy on a given memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evalkit.sweep.record import Sweep

HELP = """
usage: evalkit recommend memory=SIZE [context=N] [slots=N] [headroom=SIZE] [sweep=NAME|PATH] [results_dir=DIR]

The file to deploy on that memory, from a sweep's measured results; why; what else would fit; and what it
would take to be surer. No weights are needed.

  memory=6GiB              what serving the model may take: GiB, GB, MiB, MB, or bytes
  headroom=512MiB          of which this much must stay free (default: nothing)
  context=N, slots=N       tokens per slot, and requests at a time (default: as in the sweep)
  sweep=NAME|PATH          a sweep under results_dir/sweeps, or a sweep.json, or the folder that holds one
                           (default: the only one there is)
  results_dir=DIR          default: results

The need of a file is its measured peak memory (with the GPU's, where there is one), plus what the KV cache
and the compute buffers grow by if context or slots are not the sweep's. Of the files that fit, the choice is:
  1. the reference, or as good as it within the sweep's margin: the fastest decode, then the smaller;
  2. if there is none, one that is not resolvable: the most bits per weight;
  3. if all are worse: the smallest loss.
The verdict is that on the average over the benchmarks.

exit code: 0 done, 2 wrong request, or no file fits
"""

_SETTINGS = ("memory", "context", "slots", "headroom", "sweep", "results_dir")


def main(arguments: Sequence[str]) -> int:
    from evalkit.errors import UserError
    from evalkit.report.console import output_console
    from evalkit.report.recommendation import parts
    from evalkit.sweep.recommend import recommend
    from evalkit.sweep.sizes import parse_size

    options = _options(arguments)
    if "memory" not in options:
        raise UserError("recommend: say how much memory there is: evalkit recommend memory=6GiB")
    memory = parse_size(options["memory"], "memory")
    if "headroom" in options:
        memory -= parse_size(options["headroom"], "headroom")
    if memory <= 0:
        raise UserError("recommend: headroom leaves nothing of memory: give less headroom")
    context, slots = (_count(options, key) for key in ("context", "slots"))
    sweep = _sweep(options.get("sweep"), Path(options.get("results_dir", "results")))
    found = recommend(sweep, memory, context=context, slots=slots)
    console = output_console()
    for part in parts(sweep, found):
        console.print(part)
    return 0


def _options(arguments: Sequence[str]) -> dict[str, str]:
    from evalkit.errors import UserError, nearest

    options: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if key not in _SETTINGS or not equals or not value:
            known = ", ".join(f"{name}=" for name in _SETTINGS)
            raise UserError(
                f"recommend: no such setting: {argument[:60]!a}.{nearest(key, _SETTINGS)} ({known})"
            )
        if key in options:
            raise UserError(f"recommend: {key} is given twice")
        options[key] = value
    return options


def _count(options: Mapping[str, str], key: str) -> int | None:
    from evalkit.errors import UserError

    text = options.get(key)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise UserError(f"recommend: {key}={text[:40]!a} must be a whole number above 0")
    return int(text)


def _sweep(given: str | None, results: Path) -> Sweep:
    """The sweep that was named by path or by name, or the only one there is."""
    from evalkit.errors import UserError, nearest
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
