"""The board: its figures, its order, and what it warns of."""

from __future__ import annotations

import pytest

from evalkit.board.board import Board, BoardEntry, board_of
from evalkit.published import read_table
from evalkit.run.info import Run
from tests.leaderboard.made import item, judged, run, with_items

TABLE = read_table()


def board(*runs: Run) -> Board:
    return board_of({f"file-{number}": each for number, each in enumerate(runs)}, [TABLE])


def entry(found: Run) -> BoardEntry:
    return board(found).measured[0]


def test_cells_count_scored_unscored_failed_and_cut_off_examples() -> None:
    found = run("m", {"finqa": [1.0, 0.0, 1.0, 0.5, None, None]})
    items = list(found.items)
    items[1] = item("finqa", 1, 0.0, finish_reason="length")
    items[5] = item("finqa", 5, None, text=None, error="context_overflow")
    cell = entry(with_items(found, items)).cells["finqa"]
    assert cell.estimate is not None
    assert cell.estimate.value == pytest.approx(0.625)
    assert (cell.estimate.n, cell.estimate.clusters) == (4, 4)
    assert 0 < cell.estimate.low < 0.625 < cell.estimate.high < 1
    assert (cell.covered, cell.unscored, cell.failed, cell.truncated) == (6, 1, 1, 1)


def test_samples_of_an_example_are_averaged_first_and_clusters_are_groups() -> None:
    samples: dict[str, list[float | None]] = {
        "finqa-0": [1.0, 0.0, 0.0, 1.0],
        "finqa-1": [1.0, None, None, None],
        "finqa-2": [0.0] * 4,
    }
    items = [
        item("finqa", int(name[-1]), *scores, group="page" if name != "finqa-2" else "other")
        for name, scores in samples.items()
    ]
    found = run("m", {"finqa": [1.0] * 3}, protocol={"name": "four", "samples": 4})
    estimate = entry(with_items(found, items)).cells["finqa"].estimate
    assert estimate is not None
    assert estimate.value == pytest.approx((0.5 + 1.0 + 0.0) / 3)
    assert (estimate.n, estimate.clusters) == (3, 2)


def test_the_average_is_over_scored_benchmarks_each_counting_the_same() -> None:
    scores: dict[str, list[float | None]] = {
        "finqa": [*[1.0] * 8, *[0.0] * 2],
        "tfns": [1.0, 0.0],
        "finance_instruct": [None, None],
    }
    found = entry(run("m", scores))
    assert found.average is not None
    assert found.average.value == pytest.approx((0.8 + 0.5) / 2)
    assert found.average.n == 12
    assert found.cells["finance_instruct"].estimate is None
    assert found.cells["finance_instruct"].unscored == 2


def test_the_best_average_comes_first_and_none_last() -> None:
    of: dict[str, list[float | None]] = {"b": [1.0, 0.0], "d": [None], "a": [1.0, 1.0], "c": [0.0, 0.0]}
    runs = [run(name, {"tfns": scores}) for name, scores in of.items()]
    assert [each.model for each in board(*runs).measured] == ["a", "b", "c", "d"]
    assert [each.model for each in board(*reversed(runs)).measured] == ["a", "b", "c", "d"]


def test_facts_come_from_the_weights_then_from_the_model() -> None:
    weights = {"size_bytes": 98_362_432, "gguf": {"bits_per_weight": 5.7437}, "origin": "pypi:x"}
    served = entry(run("m", {"tfns": [1.0]}, engine={"weights": weights}))
    assert (served.size_bytes, served.bits_per_weight) == (98_362_432, 5.7437)
    assert (served.peak_memory_bytes, served.decode_tokens_per_second) == (200 << 20, 12.5)
    model = {"name": "m", "title": "M", "size_bytes": 7}
    elsewhere = entry(run("m", {"tfns": [1.0]}, model=model, measured={"probe": None}))
    assert (elsewhere.size_bytes, elsewhere.bits_per_weight) == (7, None)
    assert (elsewhere.peak_memory_bytes, elsewhere.decode_tokens_per_second) == (None, None)


def test_samples_partial_runs_and_odd_weights_are_warned_of() -> None:
    clean = run("m", {"tfns": [1.0, 0.0]})
    assert entry(clean).warnings == ()
    weights = {"requantized_from": "Q4_1", "recipe": {"warnings": ["q4_k was claimed, Q4_0 found"]}}
    doubtful = run(
        "m",
        {"tfns": [1.0, 0.0]},
        data={"tfns": {"source": "sample"}},
        benchmarks={"tfns": {"title": "TFNS", "covered": 5}},
        engine={"weights": weights},
    )
    sample, partial, requantized, recipe = entry(doubtful).warnings
    assert "bundled samples" in sample
    assert partial == "partial: 3 of 5 answers are not there"
    assert "Q4_1" in requantized
    assert recipe == "q4_k was claimed, Q4_0 found"


def test_published_rows_are_as_printed_and_benchmarks_in_their_order() -> None:
    found = board(run("m", {"tfns": [1.0]}))
    assert list(found.benchmarks) == ["finqa", "convfinqa", "ant_finance", "tfns", "finance_instruct"]
    by_model = {published.model: published for published in found.published}
    llama = by_model["deepseek-r1-distill-llama-70b"]
    assert (llama.average, llama.mean, llama.scores["tfns"]) == (69.2, 68.8, 62.0)
    assert len(found.published) == len(TABLE.rows)


def test_a_benchmark_that_no_table_has_follows_the_printed_ones() -> None:
    own = {"title": "My own", "covered": 1}
    found = run("m", {}, benchmarks={"mine": own}, data={"mine": {"source": "local"}})
    assert list(board(with_items(found, [item("mine", 0, 1.0)])).benchmarks.items())[-1] == ("mine", "My own")


def test_a_benchmark_counts_under_the_rule_that_the_run_gives_it() -> None:
    both = {"financial": judged(1.0), "docmath": judged(0.0)}
    benchmarks = {
        "finqa": {"title": "FinQA", "covered": 1, "rule": "docmath"},
        "tfns": {"title": "TFNS", "covered": 1},
    }
    found = run("m", {"finqa": [], "tfns": [1.0]}, item("finqa", 1, 1.0, scores=both), benchmarks=benchmarks)
    cells = entry(found).cells
    assert {name: (cell.rule, cell.estimate.value) for name, cell in cells.items() if cell.estimate} == {
        "finqa": ("docmath", 0.0),
        "tfns": ("financial", 1.0),
    }
    assert entry(found).rule == "docmath+financial"
    assert board(found).rules == ["docmath", "financial"]
