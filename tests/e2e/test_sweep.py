"""A real sweep over the small model: three members that differ in slots, killed, broken and repeated."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.schema import AVERAGE
from evalkit.sweep.plan import plan
from evalkit.sweep.record import Sweep, read_sweep
from tests.e2e.conftest import command, evalkit

SETTINGS = ["data=sample", "benchmark=[ant_finance,tfns]", "limit=2", "protocol.max_tokens=8"]
THREE = ["+model=smollm2-135m", "backend.slots=1,2,3", *SETTINGS]


def sweep_in(folder: Path, *more: str) -> list[str]:
    return ["sweep", *THREE, f"results_dir={folder}", f"sweep.dir={folder / 'sweep'}", *more]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an undisturbed sweep with its noise floor."""
    folder = tmp_path_factory.mktemp("swept")
    done = evalkit(*sweep_in(folder), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_it_measures_every_member_and_compares_it_with_the_reference(swept: Path) -> None:
    sweep = read_sweep(swept / "sweep")
    assert [member.name for member in sweep.members] == [f"smollm2-135m backend.slots={n}" for n in (1, 2, 3)]
    assert sweep.reference == sweep.members[0].name, "of equal precision the first"
    assert not sweep.members[0].comparisons
    for member in sweep.members[1:]:
        assert [c.benchmark for c in member.comparisons] == ["ant_finance", "tfns", AVERAGE]
    for member in sweep.members:
        cost, weights = member.cost, member.weights
        assert cost is not None
        assert weights is not None
        assert cost.predicted
        assert cost.peak_memory_bytes
        assert cost.peak_memory_bytes > weights.size_bytes
        assert (cost.prefill_tokens_per_second or 0) > 0
        assert (cost.decode_tokens_per_second or 0) > 0
        assert (cost.first_token_seconds or 0) > 0
        assert cost.tokens_per_answer is not None
        assert cost.tokens_per_answer <= 8


def test_the_same_answers_differ_in_nothing_and_that_proves_little(swept: Path) -> None:
    """The repeated reference is equal to the letter; at n = 2 that is no evidence of being as good."""
    floor = next(floor for floor in read_sweep(swept / "sweep").noise if "again" in floor.what)
    for comparison in floor.comparisons:
        assert comparison.difference.value == 0
        assert comparison.difference.low < 0 < comparison.difference.high
        assert comparison.verdict.kind == "unresolved"
        assert comparison.flips is not None
        assert comparison.flips.right_to_wrong == comparison.flips.wrong_to_right == 0
        assert comparison.flips.wrong_to_other_wrong == 0


def test_its_folder_has_the_report_the_table_and_the_curves(swept: Path) -> None:
    names = {path.name for path in (swept / "sweep").iterdir()}
    assert {"sweep.json", "report.md", "table.csv"} <= names
    assert any(name.endswith(".png") for name in names)
    assert any(name.endswith(".svg") for name in names)


def test_called_again_it_does_nothing_and_writes_the_same(swept: Path) -> None:
    before = {path: path.read_bytes() for path in (swept / "sweep").iterdir() if path.is_file()}
    done = evalkit(*sweep_in(swept), cwd=swept, timeout=300)
    assert done.returncode == 0, done.stderr
    after = {path: path.read_bytes() for path in (swept / "sweep").iterdir() if path.is_file()}
    assert after == before


def findings(sweep: Sweep) -> list[object]:
    """What a sweep says of accuracy: all but what was timed, and where."""
    return [replace(member, cost=None, run_dir=None) for member in sweep.members]


def test_killed_in_the_third_member_it_goes_on_to_the_same_tables(swept: Path, tmp_path: Path) -> None:
    words = sweep_in(tmp_path, "sweep.noise=[]")
    third = Path(plan(words[1:]).members[2].settings.results_dir) / "runs"
    with subprocess.Popen(
        command(*words),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 1200
        while len(started := list(third.glob("*/*/generations.jsonl"))) < 3:
            assert process.poll() is None, "the sweep ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "sweep" / "sweep.json").exists()
    first_two = {path: path.stat().st_mtime_ns for path in started if _ended(path)}
    assert len(first_two) == 2
    done = evalkit(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert findings(read_sweep(tmp_path / "sweep")) == findings(read_sweep(swept / "sweep"))
    assert {path: path.stat().st_mtime_ns for path in first_two} == first_two, (
        "finished members were run again"
    )


def _ended(generations: Path) -> bool:
    return (generations.parent / "results.json").exists()


def test_a_member_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    done = evalkit(
        *("sweep", "+sweep=custom", "sweep.members=[fin-r1-q4_k,smollm2-135m]", *SETTINGS),
        *("sweep.noise=[]", f"results_dir={tmp_path}", f"sweep.dir={tmp_path / 'sweep'}"),
        cwd=tmp_path,
        env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "no-cache")},
    )
    assert done.returncode == 1, done.stderr
    failed, fine = read_sweep(tmp_path / "sweep").members
    assert failed.status == "failed"
    assert "HF_HUB_OFFLINE" in (failed.reason or "")
    assert fine.status == "done"
    assert fine.accuracy
    assert json.loads((tmp_path / "sweep" / "sweep.json").read_text())["reference"] == "smollm2-135m"
