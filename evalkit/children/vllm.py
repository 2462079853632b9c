"""Run vLLM so that none of its processes outlives its parent, and nothing is left of them.

    python -m evalkit.children.vllm COMMAND...

runs COMMAND, its output on standard error, and ends everything that it started as soon as standard input
closes, which the kernel does when the parent dies, even by SIGKILL. vLLM needs more than `watchdog.py`: its
engine and workers are processes of their own, which live on, with all their memory, when the API server is
killed; and they leave sockets in the temporary folder and hundreds of megabytes of shared memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import psutil

from evalkit.children.watchdog import die_with_parent, wait_for_end_of_input

_PR_SET_CHILD_SUBREAPER = 36
_TIDY_SECONDS = 5.0  # Python's resource tracker takes milliseconds, on a busy machine more


def _adopt_orphans() -> None:
    """On Linux, processes below us whose parent dies become our children, and so stay in sight."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _descendants() -> list[psutil.Process]:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:  # the dead that we adopted
            pass
    return psutil.Process().children(recursive=True)


def _is_tracker(process: psutil.Process) -> bool:
    """Python's own helper, which removes shared memory when those that used it are gone."""
    return any("multiprocessing.resource_tracker" in word for word in process.cmdline())


def _end_descendants() -> None:
    """Kill everything below us; the resource tracker only if it does not end by itself."""
    patience = time.monotonic() + _TIDY_SECONDS
    while (left := _descendants()) and time.monotonic() < patience + _TIDY_SECONDS:
        for process in left:
            with contextlib.suppress(psutil.Error):
                if time.monotonic() > patience or not _is_tracker(process):
                    process.kill()
        time.sleep(0.02)


def main(command: list[str]) -> int:
    """Run `command` in this process's group; returns its exit code when nothing of it is left."""
    _adopt_orphans()
    scratch = tempfile.mkdtemp(prefix="evalkit-vllm-")
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        env={**os.environ, "TMPDIR": scratch, "VLLM_RPC_BASE_PATH": scratch},
        # Only prctl runs between fork and exec, so the usual hazards of preexec_fn do not apply.
        preexec_fn=die_with_parent if sys.platform == "linux" else None,
    )
    ending = threading.Lock()

    def tidy() -> None:
        with ending:
            _end_descendants()
            shutil.rmtree(scratch, ignore_errors=True)

    def watch() -> None:
        wait_for_end_of_input()
        tidy()
        os.killpg(0, signal.SIGKILL)  # and what was started while we looked

    threading.Thread(target=watch, daemon=True).start()
    code = child.wait()
    tidy()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
