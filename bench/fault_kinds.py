"""Faults that can be done to a run, each a function of a session that was just started.

A session is one `evalkit run` process. A fault does its harm at some moment of it, and says which exit codes
the documentation allows for the session then.
"""

from __future__ import annotations

import atexit
import contextlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from evalkit.run.generations import GENERATIONS
from evalkit.run.record import RECORD_FILE
from tests.backends.scripted_server import Reply, Request, ScriptedServer

_POLL = 0.05  # seconds; looking for children costs some milliseconds
_FROZEN_SECONDS = 2.0
_SMALL_DISK = (0, 60_000)  # bytes
DONE, PARTIAL, WRONG, INTERRUPTED = 0, 1, 2, 130
KILLED, ENDED_EARLY = -signal.SIGKILL, -signal.SIGTERM


@dataclass(slots=True)
class Session:
    """One process of a run.

    `before`: answers when it started. `children`: those of it that were ever seen, to look for
    what is left of them.
    """

    command: Sequence[str]
    folder: Path
    process: subprocess.Popen[str]
    before: int = 0
    children: set[psutil.Process] = field(default_factory=set)

    @property
    def running(self) -> bool:
        self.look()
        return self.process.poll() is None

    def look(self) -> None:
        with contextlib.suppress(psutil.Error):
            self.children |= set(psutil.Process(self.process.pid).children(recursive=True))

    def engines(self) -> list[psutil.Process]:
        """The processes that hold the model."""
        self.look()
        found = []
        for child in self.children:
            with contextlib.suppress(psutil.Error):
                if child.is_running() and any("children.llama_cpp" in word for word in child.cmdline()):
                    found.append(child)
        return found

    def answers(self) -> int:
        """Whole lines of answers so far."""
        path = self.folder / GENERATIONS
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def end(self, seconds: float) -> tuple[int, str]:
        """Wait for its end; returns exit code and what it said; one that does not end is killed: -1."""
        deadline = time.monotonic() + seconds
        while self.running and time.monotonic() < deadline:
            time.sleep(_POLL)
        hung = self.process.poll() is None
        if hung:
            self.process.kill()
        _, said = self.process.communicate()
        return (-1 if hung else self.process.returncode), said

    def left(self) -> list[psutil.Process]:
        """Its children that outlived it by more than five seconds."""
        return psutil.wait_procs(list(self.children), timeout=5)[1]


_started: list[subprocess.Popen[str]] = []


@atexit.register
def _end_all() -> None:
    """Sessions are in process groups of their own: Ctrl-C does not reach them."""
    for process in _started:
        if process.poll() is None:
            process.kill()


def start(command: Sequence[str], folder: Path, largest_file: int | None = None) -> Session:
    """Start `evalkit` with these arguments. `largest_file`: no file of it may become larger, in bytes."""

    def limit() -> None:
        if largest_file is not None:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, hard))

    process = subprocess.Popen(
        [sys.executable, "-m", "evalkit", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=limit,
    )
    _started.append(process)
    session = Session(command, folder, process)
    session.before = session.answers()
    return session


def some_moment(session: Session, chance: random.Random, longest: float, asked: int) -> None:
    """Wait for a time, or for a number of answers, unless it ends before."""
    until = time.monotonic() + chance.uniform(0.2, longest)
    count = chance.randrange(asked) if chance.random() < 0.5 else None
    while session.running:
        if count is None and time.monotonic() > until:
            return
        if count is not None and session.answers() >= min(session.before + 1 + count, asked):
            return
        time.sleep(_POLL)


Fault = Callable[[Session, random.Random], set[int]]
"""Harms a session; returns the exit codes that it may have then, beside DONE."""


def kill_driver(session: Session, chance: random.Random) -> set[int]:  # noqa: ARG001
    session.process.send_signal(signal.SIGKILL)
    return {KILLED}


def terminate_driver(session: Session, chance: random.Random) -> set[int]:  # noqa: ARG001
    early, over = session.answers() <= session.before, (session.folder / RECORD_FILE).exists()
    session.process.send_signal(signal.SIGTERM)
    # While Python itself starts or ends it knows no other end; and interrupted within an `exec`, as the
    # imports of dataclasses are, it ends itself by SIGINT, which a shell shows as 130 too.
    return {INTERRUPTED} | ({ENDED_EARLY, -signal.SIGINT} if early else {ENDED_EARLY} if over else set())


def kill_engine(session: Session, chance: random.Random) -> set[int]:
    for _ in range(chance.choice((1, 1, 2))):
        for engine in session.engines():
            with contextlib.suppress(psutil.Error):
                engine.kill()
        time.sleep(0.3)
    return {PARTIAL}


def freeze_engine(session: Session, chance: random.Random) -> set[int]:
    engines = session.engines()
    with contextlib.suppress(psutil.Error):
        for engine in engines:
            engine.suspend()
        time.sleep(chance.uniform(0.1, _FROZEN_SECONDS))
    for engine in engines:
        with contextlib.suppress(psutil.Error):
            engine.resume()
    return set()


def second_process(session: Session, chance: random.Random) -> set[int]:  # noqa: ARG001
    """The same command beside it: one of the two is refused."""
    other = start(session.command, session.folder)
    code, said = other.end(120)
    refused = code == WRONG and "another process is writing this run" in said
    # With all answers there, a process that still writes its report keeps nobody out.
    if not refused and not (code == DONE and (not session.running or "already complete" in said)):
        raise AssertionError(f"a second process on one folder ended with {code}: {said[-300:]}")
    return {WRONG} if code == DONE else set()


def no_fault(session: Session, chance: random.Random) -> set[int]:  # noqa: ARG001
    return set()


ENGINE_FAULTS: dict[str, Fault] = {
    "kill -9 of the driver": kill_driver,
    "SIGTERM": terminate_driver,
    "SIGSTOP, SIGCONT of the engine": freeze_engine,
    "kill -9 of the engine": kill_engine,
    "two processes on one folder": second_process,
}
DISK = "disk full"


class Disk:
    """A small file system mounted on a folder, or, where nobody may mount, only a limit on a file's size."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.is_mounted = self._mount("size=4k")

    def _mount(self, options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(self.folder)]
        with contextlib.suppress(OSError):
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        return False

    def has(self, size: int) -> None:
        """Make it that large, in bytes; a page is the least."""
        if self.is_mounted:
            subprocess.run(["mount", "-o", f"remount,size={max(size, 4096)}", str(self.folder)], check=True)

    def empty(self) -> None:
        """Remove what a trial has left: a file system cannot be made smaller than what is on it."""
        for path in self.folder.iterdir():
            shutil.rmtree(path)

    def limit(self, size: int) -> int | None:
        """What a session is to be started with, where nothing is mounted."""
        return None if self.is_mounted else size

    def close(self) -> None:
        if self.is_mounted:
            subprocess.run(["umount", str(self.folder)], check=True)


def small_size(chance: random.Random) -> int:
    return chance.randint(*_SMALL_DISK)


SERVICE_FAULTS = ("HTTP 500", "a cut body", "a slow answer", "an error inside 200", "a reset connection")


class FaultyService:
    """A service that answers every question by a text made of it, and fails at random.

    Counts the faults that it did, by kind.
    """

    def __init__(self, chance: random.Random, share: float) -> None:
        self.share, self._chance = share, chance
        self.done: list[str] = []
        self._server = ScriptedServer(self._reply)

    @property
    def url(self) -> str:
        return self._server.url

    def _reply(self, request: Request) -> Reply:
        text = f"\\boxed{{{sum(request.text.encode()) % 1000}}}"
        if self._chance.random() >= self.share:
            return Reply(text)
        fault = self._chance.choice(SERVICE_FAULTS)
        self.done.append(fault)
        return {
            "HTTP 500": Reply("overloaded", status=500),
            "a cut body": Reply(text, cut=self._chance.randrange(1, 60)),
            "a slow answer": Reply(text, delay=self._chance.uniform(0.2, 2.0)),
            "an error inside 200": Reply(body=b'{"error": {"message": "no capacity", "code": 503}}'),
            "a reset connection": Reply(reset=True),
        }[fault]

    def __enter__(self) -> FaultyService:
        self._server.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.die()
