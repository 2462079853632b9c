"""`allow_code` from the command line to the report: unscored without it, scored with it, and later."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

import pytest

from evalkit.__main__ import main
from evalkit.benchmarks.shots import said
from evalkit.config.settings import run_settings
from evalkit.run import code as code_module
from evalkit.run.code import VERDICTS
from evalkit.run.folder import run_id
from evalkit.run.record import RECORD_FILE, load_run
from evalkit.run.runner import load_data
from evalkit.schema import CodeGold, Example, Message, Outcome, Output
from tests.benchmarks.scene_solutions import SOLUTIONS

EXAMPLES = load_data(run_settings(["+model=smollm2-135m", "benchmark=scenes"]))["scenes"].examples
NOT_RUN = "15 code answers are unscored, and accuracy is that of the others: code is not run without"
linux = pytest.mark.skipif(sys.platform != "linux", reason="code is run on Linux only")


def answer(example: Example) -> str:
    if isinstance(example.gold, CodeGold):
        return f"```python{SOLUTIONS[example.id]}```"
    [message] = example.messages
    assert isinstance(message, Message)
    return said(example.gold, message.content)


def outputs(folder: Path, **others: str) -> list[str]:
    """The words of a run over right answers, but for `others`, by id."""
    path = folder / "outputs.jsonl"
    texts = {example.id: answer(example) for example in EXAMPLES} | {
        name.replace("_", "-"): text for name, text in others.items()
    }
    path.write_text("".join(json.dumps({"id": id_, "text": text}) + "\n" for id_, text in texts.items()))
    return ["run", "+model=replay", f"model.path={path}", "benchmark=scenes", f"run_dir={folder / 'run'}"]


def figures(folder: Path) -> dict[str, object]:
    found = json.loads((folder / "run/results.json").read_text("utf-8"))
    scenes = found["results"]["scenes"]
    assert isinstance(scenes, dict)
    return scenes


def test_without_it_code_is_unscored_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("nothing may be run")

    monkeypatch.setattr(code_module, "_ask", never)
    assert main(outputs(tmp_path)) == 0
    assert NOT_RUN in capsys.readouterr().out
    assert figures(tmp_path)["acc,financial"] == 1.0
    assert NOT_RUN in (tmp_path / "run/report.md").read_text("utf-8")
    run = load_run(tmp_path / "run")
    scored = [item for item in run.items if item.value("financial") is not None]
    assert (len(run.items), len(scored)) == (91, 76)
    assert not (tmp_path / "run" / VERDICTS).exists()


@linux
def test_with_it_code_is_scored_and_stays_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = "```python\ndef npv(rate, flows):\n    return sum(flows)\n```"
    assert main([*outputs(tmp_path, code_flows_npv=wrong, code_risk_var="I cannot."), "allow_code=true"]) == 0
    assert "unscored" not in capsys.readouterr().out
    assert figures(tmp_path)["acc,financial"] == pytest.approx(89 / 91)
    items = {item.id: item.samples[0] for item in load_run(tmp_path / "run").items}
    score = items["code-flows-npv"].scores["financial"]
    assert (score.correct, score.outcome) == (False, "wrong_code")
    assert score.note == "case 1 of 4: 280, right is 82.4061372758"
    assert items["code-flows-npv"].reason == score.note
    assert items["code-flows-irr"].reason == "4 cases, all as expected"
    assert items["code-risk-var"].scores["financial"].outcome == "no_final_answer"
    # The same verdicts again by a command that runs nothing.
    assert main(["score", str(tmp_path / "run")]) == 0
    assert figures(tmp_path)["acc,financial"] == pytest.approx(89 / 91)


@linux
def test_score_runs_what_a_run_did_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(outputs(tmp_path)) == 0
    assert main(["score", str(tmp_path / "run"), "allow_code=true"]) == 0
    assert figures(tmp_path)["acc,financial"] == 1.0
    assert sum(item.value("financial") == 1 for item in load_run(tmp_path / "run").items) == 91
    report = (tmp_path / "run/report.md").read_text("utf-8")
    for scene in ("financial_code", "calculation_zh", "calculation_en", "compliance", "risk_control", "esg"):
        assert scene in report
    assert main(["show", str(tmp_path / "run")]) == 0
    wrong = "```python\ndef npv(rate, flows):\n    return sum(flows)\n```"
    other = [*outputs(tmp_path, code_flows_npv=wrong)[:-1], f"run_dir={tmp_path / 'other'}"]
    assert main(other) == 0
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "run"), str(tmp_path / "other")]) == 0
    assert (
        "15 code tasks that were not run on a side (allow_code=true): not compared" in capsys.readouterr().out
    )
    assert main([*other, "allow_code=true"]) == 0
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "run"), str(tmp_path / "other")]) == 0
    assert "not compared" not in capsys.readouterr().out


@linux
def test_a_verdict_is_of_one_answer_and_its_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*outputs(tmp_path), "allow_code=true"]) == 0
    path = tmp_path / "run" / VERDICTS
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert len(lines) == 15
    lines[0]["generation"], lines[1]["gold"] = "another", "another"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    capsys.readouterr()
    assert main(["score", str(tmp_path / "run")]) == 0
    assert "2 code answers are unscored" in capsys.readouterr().out
    path.write_text("{}\n")
    assert main(["score", str(tmp_path / "run")]) == 2
    assert f"{VERDICTS}: cannot be read: remove it" in capsys.readouterr().err


@linux
def test_the_same_run_again_runs_what_has_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [*outputs(tmp_path), "allow_code=true"]
    assert main(words) == 0
    path = tmp_path / "run" / VERDICTS
    kept = path.read_text("utf-8")
    first, *rest = kept.splitlines(keepends=True)
    path.write_text("".join([json.dumps(json.loads(first) | {"generation": "another"}) + "\n", *rest]))
    ran, real = [], code_module.verdict

    def counted(output: Output, gold: CodeGold) -> tuple[bool | None, Outcome, str]:
        ran.append(gold.name)
        return real(output, gold)

    monkeypatch.setattr(code_module, "verdict", counted)
    assert main(words) == 0
    assert len(ran) == 1
    assert path.read_text("utf-8") == kept
    assert main(["score", str(tmp_path / "run"), "allow_code=true"]) == 0
    assert len(ran) == 16


def test_where_there_is_no_sandbox_the_reason_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert main([*outputs(tmp_path), "allow_code=true"]) == 0
    said_ = capsys.readouterr().out
    assert "15 code answers are unscored" in said_
    assert "code is run only on Linux, on x86_64 or aarch64" in said_


def test_it_makes_no_other_run() -> None:
    words = ["+model=smollm2-135m", "benchmark=scenes"]
    assert run_id(run_settings(words)) == run_id(run_settings([*words, "allow_code=true"]))


def test_a_judge_is_not_asked_about_code(tmp_path: Path) -> None:
    from evalkit.run.runner import finished_run
    from evalkit.run.scoring import scored_answers

    assert main(outputs(tmp_path)) == 0
    finished = finished_run(tmp_path / "run")
    golds = [each.example.gold for each in scored_answers(finished.records, finished.data)]
    assert len(golds) == 76
    assert not any(isinstance(gold, CodeGold) for gold in golds)
    assert (tmp_path / "run" / RECORD_FILE).exists()
