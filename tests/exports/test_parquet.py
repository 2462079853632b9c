"""The Parquet file: one row per answer and rule, with types that survive."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from evalkit.exports import exporter
from evalkit.exports.parquet import COLUMNS
from evalkit.records.record import Record


def test_every_verdict_is_a_row(record: Record, tmp_path: Path) -> None:
    (path,) = exporter("parquet").export([record], tmp_path)
    frame = pd.read_parquet(path)
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == sum(len(row.verdicts) for row in record.rows)
    assert set(frame["model"]) == {"tiny-q4_0"}
    found = {(line.benchmark, line.id, line.turn, line.rule): line for line in frame.itertuples()}
    for row in record.rows:
        for rule, verdict in row.verdicts.items():
            turns = [key for key in found if key[:2] == (row.benchmark, row.id) and key[3] == rule]
            turn = next(key[2] for key in turns if row.turn is None or key[2] == row.turn)
            line = found[row.benchmark, row.id, turn, rule]
            assert verdict.score == (None if pd.isna(line.score) else line.score)
            assert verdict.correct is (None if pd.isna(line.correct) else bool(line.correct))
            assert line.failure == verdict.failure
            assert (None if pd.isna(line.extracted) else line.extracted) == verdict.extracted
            assert json.loads(line.facets) == row.facets
            if verdict.span is not None:
                assert (line.span_start, line.span_end) == verdict.span


def test_a_hostile_name_stays_in_the_folder(hostile: Record, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    (path,) = exporter("parquet").export([hostile], out)
    assert path.resolve().parent.parent == out.resolve()
    assert pd.read_parquet(path)["model"].iloc[0] == hostile.name
