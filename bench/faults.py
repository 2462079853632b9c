"""Faults at random on real runs, for as long as one likes, and what must hold afterwards."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.fault_kinds import (
    DISK,
    DONE,
    ENGINE_FAULTS,
    PARTIAL,
    SERVICE_FAULTS,
    Disk,
    Fault,
    FaultyService,
    Session,
    kill_driver,
    no_fault,
    small_size,
    some_moment,
    start,
    terminate_driver,
)
from evalkit.config.options import read_arguments
from evalkit.config.settings import run_settings
from evalkit.files import is_temporary
from evalkit.run.generations import GENERATIONS, read_chain
from evalkit.run.record import RECORD_FILE, load_run
from evalkit.run.runner import load_data, wanted
from evalkit.run.verify import check_run
from evalkit.schema import Name, UserError

HELP = """
usage: python -m bench faults [minutes=N] [model=NAME] [seed=N]

Runs of a real model, and of a service that fails at random, are killed, frozen, starved of disk and started
twice, at random moments; then the same command goes on undisturbed, and the run must be whole: every answer
there once and none that was on disk lost or changed, the chain of answers unbroken, no process left, no file
left half, every exit code as documented, no traceback. Prints what was done and what was found.

  minutes=N                how long (default: 1; a part of one is allowed); a trial that was begun is finished
  model=NAME               as for `evalkit run` (default: smollm2-135m)
  seed=N                   of the faults (default: 0); their moments depend on the machine as well

exit code: 0 all held, 1 something did not, 2 wrong request

example:
  python -m bench faults minutes=5
"""

_DEFAULTS = {"minutes": "1", "model": "smollm2-135m", "seed": "0"}
_PATIENCE = 300.0  # seconds for one session
_SERVICE_SHARE = 0.3  # of answers that fail


@dataclass(slots=True)
class Campaign:
    """What was done, and what was found."""

    faults: Counter[str] = field(default_factory=Counter)
    trials: int = 0
    sessions: int = 0
    answers: int = 0
    lost: int = 0
    doubled: int = 0
    processes_left: int = 0
    bytes_left: int = 0
    broken: list[str] = field(default_factory=list)


def main(arguments: Sequence[str]) -> int:
    given = read_arguments("faults", arguments, _DEFAULTS)
    if given.places:
        raise UserError(f"faults: cannot read '{given.places[0]}': write KEY=VALUE")
    minutes, seed = given.number("minutes", 0, 10_000), given.whole("seed", least=0)
    campaign = Campaign()
    with tempfile.TemporaryDirectory(prefix="evalkit-faults-") as scratch:
        disk = Disk(Path(scratch) / "disk")
        try:
            _campaign(campaign, Path(scratch), disk, given.text("model"), random.Random(seed), 60 * minutes)
        finally:
            disk.close()
    _show(campaign, disk.is_mounted)
    return int(bool(campaign.broken))


def _campaign(
    campaign: Campaign, scratch: Path, disk: Disk, model: str, chance: random.Random, seconds: float
) -> None:
    deadline = time.monotonic() + seconds
    number = 0
    while number == 0 or time.monotonic() < deadline:
        number += 1
        folder = scratch / f"run-{number}"
        with FaultyService(chance, _SERVICE_SHARE) as service:
            if number % 2 == 0:
                settings = _service_run(service.url)
                disturbances: dict[str, Fault] = {
                    "kill -9 of the driver": kill_driver,
                    "SIGTERM": terminate_driver,
                    "faults of the service alone": no_fault,
                }
            else:
                settings, disturbances = _engine_run(model, chance), ENGINE_FAULTS
            trial = Trial(campaign, [*settings], folder, chance)
            if chance.random() < 1 / (1 + len(disturbances)):
                trial.folder = disk.folder / f"run-{number}"
                trial.on(disk)
            else:
                trial.disturb(disturbances)
            service.share = 0.0
            trial.conclude()
            disk.empty()
            campaign.faults.update(service.done)


def _engine_run(model: str, chance: random.Random) -> list[str]:
    settings = ["benchmark=[finqa,tfns]", "data=sample", "limit=3", "protocol.max_tokens=12"]
    slots = chance.choice((1, 2))
    return [f"+model={model}", *settings, f"backend.slots={slots}", "backend.threads=1", "backend.timeout=60"]


def _service_run(url: str) -> list[str]:
    settings = ["benchmark=[finqa,tfns]", "data=sample", "limit=12", "backend.slots=3"]
    patience = ["backend.backoff=0.02", "backend.timeout=1.5", "backend.attempts=3"]
    return ["+model=endpoint", "model.name=faulty", f"backend.base_url={url}", *settings, *patience]


class Trial:
    """One run from its first session to its last."""

    def __init__(self, campaign: Campaign, settings: list[str], folder: Path, chance: random.Random) -> None:
        self._campaign, self._settings, self.folder, self._chance = campaign, settings, folder, chance
        read = run_settings(settings)
        self._asked = {request.name for request in wanted(read, load_data(read))}
        self._kept: dict[Name, str | None] = {}
        self._history: list[str] = []
        self._longest = 12.0
        campaign.trials += 1

    @property
    def _command(self) -> list[str]:
        return ["run", *self._settings, f"run_dir={self.folder}"]

    def disturb(self, faults: dict[str, Fault]) -> None:
        """One to three sessions, each with a fault at a random moment."""
        for _ in range(self._chance.randint(1, 3)):
            name = self._chance.choice(sorted(faults))
            session = start(self._command, self.folder)
            some_moment(session, self._chance, self._longest, len(self._asked))
            codes: set[int] = set()
            if session.running:
                try:
                    codes = faults[name](session, self._chance)
                except AssertionError as error:
                    self._break(str(error))
                self._campaign.faults[name] += faults[name] is not no_fault
            self._history.append(name)
            # A service that fails may leave questions without an answer, and give up.
            self._ended(session, codes | {PARTIAL} if "+model=endpoint" in self._settings else codes)

    def on(self, disk: Disk) -> None:
        """One to three sessions on a disk that is too small, each time a little larger."""
        size = 0
        for _ in range(self._chance.randint(1, 3)):
            size += small_size(self._chance)
            disk.has(size)
            session = start(self._command, self.folder, disk.limit(size))
            self._campaign.faults[DISK] += 1
            self._history.append(f"{DISK} at {size}")
            self._ended(session, {PARTIAL})
        disk.has(64 << 20)

    def conclude(self) -> None:
        """The same command until nothing disturbs it any more, and then all that must hold."""
        self._history.append("nothing")
        self._ended(start(self._command, self.folder), set())
        for line in broken_invariants(self.folder, self._asked, self._kept):
            self._break(line)
        found = _answers(self.folder)
        self._campaign.answers += len(found)
        self._campaign.lost += len(self._kept.keys() - found.keys()) + len(self._asked - found.keys())
        self._campaign.doubled += _lines(self.folder) - len(found)
        self._campaign.bytes_left += bytes_left(self.folder)

    def _ended(self, session: Session, codes: set[int]) -> None:
        code, said = session.end(_PATIENCE)
        self._campaign.sessions += 1
        if code not in codes | {DONE}:
            self._break(f"exit code {code}, documented are {sorted(codes | {DONE})}: {said[-300:]!r}")
        if "Traceback" in said:
            self._break(f"a traceback: {said[-300:]!r}")
        left = session.left()
        self._campaign.processes_left += len(left)
        if left:
            self._break(f"{len(left)} processes outlived their run")
        for process in left:
            process.kill()
        try:
            self._kept |= _answers(self.folder)
        except UserError as error:
            self._break(str(error))

    def _break(self, what: str) -> None:
        self._campaign.broken.append(f"after {', '.join(self._history)}: {what}")


def broken_invariants(folder: Path, asked: set[Name], kept: dict[Name, str | None]) -> list[str]:
    """What does not hold of a run that has ended well; empty: all does.

    Args:
        asked: the names of all answers that it must have.
        kept: texts that were on disk after earlier sessions.
    """
    try:
        found = read_chain(folder / GENERATIONS)
        run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        record = load_run(folder / RECORD_FILE)
        checks = check_run(folder, None)
    except (UserError, OSError, ValueError) as error:
        return [f"cannot be read: {error}"]
    answers = {answer.name: answer.text for answer in found.answers}
    broken = [f"verify says {check.what}: {check.detail}" for check in checks if check.outcome == "wrong"]
    if answers.keys() != asked:
        broken.append(
            f"{len(asked - answers.keys())} answers lacking, {len(answers.keys() - asked)} not asked"
        )
    if _lines(folder) != len(answers):
        broken.append(f"{_lines(folder)} lines for {len(answers)} answers")
    changed = sum(answers.get(name, "") != text for name, text in kept.items())
    if changed:
        broken.append(f"{changed} answers that were on disk are gone or changed")
    if found.linked != len(found.answers) or run.get("answers", {}).get("count") != len(asked):
        broken.append("not every answer is in the chain and its seal")
    if sum(len(item.samples) for item in record.items) != len(asked):
        broken.append("the record has not every answer")
    if bytes_left(folder):
        broken.append(f"{bytes_left(folder)} bytes in temporary files")
    return broken


def _answers(folder: Path) -> dict[Name, str | None]:
    """What counts as answered so far: texts by name."""
    return {a.name: a.text for a in read_chain(folder / GENERATIONS).answers if a.is_final}


def _lines(folder: Path) -> int:
    path = folder / GENERATIONS
    return path.read_bytes().count(b"\n") if path.exists() else 0


def bytes_left(folder: Path) -> int:
    """Bytes in files that were never finished; an empty one counts as one."""
    return sum(max(1, path.stat().st_size) for path in folder.rglob("*") if is_temporary(path.name))


def _show(campaign: Campaign, mounted: bool) -> None:
    from evalkit.text import output_console, show_lines, show_table

    console = output_console()
    kinds = [*ENGINE_FAULTS, DISK, *SERVICE_FAULTS]
    names = {
        DISK: f"{DISK} ({'a small tmpfs' if mounted else 'a limit on file size: nobody may mount here'})"
    }
    rows = [[names.get(kind, kind), str(campaign.faults[kind])] for kind in kinds]
    show_table(console, "faults", ["kind", "how often"], [*rows, ["all", str(campaign.faults.total())]])
    found = {
        "runs": campaign.trials,
        "sessions": campaign.sessions,
        "answers": campaign.answers,
        "answers lost": campaign.lost,
        "answers doubled": campaign.doubled,
        "processes left": campaign.processes_left,
        "bytes left in unfinished files": campaign.bytes_left,
        "broken invariants": len(campaign.broken),
    }
    show_table(console, "found", ["what", "count"], [[what, str(count)] for what, count in found.items()])
    show_lines(console, campaign.broken)
