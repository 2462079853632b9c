"""`evalkit import`, and the way from another harness's log to scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.__main__ import main as evalkit
from evalkit.commands.import_ import main as import_command
from evalkit.importers import formats
from evalkit.schema import UserError
from tests.importers.helpers import INSPECT, LM_EVAL, LOGS

Score = dict[tuple[str, int | None, int], tuple[bool, str]]


def scored(outputs: Path, benchmark: str, run_dir: Path, samples: int = 1, rule: str = "financial") -> Score:
    overrides = ["+model=replay", f"model.path={outputs}", "data=sample", f"benchmark={benchmark}"]
    repeats = [f"protocol.samples={samples}", "protocol.temperature=0.6"] if samples > 1 else []
    assert evalkit(["run", *overrides, *repeats, f"run_dir={run_dir}"]) == 0
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in (run_dir / "scores.jsonl").open(encoding="utf-8")
    ]
    return {
        (line["id"], line["turn"], line["sample"]): (line["correct"], line["failure"])
        for line in lines
        if line["rule"] == rule
    }


def test_lm_eval_to_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.jsonl"
    assert import_command(["lm_eval", str(LOGS / LM_EVAL.format("finqa")), str(out), "benchmark=finqa"]) == 0
    assert capsys.readouterr().out == f"6 outputs written to {out}, 0 left out\n"
    scores = scored(out, "finqa", tmp_path / "run", samples=2)
    assert {name: correct for name, (correct, _) in scores.items()} == {
        ("HBQ/2018/page_41.pdf-1", None, 0): True,
        ("HBQ/2018/page_41.pdf-1", None, 1): False,
        ("HBQ/2018/page_41.pdf-2", None, 0): True,
        ("HBQ/2018/page_41.pdf-2", None, 1): True,
        ("NLW/2019/page_77.pdf-4", None, 0): True,
        ("NLW/2019/page_77.pdf-4", None, 1): True,
    }


def test_dialogues_of_lm_eval_to_scores(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert import_command(["lm_eval", str(LOGS / LM_EVAL.format("convfinqa")), str(out)]) == 0
    dialogue = "Single_PLV/2017/page_33.pdf-3"
    assert scored(out, "convfinqa", tmp_path / "run") == {
        (dialogue, 0, 0): (True, "correct"),
        (dialogue, 3, 0): (True, "correct"),
    }


def test_tweets_of_lm_eval_to_scores(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert import_command(["lm_eval", str(LOGS / LM_EVAL.format("tfns")), str(out), "benchmark=tfns"]) == 0
    assert list(scored(out, "tfns", tmp_path / "run").values()) == [(True, "correct")] * 2


@pytest.mark.parametrize("ending", ["eval", "json"])
def test_inspect_ai_to_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str) -> None:
    out = tmp_path / "out.jsonl"
    log = LOGS / INSPECT.format(f"finqa.{ending}")
    assert import_command(["inspect_ai", str(log), str(out), "benchmark=finqa"]) == 0
    assert capsys.readouterr().out == f"6 outputs written to {out}, 2 left out (2 ended in an error)\n"
    assert scored(out, "finqa", tmp_path / "run", samples=2) == {
        (id_, None, sample): verdict
        for sample in (0, 1)
        for id_, verdict in {
            "HBQ/2018/page_41.pdf-1": (True, "correct"),
            "HBQ/2018/page_41.pdf-2": (True, "correct"),
            "NLW/2019/page_77.pdf-4": (False, "truncated"),
        }.items()
    }


def test_several_logs_become_one_file(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out.jsonl"
    logs = [str(LOGS / LM_EVAL.format(name)) for name in ("finqa", "convfinqa")]
    assert import_command(["lm_eval", *logs, str(out)]) == 0
    assert len(out.read_text(encoding="utf-8").splitlines()) == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give the format"),
        (["lm_eval", "a.jsonl"], "give the format"),
        (["lm_evl", "a.jsonl", "out.jsonl"], "no format 'lm_evl'. Did you mean lm_eval"),
        (["common", "a.jsonl", "out.jsonl"], "no format 'common'"),
        (["lm_eval", "missing.jsonl", "out.jsonl"], "missing.jsonl: cannot read"),
        (["lm_eval", "a.eval", "out.jsonl"], "a.eval: lm_eval's samples are in"),
        (["inspect_ai", "missing.eval", "out.jsonl"], "missing.eval: cannot read"),
        (["lm_eval", "a", "out.jsonl", "benchmark=finq"], "no benchmark 'finq'. Did you mean finqa"),
        (["lm_eval", "a", "out.jsonl", "benchmark="], "give benchmark=VALUE once"),
        (["lm_eval", "a", "out.jsonl", "di=doc.x"], "no such setting: 'di'"),
        (["lm_eval", "a.jsonl", "here.jsonl"], "here.jsonl exists"),
    ],
)
def test_wrong_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.jsonl").write_text("kept")
    with pytest.raises(UserError, match=message):
        import_command(arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["here.jsonl"]
    assert (tmp_path / "here.jsonl").read_text() == "kept"


def test_formats_are_the_modules() -> None:
    assert formats() == ["inspect_ai", "jsonl", "lm_eval"]
