"""Whose a run folder is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import UserError
from evalkit.runner.folder import RunFolder, check_claim, run_id


def config(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "model": {"name": "toy"},
        "protocol": {"name": "greedy"},
        "data": {"source": "sample", "dir": None},
        "limit": 3,
        "run_dir": None,
        "results_dir": "results",
        "backend": {"slots": 4, "port": None},
    }
    return {**base, **changes}


def test_the_same_config_opens_the_folder_again(tmp_path: Path) -> None:
    for _ in range(2):
        with RunFolder(tmp_path / "run", config()) as folder:
            assert (folder.path / "config.yaml").exists()


def test_another_config_is_refused_and_named(tmp_path: Path) -> None:
    RunFolder(tmp_path, config()).close()
    with pytest.raises(UserError, match="limit was 3, now 5"):
        RunFolder(tmp_path, config(limit=5))
    with pytest.raises(UserError, match=r"backend\.slots was 4, now 2"):
        check_claim(tmp_path, config(backend={"slots": 2, "port": None}))


def test_where_the_data_are_and_the_port_do_not_matter(tmp_path: Path) -> None:
    RunFolder(tmp_path, config()).close()
    moved = config(data={"source": "sample", "dir": "/elsewhere"}, backend={"slots": 4, "port": 8080})
    RunFolder(tmp_path, moved).close()
    assert run_id(moved) == run_id(config())


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="not a run folder"):
        check_claim(tmp_path, config())
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_broken_config_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe{")
    with pytest.raises(UserError, match=r"config\.yaml cannot be read"):
        check_claim(tmp_path, config())


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UserError, match="cannot use it as a run folder"):
        check_claim(file, config())


def test_two_processes_cannot_write_one_run(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time\n"
            "from evalkit.runner.folder import RunFolder\n"
            "from tests.runner.test_folder import config\n"
            "from pathlib import Path\n"
            "folder = RunFolder(Path(sys.argv[1]), config())\n"
            "print('held', flush=True)\n"
            "time.sleep(60)\n",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(UserError, match="another process"):
        RunFolder(tmp_path, config())
    holder.kill()
    holder.wait()
    RunFolder(tmp_path, config()).close()
