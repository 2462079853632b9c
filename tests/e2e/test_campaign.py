"""`python -m bench faults`: a bounded campaign holds, and what it looks for it would find."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.fault_kinds import Disk
from bench.faults import broken_invariants
from evalkit.__main__ import main
from evalkit.config.settings import run_settings
from evalkit.run.generations import GENERATIONS, read_generations, rewrite
from evalkit.run.runner import load_data, wanted
from evalkit.schema import Name
from tests.e2e.conftest import evalkit


def test_a_quarter_of_a_minute_of_faults(tmp_path: Path) -> None:
    done = evalkit("faults", "minutes=0.25", "seed=2", cwd=tmp_path, module="bench", timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {
        line.rsplit(maxsplit=1)[0].strip(): line.split()[-1]
        for line in done.stdout.splitlines()
        if line.split()
    }
    assert int(rows["runs"]) >= 1
    assert int(rows["all"]) >= 1
    for what in ("answers lost", "answers doubled", "processes left", "broken invariants"):
        assert rows[what] == "0"


def test_the_small_disk_serves_one_trial_after_the_other(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk")
    try:
        for _ in range(2):
            disk.has(8192)  # not to be had with the files of an earlier trial on it
            disk.has(1 << 20)
            (disk.folder / "run").mkdir()
            (disk.folder / "run" / "answers").write_bytes(bytes(1 << 19))
            disk.empty()
            assert list(disk.folder.iterdir()) == []
    finally:
        disk.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[Name]]:
    """A finished run of recorded outputs, and the names of what it was asked."""
    folder = tmp_path_factory.mktemp("whole")
    settings = ["+model=replay", f"model.path={folder / 'outputs.jsonl'}", "data=sample", "benchmark=[tfns]"]
    read = run_settings(settings)
    asked = {request.name for request in wanted(read, load_data(read))}
    (folder / "outputs.jsonl").write_text(
        "".join(json.dumps({"id": n[1], "text": "x"}) + "\n" for n in asked)
    )
    assert main(["run", *settings, f"run_dir={folder / 'run'}"]) == 0
    return folder / "run", asked


def drop_last(folder: Path) -> None:
    path = folder / GENERATIONS
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def double(folder: Path) -> None:
    path = folder / GENERATIONS
    path.write_bytes(path.read_bytes() + path.read_bytes().splitlines(keepends=True)[0])


def edit(folder: Path) -> None:
    path = folder / GENERATIONS
    path.write_bytes(path.read_bytes().replace(b'"text": "x"', b'"text": "y"', 1))


def lose_and_chain_anew(folder: Path) -> None:
    rewrite(folder / GENERATIONS, read_generations(folder / GENERATIONS)[1:])


def half_a_file(folder: Path) -> None:
    (folder / ".run.json.1.2.tmp").write_text("{")


def no_record(folder: Path) -> None:
    (folder / "record.jsonl.gz").unlink()


@pytest.mark.parametrize("harm", [drop_last, double, edit, lose_and_chain_anew, half_a_file, no_record])
def test_what_does_not_hold_is_found(
    harm: Callable[[Path], None], whole: tuple[Path, set[Name]], tmp_path: Path
) -> None:
    run, asked = whole
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    kept: dict[Name, str | None] = dict.fromkeys(asked, "x")
    assert broken_invariants(folder, asked, kept) == []
    harm(folder)
    assert broken_invariants(folder, asked, kept)
