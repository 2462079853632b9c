"""`evalkit.load_runs`: which records a path means, and that the tables are as documented."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import evalkit
from evalkit.frames import Runs, load_runs
from evalkit.run.record import load_run, to_bytes
from evalkit.schema import Score, UserError
from tests.leaderboard.made import answers, item, keep, run, unchecked


def test_importing_evalkit_does_not_import_pandas() -> None:
    program = "import sys, evalkit; assert 'pandas' not in sys.modules; print(evalkit.load_runs.__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("load_runs\n", "")
    assert evalkit.load_runs is load_runs


def test_there_is_one_row_per_run_answer_verdict_and_member(runs: Runs, results: Path) -> None:
    loaded = [load_run(path) for path in sorted((results / "records").rglob("*.jsonl.gz"))]
    assert list(runs.runs["run"]) == [f"{each.info.model.name}/{each.info.run_id}" for each in loaded]
    assert len(runs.answers) == sum(len(answers(each)) for each in loaded)
    assert len(runs.scores) == sum(len(sample.scores) for each in loaded for _, sample in answers(each))
    assert len(runs.sweeps) == 7
    assert runs.sweeps["reference"].sum() == 1
    assert "2 runs" in repr(runs)


@pytest.mark.parametrize("table", ["runs", "answers", "scores", "sweeps"])
@pytest.mark.parametrize("empty", [False, True])
def test_columns_and_dtypes_are_the_documented_ones(
    runs: Runs, results: Path, table: str, empty: bool
) -> None:
    source = load_runs(results / "records" / "sweeps" / "tiny.json") if empty and table != "sweeps" else runs
    frame = getattr(source, table)
    documented = runs.columns(table)["dtype"].to_dict()
    own = [name for name in frame if not name.startswith("facet_")]
    assert {name: str(frame[name].dtype) for name in own} == documented
    assert all(f"\n{name} " in str(Runs.__doc__) for name in documented)


def test_scores_refer_to_answers(runs: Runs) -> None:
    answers = runs.answers[["id", "text"]].rename(columns={"id": "its_id"})
    joined = runs.scores.join(answers, on="answer")
    assert (joined["id"] == joined["its_id"]).all()
    marked = joined.dropna(subset="span_start").iloc[0]
    shown = marked["text"][marked["span_start"] : marked["span_end"]]
    assert marked["extracted"] in shown


def test_facets_are_columns_of_their_own_types(runs: Runs) -> None:
    finqa = runs.answers.query("benchmark == 'finqa'")
    assert finqa["facet_steps"].dtype == "Int64"
    assert finqa["facet_steps"].min() >= 0
    assert set(finqa["facet_answer_kind"]) >= {"percent", "amount"}
    assert runs.answers.query("benchmark == 'tfns'")["facet_steps"].isna().all()


def test_a_path_may_be_a_run_a_record_a_sweep_or_a_folder_of_them(runs: Runs, results: Path) -> None:
    one = next((results / "records" / "large").glob("*.jsonl.gz"))
    assert list(load_runs(one).runs["model"]) == ["large"]
    assert list(load_runs(one.parent).runs["model"]) == ["large"]
    assert list(load_runs(results.parent / "small" / "run").runs["model"]) == ["small"]
    assert len(load_runs(results / "records" / "sweeps" / "tiny.json").sweeps) == 7
    assert len(load_runs(results).runs) == 2


def test_the_default_is_the_kept_records(
    results: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(results.parent)
    assert len(load_runs().runs) == 2
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="results/records does not exist"):
        load_runs()


def test_a_run_that_a_folder_holds_twice_counts_once(results: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(results, tmp_path / "results"))
    shutil.copytree(results.parent / "large" / "run", copy / "runs" / "large" / "run")
    found = load_runs(copy)
    assert len(found.runs) == 2
    assert "records" in found.runs["file"][0]


def test_runs_with_one_title_are_told_apart(tmp_path: Path) -> None:
    keep(tmp_path, run("a", {"tfns": [1.0]}), run("a", {"tfns": [0.0]}, run_id="other"))
    found = load_runs(tmp_path)
    assert sorted(found.runs["label"]) == ["A (greedy-local-all-0123)", "A (other)"]
    assert found.find("other") == "a/other"
    with pytest.raises(UserError, match="2 runs are called 'a'"):
        found.find("a")
    with pytest.raises(UserError, match=r"no run is called 'b'"):
        found.find("b")


def test_wrong_paths_are_refused_in_one_line(results: Path, tmp_path: Path) -> None:
    one = next((results / "records" / "large").glob("*.jsonl.gz"))
    (tmp_path / "empty").mkdir()
    broken = tmp_path / "broken.jsonl.gz"
    broken.write_bytes(one.read_bytes()[:-100])
    wrong = {
        "does not exist": [tmp_path / "none"],
        "holds no records": [one, tmp_path / "empty"],
        "cannot be read": [broken],
        "give each run once": [one, results.parent / "large" / "run"],
    }
    for says, paths in wrong.items():
        with pytest.raises(UserError, match=says) as refusal:
            load_runs(*paths)
        assert "\n" not in str(refusal.value)


def test_no_table_of_that_name(runs: Runs) -> None:
    with pytest.raises(UserError, match="Did you mean answers"):
        runs.columns("answer")


def test_what_a_foreign_record_holds_does_no_harm(tmp_path: Path) -> None:
    facets = {"deep": {"a": [1]}, "big": 10**30, "yes": True}
    keep(tmp_path, run("odd", {"tfns": []}, item("tfns", 1, 1.0, facets=facets, text="a\0b"), sampling={}))
    found = load_runs(tmp_path)
    assert pd.isna(found.runs["temperature"][0])
    assert pd.isna(found.runs["max_tokens"][0])
    assert found.answers["facet_deep"][0] == '{"a": [1]}'
    assert found.answers["facet_big"][0] == str(10**30)
    assert found.answers["facet_yes"].dtype == "boolean"


def test_a_number_or_a_facet_too_many_is_refused(tmp_path: Path) -> None:
    big = run("big", {"tfns": []}, item("tfns", 1, 1.0, completion_tokens=10**30))
    wide = run("wide", {"tfns": []}, item("tfns", 1, 1.0, facets={str(at): 1 for at in range(101)}))
    for each, says in ((big, "completion_tokens"), (wide, "101 facets")):
        path = tmp_path / f"{each.info.model.name}.jsonl.gz"
        path.write_bytes(to_bytes(each))
        with pytest.raises(UserError, match=says):
            _ = load_runs(path).answers


def test_a_score_that_is_none_is_refused(tmp_path: Path) -> None:
    scores = {"financial": Score(None, True, 7.0, "correct")}
    keep(tmp_path, run("bad", {"tfns": []}, item("tfns", 1, 1.0, scores=scores)))
    with pytest.raises(UserError, match="a score of 7"):
        load_runs(tmp_path)


def test_a_setting_that_is_none_is_refused(tmp_path: Path) -> None:
    keep(tmp_path, unchecked(run("odd", {"tfns": [1.0]}), sampling={"temperature": "hot"}))
    with pytest.raises(UserError, match=r"not a run's record: sampling\.temperature"):
        load_runs(tmp_path)
