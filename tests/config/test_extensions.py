"""Benchmarks, rules, engines, configs and prompts in a folder of the user's, and what can go wrong there."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import evalkit.benchmarks
import evalkit.engines
import evalkit.scoring.rules
from evalkit.__main__ import main

PACKAGE = Path(__file__).resolve().parents[1] / "example_package/evalkit_bank"
PACKAGES = (evalkit.benchmarks, evalkit.scoring.rules, evalkit.engines)
RUN = ("run", "parrot", "benchmark=parity", "data=sample")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory; what is imported from folders of this test is forgotten after it."""
    paths = [list(package.__path__) for package in PACKAGES]
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder
    for package, path in zip(PACKAGES, paths, strict=True):
        package.__path__[:] = path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The example package's parts as a folder of the user's."""
    folder = tmp_path / "own"
    for name in ("configs", "benchmarks", "prompts"):
        shutil.copytree(PACKAGE / name, folder / name)
    for kind, module in {"benchmarks": "parity", "rules": "last_word", "engines": "echo"}.items():
        (folder / kind).mkdir(exist_ok=True)
        shutil.copy(PACKAGE / f"{module}.py", folder / kind)
    return folder


@pytest.fixture
def named(own: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, in `EVALKIT_PATH`."""
    monkeypatch.setenv("EVALKIT_PATH", str(own))
    return own


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The last line of a command that is refused."""
    capsys.readouterr()
    assert main(words) == 2
    return capsys.readouterr().err.splitlines()[-1]


def rules_of(run_dir: Path) -> set[str]:
    return {json.loads(line)["rule"] for line in (run_dir / "scores.jsonl").read_text().splitlines()}


def test_a_folder_adds_a_benchmark_a_rule_an_engine_and_a_prompt(
    named: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*RUN, "benchmark.parity.prompt=with_reason.jinja", "run_dir=run"]) == 0
    results = json.loads((here / "run/results.json").read_text())["results"]["parity"]
    assert results["acc,last_word"] == 0.5
    first = json.loads((here / "run/generations.jsonl").read_text().splitlines()[0])
    assert first["messages"][0]["content"].endswith("say why before.")
    assert first["text"] == "The answer is yes"
    capsys.readouterr()
    assert main(["benchmarks"]) == 0
    shown = capsys.readouterr().out
    assert f"parity  Parity  folder {str(named)[:40]}" in shown, "a long path is cut"


def test_beside_the_user_nothing_runs_unless_it_is_named(own: Path, here: Path) -> None:
    (here / "evalkit.yaml").write_text("path: ../own\n")
    trace = here / "ran"
    spy = f"open({str(trace)!r}, 'a').write('x')\n"
    for module in ("rules/spy.py", "benchmarks/spy.py", "engines/spy.py"):
        (own / module).write_text(spy + "def score(output, gold): return None\n")
    (own / "configs/benchmark/spy.yaml").write_text("# @package benchmark.spy\nname: spy\ntitle: Spy\n")
    (own / "configs/model/spy.yaml").write_text("# @package _global_\nbackend:\n  kind: spy\n")
    assert main([*RUN, "run_dir=run"]) == 0
    for words in (["benchmarks"], ["fit", "8GiB"], ["score", "run", "rules=all"]):
        assert main(words) == 0
    assert not trace.exists()
    assert "spy" not in rules_of(here / "run")
    assert main(["score", "run", "rules=spy"]) == 0
    assert trace.exists()


@pytest.mark.usefixtures("named")
def test_a_folder_that_is_named_takes_part_in_all_rules(here: Path) -> None:
    assert main([*RUN, "run_dir=run", "benchmark.parity.rule=financial"]) == 0
    assert main(["score", "run", "rules=all"]) == 0
    assert {"financial", "last_word"} <= rules_of(here / "run")


def test_a_name_of_evalkits_own_is_not_taken(named: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(named / "configs/benchmark/parity.yaml", named / "configs/benchmark/tfns.yaml")
    for rule in ("financial", "pot"):
        (named / f"rules/{rule}.py").write_text("def score(output, gold): return None\n")
    assert refusal(capsys, "run", "parrot", "benchmark=tfns", "data=sample") == (
        f"evalkit: folder {named}: its benchmark tfns has a name of evalkit's own: rename it there"
    )
    assert main([*RUN, "run_dir=run"]) == 0  # evalkit's own goes on meaning what it means
    line = refusal(capsys, "score", "run", "rules=pot")
    assert line == f"evalkit: folder {named}: its rule pot has a name of evalkit's own: rename it there"


def test_two_folders_with_one_name(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    shutil.copytree(own, other)
    monkeypatch.setenv("EVALKIT_PATH", f"{own}{os.pathsep}{other}")
    line = refusal(capsys, "run", "parrot", "benchmark=tfns", "data=sample")
    assert line.endswith(f"folder {own} and folder {other} both have a model parrot: rename or remove one")
    assert main(["benchmarks"]) == 0


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (
            "benchmarks/parity.py",
            "import no_such_module\n",
            "benchmark parity is broken: ModuleNotFoundError",
        ),
        ("benchmarks/parity.py", "IDS = 'upstream'\n", "benchmark parity: its module has no unit"),
        (
            "benchmarks/parity.py",
            "IDS = 'upstream'\ndef unit(record, settings): 1 / 0\n",
            "ZeroDivisionError",
        ),
        ("rules/last_word.py", "def score(:\n", "rule last_word is broken: SyntaxError"),
        ("rules/last_word.py", "def score(output, gold): return 'yes'\n", "must return a Score or None"),
        ("engines/echo.py", "raise SystemExit(3)\n", "engine echo is broken: SystemExit"),
    ],
)
def test_a_broken_one_is_one_line_where_it_is_asked_for(
    named: Path, capsys: pytest.CaptureFixture[str], file: str, text: str, said: str
) -> None:
    (named / file).write_text(text)
    line = refusal(capsys, *RUN, "run_dir=run")
    assert line.startswith(f"evalkit: folder {named}: ")
    assert said in line
    assert main(["benchmarks"]) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- own\n", "must hold `path: FOLDER`"),
        ("path: [\n", "cannot be read as YAML"),
        ("path: nowhere\n", "evalkit.yaml: no folder"),
        ("path: own\ncode: true\n", "no such setting: 'evalkit.yaml.code'"),
    ],
)
def test_a_wrong_evalkit_yaml_is_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    (here / "evalkit.yaml").write_text(text)
    assert said in refusal(capsys, "benchmarks")


def test_a_module_without_its_config(named: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (named / "configs/benchmark/parity.yaml").unlink()
    line = refusal(capsys, *RUN)
    assert f"folder {named}: its benchmark parity has no configs/benchmark/parity.yaml" in line
