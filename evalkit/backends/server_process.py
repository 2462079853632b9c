"""A server child: start, wait until it answers, notice its death, end it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from evalkit.backends.engine import EngineUnusable
from evalkit.backends.memory import PeakMemory
from evalkit.errors import UserError

_MEMORY_SAMPLE_SECONDS = 0.5


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


def free_port() -> int:
    """A port that is free now, for servers that cannot pick their own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess:
    """One run of a server program. Its output goes to `log`; `memory` follows its process tree."""

    def __init__(self, log: Path, memory: PeakMemory) -> None:
        self._log = log
        self._log_start = 0
        self._memory = memory
        self._process: asyncio.subprocess.Process | None = None
        self._sampler: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(
        self, command: Sequence[str], first_line: bytes = b"", env: Mapping[str, str] | None = None
    ) -> None:
        """Start `command`, which must end when its standard input closes (see leash.py)."""
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, **(env or {})},
                # A Ctrl-C in the terminal is for us alone: we end the server when our records are safe.
                start_new_session=True,
            )
        assert self._process.stdin is not None
        if first_line:
            with contextlib.suppress(ConnectionError):
                self._process.stdin.write(first_line)
                await self._process.stdin.drain()
        self._sampler = asyncio.create_task(self._sample())

    async def read_line(self) -> str:
        """The next line of the server's standard output; '' when it has ended."""
        assert self._process is not None
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode(errors="replace").strip()

    async def _sample(self) -> None:
        while self.alive:
            self._memory.sample(self._process.pid if self._process else 0)
            await asyncio.sleep(_MEMORY_SAMPLE_SECONDS)

    async def stop(self) -> None:
        """Kill the whole session of the server: it keeps nothing that could be lost."""
        if self._process is None:
            return
        if self.alive:
            self._memory.sample(self._process.pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        if self._sampler:
            self._sampler.cancel()
        self._process = None

    async def failed_start(self, what: str) -> Exception:
        """Why a server that should have come up did not, with the telling line of its log.

        A server that gave up by itself was asked for something impossible: that is the user's to change.
        One that was killed may well start the next time.
        """
        assert self._process is not None
        code = await self._process.wait()
        line = f"{what}: {self._reason()} (log: {self._log})"
        return UserError(line) if code > 0 else EngineUnusable(line)

    def _reason(self) -> str:
        """The first error in what this server has logged: the later ones only follow from it."""
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        telling = [line for line in lines if " E " in line or "error" in line.lower()]
        return (telling or lines[-1:] or ["it said nothing"])[0].strip()[-300:]
