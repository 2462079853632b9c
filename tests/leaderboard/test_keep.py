"""`evalkit keep`: copies into the part of results/ that a repository keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.board.board import collect
from evalkit.commands.keep import main
from evalkit.run.info import Run
from evalkit.run.record import to_bytes
from evalkit.schema import UserError
from evalkit.sweep.record import Sweep, to_json
from tests.leaderboard.made import item, leave, run, with_head, with_items
from tests.sweep.ladders import fin_r1, tiny

RUN = run("model-a", {"finqa": [1.0, 0.0]})


def run_folder(folder: Path, content: Run = RUN) -> Path:
    folder.mkdir(parents=True)
    (folder / "record.jsonl.gz").write_bytes(to_bytes(content))
    return folder


def sweep_folder(folder: Path, content: Sweep) -> Path:
    folder.mkdir(parents=True)
    (folder / "sweep.json").write_text(to_json(content))
    return folder


def test_real_runs_are_kept_and_then_read_from_there(results: Path) -> None:
    runs = sorted((results / "runs").glob("*/*"))
    assert main([*map(str, runs), f"results_dir={results}"]) == 0
    found = collect(results, local=False)
    assert sorted(found.runs) == [f"records/{run.parent.name}/{run.name}.jsonl.gz" for run in runs]
    assert collect(results, local=True) == found


def test_a_sweep_is_kept_under_its_name(tmp_path: Path) -> None:
    folder = sweep_folder(tmp_path / "s", tiny())
    assert main([str(folder), f"results_dir={tmp_path / 'results'}"]) == 0
    assert collect(tmp_path / "results", local=False).sweeps == {tiny().name: tiny()}


def test_keeping_again_replaces_or_says_that_it_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    for content, says in [
        (RUN, "kept"),
        (RUN, "already kept"),
        (run("model-a", {"finqa": [1.0]}), "replaced"),
    ]:
        (name,) = leave(tmp_path, content)
        assert main([str((tmp_path / name).parent), f"results_dir={results}"]) == 0
        target = results / f"records/model-a/{RUN.info.run_id}.jsonl.gz"
        assert capsys.readouterr().out == f"{says}: {target}\n"
        assert target.read_bytes() == to_bytes(content)


PARTIAL = {
    "answers missing": with_head(RUN, benchmarks={"finqa": {"title": "F", "covered": 3}}),
    "the engine failed": with_items(
        RUN, [RUN.items[0], item("finqa", 1, None, error="engine_error: it crashed")]
    ),
}


@pytest.mark.parametrize("content", PARTIAL.values(), ids=PARTIAL)
def test_a_partial_run_is_refused_unless_wanted(tmp_path: Path, content: Run) -> None:
    folder, results = run_folder(tmp_path / "run", content), tmp_path / "results"
    with pytest.raises(UserError, match="1 answers are not there"):
        main([str(folder), f"results_dir={results}"])
    assert not results.exists()
    assert main([str(folder), f"results_dir={results}", "partial=true"]) == 0
    assert len(collect(results, local=False).runs) == 1


def test_an_example_that_does_not_fit_the_context_makes_no_run_partial(tmp_path: Path) -> None:
    content = with_items(RUN, [RUN.items[0], item("finqa", 1, None, error="context_overflow")])
    assert main([str(run_folder(tmp_path / "run", content)), f"results_dir={tmp_path / 'results'}"]) == 0


def test_a_sweep_with_a_failed_member_is_refused_unless_wanted(tmp_path: Path) -> None:
    folder, results = sweep_folder(tmp_path / "s", fin_r1()), tmp_path / "results"
    with pytest.raises(UserError, match="1 of 11 members"):
        main([str(folder), f"results_dir={results}"])
    assert main([str(folder), f"results_dir={results}", "partial=true"]) == 0


def test_either_all_are_kept_or_none(tmp_path: Path) -> None:
    good = run_folder(tmp_path / "good")
    with pytest.raises(UserError):
        main([str(good), str(tmp_path / "absent"), f"results_dir={tmp_path / 'results'}"])
    assert not (tmp_path / "results").exists()


def test_a_run_without_a_record_is_told_how_to_make_one(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("{}")
    with pytest.raises(UserError) as refusal:
        main([str(tmp_path)])
    assert f"`evalkit score {tmp_path}` makes it" in str(refusal.value)


OUTSIDE = ["../evil", "/evil", "a/../../evil", ".hidden", "a\\b", "a//b"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_record_cannot_choose_a_place_outside(tmp_path: Path, name: str) -> None:
    content = with_head(RUN, model={"name": name, "title": "T"})
    with pytest.raises(UserError, match="cannot be kept under the name"):
        main([str(run_folder(tmp_path / "run", content)), f"results_dir={tmp_path / 'results'}"])
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", [*OUTSIDE, "a\nb"])
def test_a_sweep_cannot_choose_a_place_outside(tmp_path: Path, name: str) -> None:
    sweep = sweep_folder(tmp_path / "sweep", replace(tiny(), name=name))
    with pytest.raises(UserError, match="cannot be kept under the name"):
        main([str(sweep), f"results_dir={tmp_path / 'results'}"])
    assert not (tmp_path / "results").exists()


def test_wrong_requests(tmp_path: Path) -> None:
    (tmp_path / "record.jsonl.gz").write_bytes(b"broken")
    for arguments, says in [
        ([], "give the folders"),
        ([str(tmp_path)], "cannot be read"),
        ([str(tmp_path), "partial=yes"], "true or false"),
        ([str(tmp_path / "absent")], "is not a run folder, a record, or a model"),
    ]:
        with pytest.raises(UserError, match=says):
            main(arguments)


def test_questions_can_stay_where_they_are(tmp_path: Path) -> None:
    asked = with_items(RUN, [item("finqa", 1, 1.0), item("finqa", 2, 0.0)])
    folder = run_folder(tmp_path / "r", asked)
    assert main([str(folder), f"results_dir={tmp_path / 'results'}", "prompts=false"]) == 0
    (kept,) = collect(tmp_path / "results", local=False).runs.values()
    assert [each.samples[0].text for each in kept.items] == [each.samples[0].text for each in asked.items]
    assert [each.samples[0].scores for each in kept.items] == [each.samples[0].scores for each in asked.items]
    words = [content for each in asked.items for _, content in each.samples[0].messages]
    left = [content for each in kept.items for _, content in each.samples[0].messages]
    assert words
    assert all(content.startswith("(left out; sha256 ") for content in left)
    assert [left.count(each) for each in left] == [words.count(each) for each in words], "equal stay equal"
    assert not any(each.question or "".join(each.choices.values()) for each in kept.items)
