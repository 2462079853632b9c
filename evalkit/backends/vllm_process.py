"""The process of a vLLM server: how it ends, and how its log says why it did not start."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence

from evalkit.backends.server_process import ServerProcess

_PREFIX = re.compile(r"^(\(\w+ pid=\d+\) )?(ERROR [\d-]+ [\d:]+ \[[^\]]{1,80}\] )?")
_RAISED = re.compile(r"^([\w.]{1,80}(Error|Exception)|[\w.-]{1,80}: error): ")
_INVALID = re.compile(r"^[\w.]{1,80}ValidationError: ")
# What only says that something else went wrong.
_CONSEQUENCES = ("Engine core initialization failed", "WorkerProc initialization failed")
_LONGEST = 300  # characters
_TIDY_SECONDS = 15.0


def telling_line(lines: Sequence[str]) -> str:
    """The line of vLLM's log that says why it ended.

    Its processes each print a traceback, and the outer ones only say that an inner one failed: the first
    exception that is not such a consequence is the reason. Of a setting that pydantic refuses, the reason
    comes a line or two later. Without any exception, the first line that reports an error, else the last.
    """
    bare = [_PREFIX.sub("", line).strip() for line in lines]
    for number, line in enumerate(bare):
        if _INVALID.match(line):
            below = bare[number + 1 : number + 4]
            return next((said for said in below if said.startswith("Value error, ")), line)[:_LONGEST]
        if _RAISED.match(line) and not any(words in line for words in _CONSEQUENCES):
            return line[:_LONGEST]
    telling = [line for line in bare if "error" in line.lower()]
    said = [line for line in bare if line]
    return (telling or said[-1:] or ["it said nothing"])[0][:_LONGEST]


class VllmProcess(ServerProcess):
    """A `ServerProcess` under `vllm_host`, which needs a moment to tidy up, and that knows vLLM's log."""

    async def stop(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            if self.alive:
                self._memory.sample(self._process.pid)
            self._process.stdin.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), _TIDY_SECONDS)
        await super().stop()

    def _reason(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            return telling_line(log.read().decode(errors="replace").splitlines())
