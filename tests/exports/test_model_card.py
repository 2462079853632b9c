"""Model-card metadata: what huggingface_hub writes it reads back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from evalkit.errors import UserError
from evalkit.exports import exporter
from evalkit.records.record import Record
from tests.exports.conftest import TITLE


def _read(path: Path) -> ModelCardData:
    data = ModelCard.load(path).data
    assert isinstance(data, ModelCardData)
    return data


def _results(record: Record, out: Path) -> list[EvalResult]:
    (path,) = exporter("model_card").export([record], out)
    return _read(path).eval_results or []


def test_results_are_those_of_the_record(record: Record, tmp_path: Path) -> None:
    results = {result.dataset_type: result for result in _results(record, tmp_path)}
    assert set(results) == {"finqa", "convfinqa", "ant_finance", "tfns"}
    rows = [row.verdicts["financial"].score or 0.0 for row in record.rows if row.benchmark == "tfns"]
    tfns = results["tfns"]
    assert tfns.metric_value == pytest.approx(sum(rows) / len(rows), abs=1e-6)
    assert tfns.metric_args is not None
    assert tfns.metric_args["n"] == len(rows)
    low, high = tfns.metric_args["interval_95"]
    assert 0 <= low < tfns.metric_value < high <= 1
    assert tfns.dataset_args is not None
    assert tfns.dataset_args["source"] == "sample"


def test_results_survive_another_round(record: Record, tmp_path: Path) -> None:
    results = _results(record, tmp_path)
    again = tmp_path / "again.md"
    again.write_text(f"---\n{ModelCardData(model_name='x', eval_results=results).to_yaml()}\n---\n")
    assert _read(again).eval_results == results
    assert results


def test_upstream_data_is_named_with_split_and_revision(record: Record, tmp_path: Path) -> None:
    data = {**record.head.data, "tfns": {**record.head.data["tfns"], "source": "hub", "revision": "abc"}}
    upstream = Record(dataclasses.replace(record.head, data=data), record.rows)
    results = {result.dataset_name: result for result in _results(upstream, tmp_path)}
    tfns = results["TFNS"]
    assert tfns.dataset_type == "zeroshot/twitter-financial-news-sentiment"
    assert (tfns.dataset_split, tfns.dataset_revision) == ("validation", "abc")


def test_a_hostile_title_stays_a_title(hostile: Record, tmp_path: Path) -> None:
    (path,) = exporter("model_card").export([hostile], tmp_path)
    assert _read(path).model_name == TITLE.replace("‮", "�")
    (front,) = yaml.safe_load_all(path.read_text().removesuffix("---\n"))
    assert set(front) == {"model-index"}


def test_nothing_scored_is_said(record: Record, tmp_path: Path) -> None:
    free = Record(record.head, [row for row in record.rows if row.benchmark == "finance_instruct"])
    with pytest.raises(UserError, match=r"nothing in tiny-q4_0.* is scored"):
        exporter("model_card").export([free], tmp_path)
