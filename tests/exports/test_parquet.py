"""The Parquet file: one row per answer and rule, with types that survive."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from pyarrow import parquet  # type: ignore[import-untyped]

from evalkit.export import exporter
from evalkit.export.parquet import COLUMNS
from evalkit.run.info import Run
from tests.leaderboard.made import answers


def test_every_verdict_is_a_row(run: Run, tmp_path: Path) -> None:
    (path,) = exporter("parquet").export([run], tmp_path)
    table = parquet.read_table(path)
    assert table.column_names == list(COLUMNS)
    lines = table.to_pylist()
    assert len(lines) == sum(len(sample.scores) for _, sample in answers(run))
    found = {(line["benchmark"], line["id"], line["turn"], line["rule"]): line for line in lines}
    for item, sample in answers(run):
        for rule, score in sample.scores.items():
            line = found[item.benchmark, item.id, item.turn, rule]
            assert (line["score"], line["failure"]) == (score.value, score.outcome)
            for field in ("correct", "extracted", "note"):
                assert line[field] == getattr(score, field)
            assert score.span in ((line["span_start"], line["span_end"]), None)
            assert json.loads(line["facets"]) == item.facets
            assert (line["gold"], line["group"]) == (item.gold, item.group)


def test_a_hostile_name_stays_in_the_folder(hostile: Run, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    (path,) = exporter("parquet").export([hostile], out)
    assert path.resolve().parent.parent == out.resolve()
    assert pd.read_parquet(path)["model"].iloc[0] == hostile.info.model.name
