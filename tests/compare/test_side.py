"""Reading one side: what is not a readable run is one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from evalkit.compare.side import different_data, load_side, side_of
from evalkit.errors import UserError
from evalkit.runner.run import finished_run
from tests.compare.helpers import edit_json, examples, run


@pytest.fixture(scope="module")
def tfns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("tfns") / "base", {}, "benchmark=tfns")


def test_every_example_with_a_record_is_an_item(tfns: Path) -> None:
    side = load_side(tfns)
    assert (side.name, side.title, side.path) == ("base", "base", tfns)
    assert set(side.items["tfns"]) == {(e.id, None) for e in examples("benchmark=tfns")}
    assert {item.value for item in side.items["tfns"].values()} == {1.0}
    assert side_of(finished_run(tfns)) == side


def test_another_rule(tfns: Path) -> None:
    items = load_side(tfns, "finben_emacc").items["tfns"].values()
    assert {score.rule for item in items for score in item.scores} == {"finben_emacc"}
    with pytest.raises(UserError, match=r"No rule 'finacial'.*Did you mean financial"):
        load_side(tfns, "finacial")


def test_folders_that_are_no_runs(tmp_path: Path, tfns: Path) -> None:
    with pytest.raises(UserError, match="not a run folder"):
        load_side(tmp_path / "nowhere")
    for name, text in {"empty": "{}", "part": "model: {name: x}\ndata: 1\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(text)
        with pytest.raises(UserError, match="is not a run's config: it has no"):
            load_side(tmp_path / name)
    shutil.copytree(tfns, tmp_path / "unstarted")
    (tmp_path / "unstarted" / "generations.jsonl").write_text("")
    with pytest.raises(UserError, match="nothing was generated"):
        load_side(tmp_path / "unstarted")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": 99}, "has schema 99"),
        ({"schema": None}, "has schema null"),
        ({"data": []}, "what data tfns"),
    ],
)
def test_records_of_another_making(change: dict[str, object], says: str, tmp_path: Path, tfns: Path) -> None:
    shutil.copytree(tfns, tmp_path / "run")
    edit_json(tmp_path / "run" / "run.json", lambda content: content.update(change))
    with pytest.raises(UserError, match=says):
        load_side(tmp_path / "run")


def test_content_hashes_decide_whether_data_are_the_same() -> None:
    local = {"source": "local", "files": [{"name": "finqa/test.json", "bytes": 3, "sha256": "ab"}]}
    hub = {"source": "hub", "revision": "0f16e28", **{"files": local["files"]}}
    assert different_data(local, hub) == ""
    other = {"files": [{"name": "finqa/test.json", "bytes": 3, "sha256": "cd"}]}
    assert different_data(local, other) == '"finqa/test.json" "ab" and "finqa/test.json" "cd"'
    assert different_data({"sha256": "ab"}, {"sha256": "cd"}) == 'sha256 "ab" and sha256 "cd"'
    assert different_data({"rows_sha256": "ab"}, local) == ""
