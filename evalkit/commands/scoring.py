"""`evalkit scoring`: how far the scoring can be trusted, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evalkit.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from evalkit.scorers.selfcheck.agree import Figure

HELP = """
usage: evalkit scoring check data.dir=DIR
       evalkit scoring fuzz [n=1000000] [processes=N]
       evalkit scoring speed [data.dir=DIR]

check   agreement with hand labels of real outputs (<DIR>/model_outputs/, with the benchmarks' local data in
        DIR), and every item on which label and scoring differ
fuzz    hostile outputs through every rule: exceptions, the slowest, the growth of memory; the limits are
        none, 50 ms of CPU for one rule on one output whatever its size, and 64 MiB
speed   scored outputs per second and core, beside math-verify on the same outputs if that is installed, and
        the time to re-score 11 models x 5 benchmarks x 1,000 outputs; outputs are made from the bundled
        samples, or are the real ones of <DIR>/model_outputs/

exit code: 0 done and within the limits, 1 a target missed or a limit broken, 2 wrong request
"""

_SETTINGS = {"check": {"data.dir"}, "fuzz": {"n", "processes"}, "speed": {"data.dir"}}


def main(arguments: Sequence[str]) -> int:
    from evalkit.report.console import output_console

    kind = arguments[0] if arguments else ""
    if kind not in _SETTINGS:
        raise UserError("scoring: say what to do: evalkit scoring check|fuzz|speed")
    options = dict(argument.partition("=")[::2] for argument in arguments[1:])
    unknown = sorted(options.keys() - _SETTINGS[kind])
    if unknown:
        known = ", ".join(f"{name}=..." for name in sorted(_SETTINGS[kind]))
        raise UserError(f"scoring {kind}: no such setting: '{unknown[0]}' ({known})")
    run = {"check": _check, "fuzz": _fuzz, "speed": _speed}[kind]
    return run(options, output_console())


def _check(options: Mapping[str, str], console: Console) -> int:
    from pathlib import Path

    from evalkit.scorers.selfcheck.agree import figures
    from evalkit.scorers.selfcheck.labels import labelled

    if "data.dir" not in options:
        raise UserError("scoring check: give the data: evalkit scoring check data.dir=DIR")
    found = figures(labelled(Path(options["data.dir"]).expanduser()))
    for figure in found:
        _print_figure(figure, console)
    return 0 if all(figure.met for figure in found) else 1


def _print_figure(figure: Figure, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    share = f"{figure.agreed} of {figure.total} = {figure.share:.1%}"
    line = f"{figure.title}: {share} (target {figure.target:.0%})"
    console.print(line, highlight=False, markup=False)
    if not figure.disagreements:
        return
    table = Table("id", "extracted", "gold", "label", "verdict", "reason", box=None, pad_edge=True)
    for item in figure.disagreements:
        cells = (item.name, item.extracted[:40], item.gold, item.label, item.verdict, item.reason)
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    console.print(table)


def _fuzz(options: Mapping[str, str], console: Console) -> int:
    import os

    from evalkit.scorers.selfcheck.fuzz import LIMIT_GROWTH_BYTES, LIMIT_MS, fuzz

    count = _count(options.get("n", "1000000"), "n")
    processes = _count(options.get("processes", str(os.cpu_count() or 1)), "processes")
    found = fuzz(count, min(processes, count))
    lines = [
        f"{found.outputs} hostile outputs, {found.calls} calls of a rule",
        f"exceptions and broken verdicts: {found.fault_count}",
        *found.faults,
        f"slowest: {found.slowest_ms:.1f} ms of CPU ({found.slowest}; limit {LIMIT_MS:.0f} ms)",
        f"memory grew by at most {found.growth_bytes / 2**20:.1f} MiB (limit {LIMIT_GROWTH_BYTES >> 20} MiB)",
    ]
    console.print("\n".join(lines), highlight=False, markup=False)
    return 0 if found.passed else 1


def _speed(options: Mapping[str, str], console: Console) -> int:
    from pathlib import Path

    from evalkit.scorers.selfcheck import speed

    real = speed.real_outputs(Path(options["data.dir"]).expanduser()) if "data.dir" in options else None
    for line in speed.report(real):
        console.print(line, highlight=False, markup=False)
    return 0


def _count(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and int(text) > 0):
        raise UserError(f"scoring fuzz: {name}={text}: give a whole number above 0")
    return int(text)
