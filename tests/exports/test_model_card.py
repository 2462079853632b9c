"""Model-card metadata: what huggingface_hub writes it reads back."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from evalkit.export import exporter
from evalkit.run.info import Run
from evalkit.schema import UserError
from tests.exports.conftest import TITLE
from tests.leaderboard.made import answers, with_head, with_items


def _read(path: Path) -> ModelCardData:
    data = ModelCard.load(path).data
    assert isinstance(data, ModelCardData)
    return data


def _results(run: Run, out: Path) -> list[EvalResult]:
    (path,) = exporter("model_card").export([run], out)
    return _read(path).eval_results or []


def test_results_are_those_of_the_record(run: Run, tmp_path: Path) -> None:
    results = {result.dataset_type: result for result in _results(run, tmp_path)}
    assert set(results) == {"finqa", "convfinqa", "ant_finance", "tfns"}
    scores = [sample.scores["financial"].value or 0.0 for _, sample in answers(run, "tfns")]
    tfns = results["tfns"]
    assert tfns.metric_value == pytest.approx(sum(scores) / len(scores), abs=1e-6)
    assert tfns.metric_args is not None
    assert tfns.metric_args["n"] == len(scores)
    low, high = tfns.metric_args["interval_95"]
    assert 0 <= low < tfns.metric_value < high <= 1
    assert tfns.dataset_args is not None
    assert tfns.dataset_args["source"] == "sample"


def test_results_survive_another_round(run: Run, tmp_path: Path) -> None:
    results = _results(run, tmp_path)
    again = tmp_path / "again.md"
    again.write_text(f"---\n{ModelCardData(model_name='x', eval_results=results).to_yaml()}\n---\n")
    assert _read(again).eval_results == results
    assert results


def test_upstream_data_is_named_with_split_and_revision(run: Run, tmp_path: Path) -> None:
    data = run.info.raw["data"]
    upstream = with_head(run, data={**data, "tfns": {**data["tfns"], "source": "hub", "revision": "abc"}})
    results = {result.dataset_name: result for result in _results(upstream, tmp_path)}
    tfns = results["TFNS"]
    assert tfns.dataset_type == "zeroshot/twitter-financial-news-sentiment"
    assert (tfns.dataset_split, tfns.dataset_revision) == ("validation", "abc")


def test_a_hostile_title_stays_a_title(hostile: Run, tmp_path: Path) -> None:
    (path,) = exporter("model_card").export([hostile], tmp_path)
    assert _read(path).model_name == TITLE.replace("‮", "�")
    (front,) = yaml.safe_load_all(path.read_text().removesuffix("---\n"))
    assert set(front) == {"model-index"}


def test_nothing_scored_is_said(run: Run, tmp_path: Path) -> None:
    free = with_items(run, run.of("finance_instruct"))
    with pytest.raises(UserError, match=r"nothing in tiny-q4_0.* is scored"):
        exporter("model_card").export([free], tmp_path)
