"""A run by name, the list of runs, and their answers in the terminal and as a site."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from evalkit.__main__ import main
from evalkit.run.find import find_run, newest, run_states
from evalkit.run.runner import run_as_it_is
from evalkit.schema import UserError

HOSTILE = "\x1b[31m</script><img src=x onerror=alert(1)> \\boxed{31.8\\%}"
ID = "CWQ/2017/page_58.pdf-1"  # its gold answer is 32.8%


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs of two models in the current folder, the second of them with two runs."""
    monkeypatch.chdir(tmp_path)
    for name, more in (("alpha", ["limit=3"]), ("beta", ["limit=3"]), ("beta", ["limit=4"])):
        lines = [{"id": ID, "text": HOSTILE}, {"id": "HBQ/2018/page_41.pdf-2", "text": "\\boxed{48.60}"}]
        Path("outputs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        arguments = ["run", "+model=replay", "model.path=outputs.jsonl", f"model.name={name}", "data=sample"]
        assert main([*arguments, "benchmark=[finqa]", "seed=1", *more]) == 0
    for age, path in enumerate(sorted(Path("results/runs").glob("*/*"))):
        os.utime(path / "run.json", (1_700_000_000 + age, 1_700_000_000 + age))
    return tmp_path


def test_every_way_to_name_a_run(folder: Path) -> None:
    [alpha] = Path("results/runs/alpha").iterdir()
    assert find_run("last") == newest()[0]
    assert newest()[-1] == alpha
    for name in ("alpha", alpha.name, "results/runs/alpha", str(alpha), folder / alpha):
        assert find_run(name).resolve() == alpha.resolve()
    record = alpha / "record.jsonl.gz"
    assert find_run(record) == record
    shutil.copytree(alpha, "last")  # what is there comes first
    assert find_run("last") == Path("last")


def test_a_name_of_several_runs_or_of_none_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"beta has 2 runs, give one of them: results/runs/beta/\S+, "):
        find_run("beta")
    with pytest.raises(UserError, match=r"alfa is not a run folder.*Did you mean alpha\?"):
        find_run("alfa")
    with pytest.raises(UserError, match="there is no run in elsewhere/runs yet"):
        find_run("last", Path("elsewhere"))
    assert find_run(folder) == folder  # what is wrong with it is its reader's to say


def test_the_list_says_how_far_each_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [alpha] = Path("results/runs/alpha").iterdir()
    run = json.loads((alpha / "run.json").read_text())
    run["engine"], run["data"]["finqa"]["selected"] = {"engine": "llama.cpp"}, 60
    (alpha / "run.json").write_text(json.dumps(run))
    other = next(state.path for state in run_states() if state.model == "beta")
    (other / "results.json").unlink()
    damaged = newest()[1]
    (damaged / "run.json").write_text("{")
    capsys.readouterr()
    assert main(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 9
    assert {line.split()[0] for line in lines[::3]} == {"alpha", "beta"}
    text = {state.path: state.text for state in run_states()}
    assert text[alpha].endswith("of 60")
    assert text[other] == "complete, not scored" or "cannot be read" in text[other]
    assert "cannot be read" in text[damaged]
    assert all(str(path) in "\n".join(lines) for path in text)
    assert main(["runs", "alfa"]) == 2


def test_commands_take_names(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "alpha"]) == 0
    assert main(["export", "markdown", "alpha", "out"]) == 0
    assert main(["keep", "alpha", "partial=true"]) == 0
    assert main(["compare", "alpha", str(newest()[0])]) == 0
    capsys.readouterr()
    assert main(["compare", "beta", "alpha"]) == 2
    assert "beta has 2 runs" in capsys.readouterr().err
    assert main(["compare", "last"]) == 0


def test_show_says_why_and_moves_no_cursor(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    name = str(newest()[0])
    assert main(["show", name]) == 0
    listed = capsys.readouterr().out
    assert f"- {ID}  gold 32.8%  read 31.8%  wrong number" in listed
    assert main(["show", name, "wrong=true"]) == 0
    assert "48.60" not in capsys.readouterr().out
    assert main(["show", name, ID]) == 0
    out = capsys.readouterr().out
    assert "what was the highest effective tax rate" in out
    assert "gold:    0.328 (32.8% as the dataset prints it)" in out
    assert "why:     read 0.318, right is 0.328: 3.0 % off, 1 % allowed; the dataset prints 32.8%" in out
    assert "\\boxed{»31.8\\%«}" in out
    assert "\x1b" not in out + listed
    assert main(["show", name, "CWQ/2017"]) == 0  # the beginning of one is enough
    assert main(["show", name, "nowhere"]) == 2
    assert main(["show", name, ID, "benchmark=tfns"]) == 2


def test_a_run_at_work_is_shown_as_far_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = newest()[0]
    answers = path / "generations.jsonl"
    whole, *_ = answers.read_text().splitlines(keepends=True)
    answers.write_text(whole + '{"key": "half a line')
    os.utime(answers, (2_000_000_000, 2_000_000_000))  # later than the record
    assert sum(len(item.samples) for item in run_as_it_is(path).items) == 1
    run = json.loads((path / "run.json").read_text())
    run["engine"] = {"engine": "llama.cpp"}
    (path / "run.json").write_text(json.dumps(run))
    capsys.readouterr()
    assert main(["view", str(path), "open=false"]) == 0
    assert f"{path}: 1 of " in capsys.readouterr().out


def test_view_builds_the_site_of_these_runs_and_nothing_that_is_kept(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [alpha] = Path("results/runs/alpha").iterdir()
    before = {path for path in Path("results").rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main(["view", "open=false"]) == 0
    out = capsys.readouterr().out
    assert out == f"3 runs: {(folder / 'results/view/site/index.html').as_uri()}\n"
    made = {path for path in Path("results").rglob("*") if path.is_file()} - before
    assert made
    assert all(path.is_relative_to("results/view") for path in made)
    data = b"".join(path.read_bytes() for path in Path("results/view/site/data").iterdir())
    assert b"read 0.318, right is 0.328" in data
    assert b"</script" not in data
    (alpha / "record.jsonl.gz").write_bytes(b"no record")
    assert main(["view", "open=false"]) == 1
    said = capsys.readouterr()
    assert "left out" in said.err
    assert said.out.startswith("2 runs: ")
    assert main(["view", "alpha", "open=false"]) == 2
