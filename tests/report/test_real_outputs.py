"""The report over real outputs, where the real records are at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from evalkit.__main__ import main
from evalkit.report.label_defects import known_defects

from .helpers import replay, results

DATA = Path(os.environ.get("EVALKIT_DATA_DIR", "/nonexistent"))

pytestmark = pytest.mark.skipif("EVALKIT_DATA_DIR" not in os.environ, reason="EVALKIT_DATA_DIR is not set")


def lines(name: str) -> list[dict[str, object]]:
    text = (DATA / "model_outputs" / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_real_reasoning_outputs_under_every_rule(tmp_path: Path) -> None:
    recorded = lines("finqa_test100_fin-r1.jsonl")
    outputs = [{"id": line["id"], "text": line["generation"]} for line in recorded]
    assert replay(tmp_path, outputs, "data=local", f"data.dir={DATA}", "benchmark=[finqa]") == 0
    assert main(["score", str(tmp_path / "run"), "rules=all"]) == 0
    parts = results(tmp_path)["evalkit"]["report"]
    rules = parts["sensitivity"]["finqa"]
    assert rules["financial"]["n"] == len(outputs)
    # Some rule in use differs by more than the 10 points that published scores of one model differ by.
    assert min(line["difference"] for line in rules.values()) < -0.1
    for line in rules.values():
        assert line["difference"] == pytest.approx((line["gained"] - line["lost"]) / line["difference_n"])
    failures = parts["failures"]["finqa"]
    assert sum(failures["failures"].values()) == len(outputs)
    # The hand labels call 3 outputs cut off.
    labelled = sum(line["failure"] == "truncated" for line in lines("labels_finqa_fin-r1.jsonl"))
    assert failures["truncated"] == labelled
    assert parts["label_defects"]["finqa"]["clean"]["n"] == len(outputs) - 9


def test_shipped_defects_are_those_of_the_hand_labels() -> None:
    """Those that a reader found; others come from executing programs and from public reports."""
    read = [defect for defect in known_defects() if defect.source == "evalkit hand reading"]
    ours = {(defect.benchmark, defect.id, defect.turn) for defect in read}
    finqa = {("finqa", r["id"], None) for r in lines("labels_finqa_fin-r1.jsonl") if r["gold_defect"]}
    conv = {
        ("convfinqa", r["record_id"], r["turn_idx"])
        for r in lines("labels_convfinqa_claude.jsonl")
        if r["gold_defect"]
    }
    assert ours == finqa | conv
