"""How often the same question gets another text and another verdict from the same file on one machine."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.fault_kinds import start
from evalkit.config.options import everything, read_arguments
from evalkit.run.record import RECORD_FILE, load_run
from evalkit.schema import Name, UserError
from evalkit.stats.intervals import wilson
from evalkit.text import output_console, rate, show_table

HELP = """
usage: python -m bench noise [slots=1,2,4] +model=NAME [KEY=VALUE ...]

The same run three times under each number of slots: twice undisturbed, and once killed (kill -9) after half
of its answers and gone on with. Prints how many texts and how many verdicts of the rule that counts are the
same in the two undisturbed runs, and in the first and the killed one, with 95 % intervals. Takes arguments
of `evalkit run`.

example:
  python -m bench noise +model=smollm2-135m data=sample benchmark=[tfns] protocol.max_tokens=32
"""

_PATIENCE = 3600.0  # seconds for one run

Answers = dict[Name, tuple[str | None, bool | None]]
"""Text and verdict by name."""


def main(arguments: Sequence[str]) -> int:
    given = read_arguments("noise", arguments, {"slots": "1,2,4"}, hand_on=everything)
    rows = []
    with tempfile.TemporaryDirectory(prefix="evalkit-noise-") as scratch:
        for slots in given.wholes("slots"):
            command = ["run", *given.handed_on, f"backend.slots={slots}"]
            folders = [Path(scratch) / f"{slots}-{name}" for name in ("one", "two", "killed")]
            one, two = (_run(command, folder) for folder in folders[:2])
            _killed(command, folders[2], len(one) // 2)
            killed = _run(command, folders[2])
            rows.append([str(slots), *_same(one, two), *_same(one, killed)])
            print(*rows[-1], sep="; ", file=sys.stderr, flush=True)  # it takes long
    header = ["slots", "texts of two runs", "their verdicts", "texts of a killed run", "its verdicts"]
    show_table(output_console(), "the same", header, rows)
    return 0


def _run(command: Sequence[str], folder: Path) -> Answers:
    session = start([*command, f"run_dir={folder}"], folder)
    code, said = session.end(_PATIENCE)
    if code not in (0, 1):
        raise UserError(f"noise: a run ended with {code}: {' '.join(said.split())[-300:]}")
    run = load_run(folder / RECORD_FILE)
    return {
        (item.benchmark, item.id, item.turn, sample.number): (
            sample.text,
            sample.scores[run.info.benchmarks[item.benchmark].rule].correct,
        )
        for item in run.items
        for sample in item.samples
    }


def _killed(command: Sequence[str], folder: Path, after: int) -> None:
    session = start([*command, f"run_dir={folder}"], folder)
    while session.running and session.answers() < after:
        time.sleep(0.02)
    session.process.send_signal(signal.SIGKILL)
    session.end(_PATIENCE)
    session.left()


def _same(one: Answers, other: Answers) -> list[str]:
    """Texts and verdicts in common; verdicts among the answers that the rule can judge."""
    texts = [one[name][0] == other[name][0] for name in one]
    verdicts = [one[name][1] == other[name][1] for name in one if one[name][1] is not None]
    return [
        rate(sum(same) / len(same) if same else None, wilson(sum(same), len(same)), len(same))
        for same in (texts, verdicts)
    ]
