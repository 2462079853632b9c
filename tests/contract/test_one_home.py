"""A run's figures are the same wherever they are shown: its own table, the leaderboard, a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.board.board import board_of, collect
from evalkit.board.tables import board_markdown
from evalkit.metrics import average, results
from evalkit.report.table import comparison, to_markdown
from evalkit.run.info import Run
from evalkit.schema import JUDGED
from evalkit.sweep.record import read_sweep
from evalkit.text import parameters_text, percent
from tests.report.helpers import make, score

from .commands import RESULTS

RUNS = collect(RESULTS, local=False).runs


@pytest.mark.parametrize("file", sorted(RUNS))
def test_the_table_of_a_run_and_the_leaderboard_say_the_same(file: str) -> None:
    run = RUNS[file]
    found = results(run)
    [entry] = board_of({file: run}, []).measured
    assert (entry.cells, entry.average) == (found, average(found.values()))
    own, board = to_markdown(comparison(run)), board_markdown(board_of({file: run}, []), [], {}, [], {})
    for text in (percent(entry.average), *(percent(each.estimate) for each in found.values() if each.n)):
        assert text in own
        assert text in board
    assert f"| {parameters_text(run.info.model.parameters)} |" in own
    assert f"| {parameters_text(run.info.model.parameters)} |" in board


@pytest.mark.parametrize(
    "file", sorted((RESULTS / "records" / "sweeps").glob("*.json")), ids=lambda f: f.stem
)
def test_a_sweep_has_the_accuracies_of_its_members_runs(file: Path) -> None:
    kept: dict[str, Run] = {run.info.run_id: run for run in RUNS.values()}
    sweep = read_sweep(file)
    members = [member for member in sweep.members if member.run_dir and Path(member.run_dir).name in kept]
    assert members
    for member in members:
        assert member.run_dir
        found = results(kept[Path(member.run_dir).name])
        for name, estimate in member.accuracy.items():
            if name in found:
                assert percent(estimate) == percent(found[name].estimate)


def test_a_judges_error_is_unscored_and_never_failed() -> None:
    items = [
        score("a", 1.0, rule=JUDGED, benchmark="finance_instruct"),
        score("b", None, rule=JUDGED, benchmark="finance_instruct", failure="judge_error"),
        score("c", None, rule=JUDGED, benchmark="finance_instruct", error="engine_error: gone"),
    ]
    found = results(make(items))["finance_instruct"]
    assert (found.rule, found.n, found.unscored, found.failed) == (JUDGED, 1, 1, 1)


def test_a_models_size_has_one_spelling() -> None:
    assert [parameters_text(n) for n in (7_615_616_512, 134_515_008, None)] == ["7.6B", "135M", "-"]


def test_no_file_of_the_repository_is_needed_to_show_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert all("| this run |" in to_markdown(comparison(run)) for run in RUNS.values())
