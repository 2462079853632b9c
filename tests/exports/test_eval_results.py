"""The Hub's .eval_results: what is written is what huggingface_hub reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from huggingface_hub import EvalResultEntry, parse_eval_result_entries

from evalkit.export import exporter
from evalkit.run.info import Run
from evalkit.schema import UserError
from tests.exports.conftest import of_hub
from tests.leaderboard.made import answers

HUB = "zeroshot/twitter-financial-news-sentiment"


def _entry(path: Path) -> EvalResultEntry:
    (entry,) = parse_eval_result_entries(yaml.safe_load(path.read_text(encoding="utf-8")))
    return entry


def test_a_result_is_read_back_by_the_hubs_own_library(run: Run, tmp_path: Path) -> None:
    (path,) = exporter("eval_results").export([of_hub(run)], tmp_path)
    entry = _entry(path)
    scores = [sample.scores["financial"].value or 0.0 for _, sample in answers(run, "tfns")]
    assert path == tmp_path / "tiny-q4_0" / run.info.run_id / ".eval_results" / "tfns.yaml"
    assert (entry.dataset_id, entry.task_id, entry.dataset_revision) == (HUB, "default", "abc")
    assert entry.value == pytest.approx(sum(scores) / len(scores), abs=1e-6)
    assert entry.date is not None
    assert entry.date.startswith((run.info.ended or "")[:10])
    assert entry.verify_token is None
    notes = entry.notes or ""
    for said in ("rule financial", "split validation", f"n {len(scores)},", "95 % interval", run.info.run_id):
        assert said in notes


def test_what_is_no_dataset_of_the_hub_is_left_out(run: Run, tmp_path: Path) -> None:
    """FinQA, ConvFinQA and Ant_Finance are read from other places: no id of the Hub would be true."""
    written = exporter("eval_results").export([of_hub(run)], tmp_path)
    assert [path.name for path in written] == ["tfns.yaml"]
    with pytest.raises(
        UserError, match=r"nothing in tiny-q4_0.* dataset of the Hugging Face Hub.*model_card"
    ):
        exporter("eval_results").export([run], tmp_path)  # the bundled samples are not the benchmark


def test_a_hostile_name_stays_in_its_folder(hostile: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (path,) = exporter("eval_results").export([of_hub(hostile)], out)
    assert path.resolve().is_relative_to(out.resolve())
    assert list(tmp_path.iterdir()) == [out]
    assert "run ../run" in (_entry(path).notes or "")
