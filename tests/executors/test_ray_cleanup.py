"""The end of what a killed driver leaves behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HOLD = "import sys, time; file = open(sys.argv[1], 'w'); print('open', flush=True); time.sleep(60)"


def holder(file: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(file)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"open\n"
    return process


def test_only_what_works_in_the_folder_ends(tmp_path: Path) -> None:
    folder, other = tmp_path / "session", tmp_path / "session-of-somebody"
    folder.mkdir()
    other.mkdir()
    inside, outside = holder(folder / "log"), holder(other / "log")
    try:
        # This process works in the folder too, and is the parent: it lives on.
        with (folder / "own").open("w"):
            cleanup = [sys.executable, "-m", "evalkit.children.ray_cleanup", str(folder)]
            subprocess.run(cleanup, stdin=subprocess.DEVNULL, check=True, timeout=120)
        assert inside.wait(5) == -9
        with pytest.raises(subprocess.TimeoutExpired):
            outside.wait(0.2)
        assert not folder.exists()
        assert (other / "log").exists()
    finally:
        for process in (inside, outside):
            process.kill()
            process.communicate()
