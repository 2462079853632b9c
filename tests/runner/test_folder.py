"""Whose a run folder is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.config.settings import RunSettings, run_settings
from evalkit.run.folder import RunFolder, check_claim, run_id
from evalkit.schema import UserError


def settings(*overrides: str) -> RunSettings:
    """Of a run of some file."""
    return run_settings(["model=gguf", "model.path=toy.gguf", "data=sample", "limit=3", *overrides])


def test_the_same_config_opens_the_folder_again(tmp_path: Path) -> None:
    for _ in range(2):
        with RunFolder(tmp_path / "run", settings()) as folder:
            assert (folder.path / "config.yaml").exists()


def test_another_config_is_refused_and_named(tmp_path: Path) -> None:
    RunFolder(tmp_path, settings()).close()
    with pytest.raises(UserError, match="limit was 3, now 5"):
        RunFolder(tmp_path, settings("limit=5"))
    with pytest.raises(UserError, match=r"backend\.slots was 4, now 2"):
        check_claim(tmp_path, settings("backend.slots=2"))


def test_where_the_data_are_and_the_port_do_not_matter(tmp_path: Path) -> None:
    here = settings("data=local", "data.dir=/here")
    RunFolder(tmp_path, here).close()
    moved = settings("data=local", "data.dir=/elsewhere", "backend.port=8080")
    RunFolder(tmp_path, moved).close()
    assert run_id(moved) == run_id(here)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="not a run folder"):
        check_claim(tmp_path, settings())
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_broken_config_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe{")
    with pytest.raises(UserError, match=r"config\.yaml cannot be read"):
        check_claim(tmp_path, settings())


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UserError, match="cannot use it as a run folder"):
        check_claim(file, settings())


def test_two_processes_cannot_write_one_run(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time\n"
            "from evalkit.run.folder import RunFolder\n"
            "from tests.runner.test_folder import settings\n"
            "from pathlib import Path\n"
            "folder = RunFolder(Path(sys.argv[1]), settings())\n"
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
        RunFolder(tmp_path, settings())
    holder.kill()
    holder.wait()
    RunFolder(tmp_path, settings()).close()
