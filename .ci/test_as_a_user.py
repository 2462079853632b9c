"""The end-to-end checks: what README promises, done as a user would, with the figures that must hold."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
from importlib.util import find_spec
from pathlib import Path

import pytest

from evalkit.config.settings import run_settings
from evalkit.files import cache_dir
from evalkit.weights.fetch import resolve_weights
from tests.session import STEPS, record

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DATA = os.environ.get("EVALKIT_DATA_DIR")


def shell(*command: str, cwd: Path) -> str:
    done = subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def evalkit(*arguments: str, cwd: Path) -> str:
    return shell(sys.executable, "-m", "evalkit", *arguments, cwd=cwd)


def test_make_run_ends_with_the_table_of_a_real_model() -> None:
    shown = shell("make", "run", cwd=ROOT)
    assert "SmolLM2-135M-Instruct" in shown
    rows = re.findall(r"(?m)^(\w\S*) +\d+\.\d \[\d+\.\d, \d+\.\d\]", shown)
    assert rows == ["FinQA", "ConvFinQA", "Ant_Finance", "TFNS", "Average"], shown
    assert "answers: evalkit view" in shown
    said = shown.partition("What you saw")[2].splitlines()
    assert 8 <= len(said) <= 12, said
    for line in said:
        if line.startswith("  evalkit "):
            assert re.split(r" {2,}", line.strip())[0] in README, line


@pytest.mark.skipif(find_spec("llama_cpp") is None, reason="needs llama.cpp's quantizer for the second file")
def test_a_newcomers_first_session_goes_as_its_page_says(tmp_path: Path) -> None:
    source = resolve_weights(run_settings(["model=smollm2-135m", "data=sample"]).model).path
    shown = {each.command: each.output for each in record(source, tmp_path)}
    assert len(shown) == len(STEPS)
    swept, compared, listed, wrong = list(shown.values())[-4:]
    for table in (swept, compared):
        assert re.search(r"\bA\b", table), table
        assert re.search(r"\bB\b", table), table
    assert listed.startswith("FinQA (rule ")
    for said in ("gold:", "verdict:", "why:"):
        assert said in wrong, wrong


def test_an_installed_wheel_works_in_an_empty_directory(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    shell(*pip, "wheel", "--no-deps", "--wheel-dir", str(tmp_path / "wheel"), ".", cwd=ROOT)
    venv.create(tmp_path / "venv", with_pip=True)
    # The dependencies are those of this environment; evalkit itself must come from the wheel.
    here = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    there = next(Path(sys.prefix).glob("lib/python*/site-packages"))
    (here / "dependencies.pth").write_text(f"{there}\n")
    binaries = tmp_path / "venv" / "bin"
    wheel = next((tmp_path / "wheel").glob("evalkit_finance-*.whl"))
    shell(str(binaries / "python"), "-m", "pip", "--quiet", "install", "--no-deps", str(wheel), cwd=tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    where = shell(str(binaries / "python"), "-c", "import evalkit; print(evalkit.__file__)", cwd=empty)
    assert where.startswith(str(here))
    shown = shell(
        str(binaries / "evalkit"), "run", "+model=smollm2-135m", "data=sample", "limit=1", cwd=empty
    )
    assert "SmolLM2-135M-Instruct" in shown
    assert [path.name for path in empty.iterdir()] == ["results"]


@pytest.mark.skipif(DATA is None, reason="needs the real records: EVALKIT_DATA_DIR")
def test_pages_are_computed_once_on_real_records(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    evalkit(
        *("run", "+model=smollm2-135m", "data=local", f"data.dir={DATA}", "benchmark=[finqa,convfinqa]"),
        *("sampling=group", "limit=6", "protocol.max_tokens=64", f"run_dir={run_dir}"),
        cwd=tmp_path,
    )
    measured = json.loads((run_dir / "run.json").read_text())["measured"]
    assert measured["prompt_tokens_computed"] <= 1.10 * measured["prompt_tokens_distinct"]
    assert measured["engine_seconds"] >= 0.95 * measured["wall_seconds"]


def test_the_bench_command_prints_its_ratios(tmp_path: Path) -> None:
    shown = shell(
        *(sys.executable, "-m", "bench", "order", "+model=smollm2-135m", "data=sample", "benchmark=[finqa]"),
        *("sampling=group", "limit=8", "protocol.max_tokens=8"),
        cwd=tmp_path,
    )
    print(shown)
    assert float(re.findall(r"prompt tokens (\d+\.\d+)", shown)[-1]) > 1.0


def test_a_ladder_is_built_swept_and_recommended_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other tests build ladders at the same time.
    (cache := tmp_path / "cache").mkdir()
    (fetched := cache_dir() / "pypi").mkdir(parents=True, exist_ok=True)
    (cache / "pypi").symlink_to(fetched)
    monkeypatch.setenv("EVALKIT_CACHE", str(cache))
    shown = evalkit(
        *("sweep", "+sweep=smollm2-ladder", "data=sample", "benchmark=[ant_finance,tfns]", "limit=3"),
        *("sweep.recipes=[iq3_xs,q4_0,q8_0]", "protocol.max_tokens=16", "sweep.delete_weights=true"),
        cwd=tmp_path,
    )
    assert "the reference" in shown
    (sweep,) = tmp_path.glob("results/sweeps/smollm2-ladder/*/sweep.json")
    record = json.loads(sweep.read_text())
    assert record["reference"] == "smollm2-135m-q8_0"
    assert all(member["weights"]["requantized_from"] == "Q4_1" for member in record["members"])
    for member in record["members"]:
        predicted = sum(member["cost"]["predicted"].values())
        assert predicted == pytest.approx(member["cost"]["peak_memory_bytes"], rel=0.05), member["name"]
    assert (cache / "ladders").is_dir()
    assert not list(cache.glob("ladders/*/*.gguf")), "the built files were to be removed"
    report = sweep.with_name("report.md").read_text()
    assert "quantized already" in report or "requantized" in report
    advice = evalkit("recommend", "memory=2GiB", cwd=tmp_path)
    assert "smollm2-135m" in advice.lower()
