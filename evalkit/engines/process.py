"""One run of a server program as a child process: start it, notice its death, end it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from evalkit.engines.measure import PeakMemory
from evalkit.schema import EngineUnusable, UserError
from evalkit.spawn import child_environment

_MEMORY_SAMPLE_SECONDS = 0.5
_LIMIT_SAMPLE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server may take while it loads: bytes of memory, seconds of processor time."""

    memory: int
    cpu_seconds: float


def require_free_port(port: int) -> None:
    """Raises UserError if nothing could listen on `port` of the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UserError(
                f"port {port} is taken: give another backend.port, or leave it out for a free one"
            ) from error


def refuse_shared_port(port: int | None) -> None:
    """Raises UserError for a port of its own in the settings of engines of which there are several."""
    if port:
        raise UserError(
            "backend.port: workers on one machine cannot share it: leave it out with executor=ray"
        )


def free_port() -> int:
    """A port that is free now, for servers that cannot pick their own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def first_error(lines: Sequence[str]) -> str:
    """The first error in a server's log: the later ones only follow from it."""
    telling = [line for line in lines if " E " in line or "error" in line.lower()]
    return (telling or lines[-1:] or ["it said nothing"])[0].strip()[-300:]


class ServerProcess:
    """One run of a server program.

    Args:
        log: where its output goes.
        memory: follows its process tree.
        tidy_seconds: how long it may take to end by itself once its standard input is closed.
        telling_line: of the lines of its log, the one that says why it ended.
    """

    def __init__(
        self,
        log: Path,
        memory: PeakMemory,
        *,
        tidy_seconds: float = 0.0,
        telling_line: Callable[[Sequence[str]], str] = first_error,
    ) -> None:
        self._log = log
        self._log_start = 0
        self._memory = memory
        self._tidy_seconds = tidy_seconds
        self._telling_line = telling_line
        self._process: asyncio.subprocess.Process | None = None
        self._sampler: asyncio.Task[None] | None = None
        self._guard: asyncio.Task[None] | None = None
        self._excess: str | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(
        self,
        command: Sequence[str],
        first_line: bytes = b"",
        env: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Start `command`, which must end when its standard input closes (see `evalkit.children`).

        Args:
            env: beside what children find in their environment.
            limits: it is killed as soon as it takes more, until `loaded`.
        """
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=child_environment(env),
                # A Ctrl-C in the terminal is for us alone: we end the server when our records are safe.
                start_new_session=True,
            )
        assert self._process.stdin is not None
        if first_line:
            with contextlib.suppress(ConnectionError):
                self._process.stdin.write(first_line)
                await self._process.stdin.drain()
        self._sampler = asyncio.create_task(self._sample())
        self._guard = asyncio.create_task(self._hold_to(limits)) if limits else None

    def loaded(self) -> None:
        """The limits were for loading, which is done."""
        if self._guard:
            self._guard.cancel()

    async def _hold_to(self, limits: Limits) -> None:
        assert self._process is not None
        while self.alive and self._excess is None:
            with contextlib.suppress(psutil.Error):
                root = psutil.Process(self._process.pid)
                tree = [root, *root.children(recursive=True)]
                times = [process.cpu_times() for process in tree]
                if sum(process.memory_info().rss for process in tree) > limits.memory:
                    self._excess = f"it took more than {limits.memory / 1e9:.1f} GB of memory"
                elif sum(each.user + each.system for each in times) > limits.cpu_seconds:
                    self._excess = f"it took more than {limits.cpu_seconds:g} s of processor time"
            await asyncio.sleep(_LIMIT_SAMPLE_SECONDS)
        self._kill()

    async def read_line(self) -> str:
        """The next line of the server's standard output with its end; '' when the server has ended."""
        assert self._process is not None
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError):  # a line longer than any of ours
            return (await self._process.stdout.readline()).decode(errors="replace")
        return "\n"

    async def _sample(self) -> None:
        while self.alive:
            self._memory.sample(self._process.pid if self._process else 0)
            await asyncio.sleep(_MEMORY_SAMPLE_SECONDS)

    async def stop(self) -> None:
        """End the server, then kill what is left of its session: it keeps nothing that could be lost."""
        if self._process is None:
            return
        if self.alive:
            self._memory.sample(self._process.pid)
        if self._tidy_seconds:
            await self._tidy(self._process)
        self._kill()
        await self._process.wait()
        for task in (self._sampler, self._guard):
            if task:
                task.cancel()
        self._process = None

    def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _tidy(self, process: asyncio.subprocess.Process) -> None:
        """Close its standard input and let it clear away what it would leave behind if it were killed."""
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), self._tidy_seconds)

    async def failed_start(self, what: str) -> Exception:
        """Why a server that should have come up did not, with the telling line of its log.

        A server that gave up by itself was asked for something impossible: that is the user's to change.
        One that was killed may well start the next time.
        """
        assert self._process is not None
        code = await self._process.wait()
        if self._excess:
            return UserError(
                f"{what}: {self._excess} while it loaded: its chat template may never end: give another with "
                f"model.chat_template=FILE.jinja (log: {self._log})"
            )
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            reason = self._telling_line(log.read().decode(errors="replace").splitlines())
        line = f"{what}: {reason} (log: {self._log})"
        return UserError(line) if code > 0 else EngineUnusable(line)
