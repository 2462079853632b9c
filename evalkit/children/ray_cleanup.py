"""Ends what is left of a Ray cluster of our own when the process that started it is killed.

    python -m evalkit.children.ray_cleanup FOLDER

waits until standard input closes, which the kernel does when the parent dies, then ends every process that
has a file open in FOLDER, Ray's session folder, and removes it. Ray's workers end by themselves within
seconds of such a death, but its agents take more than a minute, and the folder stays.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time

import psutil

from evalkit.children.watchdog import wait_for_end_of_input

_ROUNDS = 20
_ROUND_SECONDS = 0.25


def clear(folder: str, spared: int) -> None:
    """End what still works in `folder`, but for the process `spared`, until nothing does; then remove it."""
    for _ in range(_ROUNDS):
        users = [process for process in _users(os.path.realpath(folder) + os.sep) if process.pid != spared]
        for process in users:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if not users:
            break
        time.sleep(_ROUND_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)


def _users(prefix: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(file.path.startswith(prefix) for file in process.open_files()):
                found.append(process)
    return found


if __name__ == "__main__":
    # A parent that closes the cluster and lives on still has Ray's log open.
    parent = os.getppid()
    wait_for_end_of_input()
    clear(sys.argv[1], parent)
