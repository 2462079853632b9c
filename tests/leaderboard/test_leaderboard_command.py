"""`evalkit leaderboard` on real records: the same bytes anywhere, --check, and exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from evalkit.board import RULE
from evalkit.commands.leaderboard import HELP, main
from evalkit.schema import UserError
from evalkit.sweep.record import Sweep, to_json
from tests.leaderboard.made import keep, run
from tests.sweep.ladders import crowd, tiny

COMMAND = "import sys; from evalkit.commands.leaderboard import main; sys.exit(main(sys.argv[1:]))"
DERIVED = ("leaderboard.md", "leaderboard.csv", "leaderboard.json", "curves", "site")


def derived(results: Path) -> dict[str, bytes]:
    files = (path for name in DERIVED for path in [results / name, *(results / name).rglob("*")])
    return {path.relative_to(results).as_posix(): path.read_bytes() for path in files if path.is_file()}


def keep_sweep(results: Path, name: str, sweep: Sweep) -> Path:
    path = results / f"records/sweeps/{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_json(sweep), encoding="utf-8")
    return path


def elsewhere(cwd: Path, results: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", COMMAND, f"results_dir={results}"],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_bytes_are_the_same_anywhere(made: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "zwei" / "deep"
    shutil.copytree(made, one / "results")
    shutil.copytree(made, other / "ergebnisse")
    for results in (one / "results", other / "ergebnisse"):
        keep_sweep(results, "tiny", tiny())
    settings = {"TZ": "Asia/Kolkata", "LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8", "PYTHONHASHSEED": "1"}
    first = elsewhere(one, "results", **settings)
    second = elsewhere(tmp_path, str(other / "ergebnisse"), TZ="UTC", LC_ALL="C", PYTHONHASHSEED="2")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    found = derived(one / "results")
    assert found == derived(other / "ergebnisse")
    assert {"leaderboard.md", "site/index.html", "curves/tiny/report.md"} < found.keys()
    assert any(name.startswith("curves/tiny/") and name.endswith(".svg") for name in found)


def test_the_board_shows_what_the_runs_found(results: Path) -> None:
    assert main([f"results_dir={results}"]) == 0
    board = json.loads((results / "leaderboard.json").read_text())
    assert [entry["model"] for entry in board["measured"]] == ["alpha", "beta"]
    for entry in board["measured"]:
        folder = (results / entry["file"]).parent
        found = json.loads((folder / "results.json").read_text())["results"]
        for name in ("finqa", "tfns"):
            accuracy = found[name]["acc,financial"]
            assert entry["cells"][name]["estimate"]["value"] == pytest.approx(accuracy, abs=1e-6)
        assert entry["cells"]["finance_instruct"]["estimate"] is None
        assert entry["cells"]["finance_instruct"]["unscored"] == 6
        assert "bundled samples" in entry["warnings"][0]
    assert "R1-Distill-Llama-70B" in (results / "leaderboard.md").read_text()


def test_check_writes_nothing_and_names_each_stale_file(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [f"results_dir={results}", "--check"]
    assert main(arguments) == 1
    assert derived(results) == {}
    assert main(arguments[:1]) == 0
    capsys.readouterr()
    assert main(arguments) == 0
    assert capsys.readouterr().out == ""
    (results / "leaderboard.csv").write_text("edited")
    (results / "site/index.html").unlink()
    before = derived(results)
    assert main(arguments) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{results}/leaderboard.csv: changed",
        f"{results}/site/index.html: missing",
    ]
    assert derived(results) == before


def test_a_sweep_that_is_gone_takes_its_curves_along(results: Path) -> None:
    kept = keep_sweep(results, "crowd", crowd(3))
    assert main([f"results_dir={results}"]) == 0
    assert (results / "curves/crowd/report.md").is_file()
    assert "curves/crowd/report.md" in (results / "leaderboard.md").read_text()
    (results / "curves/notes.txt").write_text("mine")
    kept.unlink()
    assert main([f"results_dir={results}"]) == 0
    assert [path.name for path in (results / "curves").iterdir()] == ["notes.txt"]


def test_a_record_that_cannot_be_read_is_named_the_rest_written_and_the_exit_code_1(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (name,) = keep(results, run("gamma", {"tfns": [1.0]}))
    (results / name).write_bytes(b"nothing of the kind")
    assert main([f"results_dir={results}"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert name in said[0]
    assert "could not be read" in said[0]
    board = json.loads((results / "leaderboard.json").read_text())
    assert len(board["measured"]) == 2
    assert board["problems"][0]["file"] == name


def test_a_run_that_another_stands_for_is_named_and_no_failure(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = run("gamma", {"tfns": [1.0, 0.0]}, run_id="best")
    (shown, left_out) = keep(results, best, run("gamma", {"tfns": [1.0, None]}, run_id="worse"))
    assert main([f"results_dir={results}", "local=false"]) == 0
    assert left_out in capsys.readouterr().err
    board = json.loads((results / "leaderboard.json").read_text())
    assert [entry["file"] for entry in board["measured"]] == [shown]
    assert board["problems"][0]["kind"] == "superseded"


def test_a_folder_without_any_run_shows_the_published_rows(tmp_path: Path) -> None:
    assert main([f"results_dir={tmp_path}"]) == 0
    board = json.loads((tmp_path / "leaderboard.json").read_text())
    assert board["measured"] == []
    assert len(board["published"]) == 10
    assert (tmp_path / "site/index.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["results_dir=/nowhere/at/all"], "no folder /nowhere/at/all"),
        (["local=maybe"], "true or false"),
        (["locale=false"], "Did you mean local"),
        (["--chekc"], "cannot read"),
        (["local="], "give local=VALUE"),
    ],
)
def test_a_wrong_request_is_one_line(arguments: Sequence[str], says: str) -> None:
    with pytest.raises(UserError) as refusal:
        main(arguments)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_help_states_the_rule_for_duplicates() -> None:
    assert " ".join(RULE.split()) in " ".join(HELP.split())
