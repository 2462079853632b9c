"""Reading a run to compare: what is not a readable one is one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from evalkit.compare.comparison import compare
from evalkit.run.info import data_info, different_data
from evalkit.run.runner import read_run
from evalkit.schema import UserError
from tests.compare.helpers import edit_json, examples, run
from tests.unchained import unchain


@pytest.fixture(scope="module")
def tfns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("tfns") / "base", {}, "benchmark=tfns")


def test_every_example_with_a_record_is_an_item(tfns: Path) -> None:
    found = read_run(tfns)
    assert (found.info.model.name, found.info.model.title, found.path) == ("base", "base", tfns)
    assert set(found.keyed("tfns")) == {(e.id, None) for e in examples("benchmark=tfns")}
    assert {item.value("financial") for item in found.items} == {1.0}


def test_a_folder_and_its_record_are_the_same_run(tfns: Path) -> None:
    folder, record = read_run(tfns), read_run(tfns / "record.jsonl.gz")
    assert folder.items == record.items
    assert folder.info.model == record.info.model
    found = compare(folder, record, None, 0.02)
    assert [each.benchmark for each in found.comparisons] == ["tfns"]
    assert (found.flips, found.differences) == ([], [])


def test_another_rule(tfns: Path) -> None:
    found = compare(read_run(tfns), read_run(tfns), "finben_emacc", 0.02)
    assert [each.rule for each in found.pairs] == ["finben_emacc"]
    with pytest.raises(UserError, match=r"No rule 'finacial'.*Did you mean financial"):
        compare(read_run(tfns), read_run(tfns), "finacial", 0.02)


def test_folders_that_are_no_runs(tmp_path: Path, tfns: Path) -> None:
    with pytest.raises(UserError, match="not a run folder"):
        read_run(tmp_path / "nowhere")
    for name, text in {"empty": "{}", "part": "model: {name: x}\ndata: 1\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(text)
        with pytest.raises(UserError, match="is not a run's config: "):
            read_run(tmp_path / name)
    shutil.copytree(tfns, tmp_path / "unstarted")
    (tmp_path / "unstarted" / "generations.jsonl").write_text("")
    with pytest.raises(UserError, match="answers are gone from its end"):
        read_run(tmp_path / "unstarted")
    unchain(tmp_path / "unstarted")
    with pytest.raises(UserError, match="nothing was generated"):
        read_run(tmp_path / "unstarted")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": 99}, "has schema 99"),
        ({"schema": None}, "has schema null"),
        ({"data": []}, "its data is missing"),
    ],
)
def test_records_of_another_making(change: dict[str, object], says: str, tmp_path: Path, tfns: Path) -> None:
    shutil.copytree(tfns, tmp_path / "run")
    edit_json(tmp_path / "run" / "run.json", lambda content: content.update(change))
    with pytest.raises(UserError, match=says):
        read_run(tmp_path / "run")


def different(one: dict[str, object], other: dict[str, object]) -> str:
    return different_data(*(data_info({"source": "local", **each}) for each in (one, other)))


def test_content_hashes_decide_whether_data_are_the_same() -> None:
    local: dict[str, object] = {"files": [{"name": "finqa/test.json", "bytes": 3, "sha256": "ab"}]}
    hub = {"source": "hub", "revision": "0f16e28", **local}
    assert different(local, hub) == ""
    other: dict[str, object] = {"files": [{"name": "finqa/test.json", "bytes": 3, "sha256": "cd"}]}
    assert different(local, other) == '"finqa/test.json" "ab" and "finqa/test.json" "cd"'
    assert different({"sha256": "ab"}, {"sha256": "cd"}) == 'sha256 "ab" and sha256 "cd"'
    assert different({"rows_sha256": "ab"}, local) == ""
