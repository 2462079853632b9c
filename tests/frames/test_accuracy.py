"""Accuracies by anything: against the leaderboard's own path, and against counting by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evalkit.board.board import board_of
from evalkit.frames import Runs, accuracy, average, load_runs
from evalkit.run.record import load_run
from evalkit.schema import Estimate, Score, UserError
from tests.leaderboard.made import item, keep, run


def test_it_says_what_the_leaderboard_says(runs: Runs, results: Path) -> None:
    loaded = {str(path): load_run(path) for path in (results / "records").rglob("*.jsonl.gz")}
    found = {
        (line["model"], line["benchmark"]): line for line in _lines(accuracy(runs, ["model", "benchmark"]))
    }
    means = {line["model"]: line for line in _lines(average(runs, ["model"]))}
    for entry in board_of(loaded, []).measured:
        for name, cell in entry.cells.items():
            line = found[entry.model, name]
            assert (line["unscored"], line["failed"]) == (cell.unscored, cell.failed)
            if cell.estimate is None:
                assert line["n"] == 0
                assert pd.isna(line["accuracy"])
            else:
                _check(line, cell.estimate)
        assert entry.average is not None
        _check(means[entry.model], entry.average)
        assert means[entry.model]["benchmarks"] == 3


def _lines(table: pd.DataFrame) -> list[dict[Any, Any]]:
    return table.to_dict("records")


def _check(line: dict[Any, Any], estimate: Estimate) -> None:
    fields = ("value", "error", "low", "high", "n", "clusters")
    expected = [getattr(estimate, field) for field in fields]
    assert [line["accuracy"], *(line[field] for field in fields[1:])] == pytest.approx(expected)


def test_dtypes_are_the_documented_ones(runs: Runs) -> None:
    found = {name: str(dtype) for name, dtype in accuracy(runs).dtypes.items()}
    assert [found[name] for name in ("accuracy", "error", "low", "high")] == ["float64"] * 4
    assert [found[name] for name in ("n", "clusters", "unscored", "failed")] == ["Int64"] * 4


def test_by_a_facet_leaves_out_what_has_none(runs: Runs) -> None:
    found = accuracy(runs, by=["model", "facet_answer_kind"])
    answers = runs.answers.dropna(subset="facet_answer_kind")
    assert found["n"].sum() == len(answers)
    small = found.query("model == 'small'")
    wrong = (small["n"] * (1 - small["accuracy"])).sum()
    assert wrong == pytest.approx(2)


def test_columns_of_runs_count_too(runs: Runs) -> None:
    found = accuracy(runs, by=["protocol", "benchmark"]).set_index("benchmark")
    alone = accuracy(runs, by=["model", "benchmark"]).groupby("benchmark")["n"].sum()
    assert found.loc["tfns", "n"] == alone["tfns"]
    # The same tweet in two runs is one cluster.
    assert found.loc["tfns", "clusters"] == alone["tfns"] / 2


def test_samples_of_an_example_are_one_item(tmp_path: Path) -> None:
    scores = [(1.0, 0.0), (1.0, 1.0), (0.0, 0.0, 0.0, 1.0)]
    keep(tmp_path, run("several", {"tfns": []}, *(item("tfns", at, *each) for at, each in enumerate(scores))))
    [found] = accuracy(load_runs(tmp_path)).to_dict("records")
    assert found["n"] == 3
    assert found["accuracy"] == pytest.approx((0.5 + 1 + 0.25) / 3)


def test_failed_and_unscored_are_counted_apart(tmp_path: Path) -> None:
    none = {"financial": Score(None, None, None, "engine_error")}
    failed = item("tfns", 9, None, text=None, error="no", scores=none)
    keep(tmp_path, run("mixed", {"tfns": [1.0, 0.0, None]}, failed))
    [found] = accuracy(load_runs(tmp_path)).to_dict("records")
    assert (found["n"], found["unscored"], found["failed"]) == (2, 1, 1)


def test_where_each_row_is_one_file_its_examples_are_the_sample(tmp_path: Path) -> None:
    items = [
        item("tfns", number, score, facets={"task": f"t{number % 2}"}, group=f"file {number % 2}")
        for number, score in enumerate([1.0, 0.0, 1.0, 1.0])
    ]
    keep(tmp_path, run("tasks", {"tfns": []}, *items))
    runs = load_runs(tmp_path)
    found = accuracy(runs, by=["facet_task"])
    assert list(found["clusters"]) == [2, 2]
    assert list(accuracy(runs)["clusters"]) == [2]


def test_wrong_columns_and_rules_are_refused(runs: Runs) -> None:
    with pytest.raises(UserError, match="Did you mean benchmark"):
        accuracy(runs, by=["benchmrk"])
    with pytest.raises(UserError, match="no column 'failed'"):
        accuracy(runs, by=["label", "failed"])
    with pytest.raises(UserError, match="at least one column"):
        accuracy(runs, by=[])
    with pytest.raises(UserError, match="Did you mean financial"):
        average(runs, rule="finacial")
