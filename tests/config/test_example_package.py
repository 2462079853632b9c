"""The example package, installed by pip into a fresh environment, adds a benchmark, a rule and an engine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment that borrows what this one has, and the example package installed there."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin/python"
    (site,) = folder.glob("lib/python*/site-packages")
    # The packages of this environment, those that it borrows itself included, and evalkit from here.
    borrowed = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    (site / "borrowed.pth").write_text("\n".join([*borrowed, sysconfig.get_path("purelib")]) + "\n")
    source = folder / "source"
    shutil.copytree(ROOT / "tests/example_package", source, ignore=shutil.ignore_patterns("__pycache__"))
    quiet = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation")
    done = run(sys.executable, "-m", "pip", "--python", python, "install", *quiet, source, cwd=folder)
    assert done.returncode == 0, done.stderr
    return python


def test_it_adds_a_benchmark_a_rule_and_an_engine(python: Path, tmp_path: Path) -> None:
    words = ("run", "parrot", "benchmark=parity", "data=sample", "run_dir=run")
    done = run(python, "-m", "evalkit", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert record["engine"]["engine"] == "echo"
    results = json.loads((tmp_path / "run/results.json").read_text())["results"]["parity"]
    assert results["acc,last_word"] == 0.5
    listed = run(python, "-m", "evalkit", "benchmarks", cwd=tmp_path).stdout
    assert "package evalkit-bank 1.0" in listed


def test_without_the_package_the_names_are_not_there(tmp_path: Path) -> None:
    done = run(sys.executable, "-m", "evalkit", "run", "parrot", "benchmark=parity", cwd=tmp_path)
    assert done.returncode == 2
    assert "no model named 'parrot'" in done.stderr
