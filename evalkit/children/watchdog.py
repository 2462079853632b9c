"""Run a command that must not outlive its parent.

    python -m evalkit.children.watchdog COMMAND...

runs COMMAND and ends it as soon as standard input closes, which the kernel does when the parent dies, even
by SIGKILL. On Linux the kernel is also asked to kill directly, in case this process itself is killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies. Elsewhere nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def wait_for_end_of_input() -> None:
    """Return when the parent closes our standard input or dies."""
    while os.read(0, 4096):
        pass


def main(command: list[str]) -> int:
    """Run `command` until it ends or the parent does; returns its exit code."""
    die_with_parent()
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        # Only prctl runs between fork and exec, so the usual hazards of preexec_fn do not apply.
        preexec_fn=die_with_parent if sys.platform == "linux" else None,
    )

    def watch() -> None:
        wait_for_end_of_input()
        child.kill()

    threading.Thread(target=watch, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
