"""`python -m bench scoring`: labels of a small made folder, a short fuzz, short measures, wrong requests."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from bench import rules as speed
from bench.rules import main
from evalkit.schema import UserError

RECORD = {
    "filename": "ACME/2020/page_1.pdf",
    "pre_text": ["."],
    "table": [["", "2020"], ["revenue", "$ 29"]],
    "post_text": ["."],
    "qa": {"question": "what was the growth?", "answer": "", "program": "divide(29, 8)", "exe_ans": 3.625},
}


def label(name: str, **changes: object) -> dict[str, Any]:
    says = {"final_answer": "3.625", "value": 3.625, "percent": False, "failure": "correct", "note": "why"}
    verdicts = {"correct_lenient": True, "correct_strict": True, "borderline": False}
    return {"id": name, **says, **verdicts, **changes}


def folder(path: Path, *labels: dict[str, Any]) -> Path:
    """One record, with the same output for every label: `3.625` in a box."""
    (path / "finqa").mkdir(parents=True)
    (path / "model_outputs").mkdir()
    records = [{**RECORD, "id": row["id"]} for row in labels]
    (path / "finqa/test.json").write_text(json.dumps(records))
    outputs = [{"id": row["id"], "generation": "<think>9</think>\\boxed{3.625}"} for row in labels]
    for name, rows in (("labels_finqa_x", list(labels)), ("finqa_x", outputs)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (path / f"model_outputs/{name}.jsonl").write_text(text)
    return path


def test_check_agrees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = folder(tmp_path, label("a"), label("b", borderline=True, correct_lenient=False))
    assert main(["check", f"data.dir={data}"]) == 0
    shown = capsys.readouterr().out
    assert "financial, against the lenient label: 1 of 1 = 100.0% (target 97%)" in shown
    assert shown.count("100.0%") == 4


def test_check_lists_every_disagreement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = label("page-7", correct_lenient_exe=False, correct_strict=False, failure="sign", note="see text")
    other = label("page-8", final_answer="-3.625", value=-3.625, failure="gold_label_wrong")
    assert main(["check", f"data.dir={folder(tmp_path, wrong, other)}"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert sum("page-7" in line and "see text" in line for line in lines) == 3
    assert any("page-7" in line and "sign" in line and "3.625" in line for line in lines)
    [extraction] = [line for line in lines if "page-8" in line]
    assert "'-3.625' (-3.625)" in extraction
    assert "failure class, where the page is not needed: 0 of 1 = 0.0% (target 85%)" in lines


def test_fuzz(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuzz", "n=60", "processes=2"]) == 0
    shown = capsys.readouterr().out
    assert "60 hostile outputs" in shown
    assert "exceptions and broken verdicts: 0" in shown
    assert "limit 50 ms" in shown


def test_speed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(speed, "COMPARED_SECONDS", 0.01)
    monkeypatch.setattr(speed, "OUTPUTS_EACH", 2)
    assert main(["speed"]) == 0
    shown = capsys.readouterr().out
    assert "financial: " in shown
    assert "re-scoring 11 models x 5 benchmarks x 2 = 110 outputs, all rules: " in shown
    if importlib.util.find_spec("math_verify") is None:
        assert "math-verify: not installed" in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "say what to do"),
        (["chek"], "check|metamorphic|fuzz|speed"),
        (["check"], "give the data"),
        (["check", "n=5"], "no such setting: 'n'"),
        (["check", "data.dir=/nowhere"], "no labels in"),
        (["fuzz", "n=0"], "whole number above 0"),
        (["fuzz", "n=many"], "whole number above 0"),
        (["speed", "data.dir=/nowhere"], "no labels in"),
    ],
)
def test_wrong_requests(arguments: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says.replace("|", r"\|")) as error:
        main(arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["{", "[]", json.dumps(label("missing")), "[" * 100_000])
def test_labels_that_are_broken(tmp_path: Path, text: str) -> None:
    folder(tmp_path, label("a"))
    (tmp_path / "model_outputs/labels_finqa_y.jsonl").write_text(text + "\n")
    with pytest.raises(UserError, match=r"is not JSON|is not an object|label missing has no output"):
        main(["check", f"data.dir={tmp_path}"])
