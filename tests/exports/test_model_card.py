"""Model-card metadata: what huggingface_hub writes it reads back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from evalkit.errors import UserError
from evalkit.exports import exporter
from evalkit.records.record import Record
from tests.exports.conftest import TITLE


def _card(record: Record, out: Path) -> ModelCard:
    (path,) = exporter("model_card").export([record], out)
    return ModelCard.load(path)


def test_results_round_trip(record: Record, tmp_path: Path) -> None:
    card = _card(record, tmp_path)
    results = {result.dataset_type: result for result in card.data.eval_results or []}
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
    again = card.data.__class__(model_name="x", eval_results=card.data.eval_results)
    assert again.to_dict()["model-index"][0]["results"] == card.data.to_dict()["model-index"][0]["results"]


def test_upstream_data_is_named_with_split_and_revision(record: Record, tmp_path: Path) -> None:
    data = {**record.head.data, "tfns": {**record.head.data["tfns"], "source": "hub", "revision": "abc"}}
    upstream = Record(dataclasses.replace(record.head, data=data), record.rows)
    results = {result.dataset_name: result for result in _card(upstream, tmp_path).data.eval_results or []}
    tfns = results["TFNS"]
    assert tfns.dataset_type == "zeroshot/twitter-financial-news-sentiment"
    assert (tfns.dataset_split, tfns.dataset_revision) == ("validation", "abc")


def test_a_hostile_title_stays_a_title(hostile: Record, tmp_path: Path) -> None:
    card = _card(hostile, tmp_path)
    assert card.data.model_name == TITLE.replace("‮", "�")
    assert set(card.data.to_dict()) == {"model-index"}


def test_nothing_scored_is_said(record: Record, tmp_path: Path) -> None:
    free = Record(record.head, [row for row in record.rows if row.benchmark == "finance_instruct"])
    with pytest.raises(UserError, match=r"nothing in tiny-q4_0.* is scored"):
        exporter("model_card").export([free], tmp_path)
