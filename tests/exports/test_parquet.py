"""The Parquet file: one row per answer and rule, with types that survive."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from pyarrow import parquet  # type: ignore[import-untyped]

from evalkit.exports import exporter
from evalkit.exports.parquet import COLUMNS
from evalkit.records.record import Record


def test_every_verdict_is_a_row(record: Record, tmp_path: Path) -> None:
    (path,) = exporter("parquet").export([record], tmp_path)
    table = parquet.read_table(path)
    assert table.column_names == list(COLUMNS)
    lines = table.to_pylist()
    assert len(lines) == sum(len(row.verdicts) for row in record.rows)
    found = {(line["benchmark"], line["id"], line["turn"], line["rule"]): line for line in lines}
    for row in record.rows:
        for rule, verdict in row.verdicts.items():
            line = found[row.benchmark, row.id, row.turn, rule]
            for field in ("score", "correct", "failure", "extracted", "note"):
                assert line[field] == getattr(verdict, field)
            assert verdict.span in ((line["span_start"], line["span_end"]), None)
            assert json.loads(line["facets"]) == row.facets
            assert (line["gold"], line["group"]) == (row.gold, row.group)


def test_a_hostile_name_stays_in_the_folder(hostile: Record, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    (path,) = exporter("parquet").export([hostile], out)
    assert path.resolve().parent.parent == out.resolve()
    assert pd.read_parquet(path)["model"].iloc[0] == hostile.name
