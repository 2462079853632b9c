"""What a run's folder holds in the end, by way of the real command over the sample records."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.__main__ import main

from .helpers import replay, results

EVIL = "</table><script>alert(1)</script> | `x` \u202e [l](javascript:1)"
OUTPUTS = [
    {"benchmark": "finqa", "id": "HBQ/2018/page_41.pdf-1", "text": "<think>t</think>\\boxed{7.44\\%}"},
    {"benchmark": "finqa", "id": "HBQ/2018/page_41.pdf-2", "text": "\\boxed{48.60}"},
    {"benchmark": "finqa", "id": "NLW/2019/page_77.pdf-4", "text": f"The answer is yes. {EVIL}"},
    {"benchmark": "finqa", "id": "NLW/2019/page_77.pdf-1", "text": f"\\boxed{{1140 {EVIL}}}"},
    {"benchmark": "finqa", "id": "CWQ/2017/page_58.pdf-1", "text": "<think>5", "finish_reason": "length"},
]
ABANDONED = {"id": "TSZ/2019/page_31.pdf-2", "text": "<think>x = 0.30307. No.</think>\\boxed{12.5}"}
RULE_FILES = {"rules.csv", "disagreements.csv", "sensitivity.png", "sensitivity.svg"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert replay(tmp_path, OUTPUTS, "data=sample", "benchmark=[finqa]") == 0
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "run").iterdir() if path.name[0] != "."}


def test_a_plain_run_has_a_report_and_no_figure(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "report.md" in files(folder)
    assert not RULE_FILES & files(folder).keys()
    report = (folder / "run" / "report.md").read_text(encoding="utf-8")
    assert "## Failures, truncation and length" in report
    assert "## Sensitivity" not in report


def test_all_rules_write_the_same_bytes_each_time_and_one_rule_takes_them_away(folder: Path) -> None:
    run = str(folder / "run")
    assert main(["score", run, "rules=all"]) == 0
    first = files(folder)
    assert first.keys() >= RULE_FILES
    assert main(["score", run, "rules=all"]) == 0
    assert files(folder) == first
    assert main(["score", run]) == 0
    assert not RULE_FILES & files(folder).keys()


def test_hostile_output_stays_text(folder: Path) -> None:
    main(["score", str(folder / "run"), "rules=all"])
    report = (folder / "run" / "report.md").read_text(encoding="utf-8")
    assert "script" in report
    for line in report.splitlines():
        outside = "".join(line.replace("``", "`").split("`")[::2])
        assert "<script>" not in outside
        assert "javascript:" not in outside
    assert "\u202e" not in report


def test_results_json_has_every_section(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["score", str(folder / "run"), "rules=[docmath]"])
    content = results(folder)
    task = content["results"]["finqa"]
    assert {"acc,financial", "acc_stderr,financial", "acc,docmath"} <= task.keys()
    assert content["higher_is_better"]["finqa"] == {"acc": True}
    parts = content["evalkit"]["report"]
    assert parts["failures"]["finqa"]["truncated"] == 1
    assert parts["failures"]["finqa"]["without_truncated"]["n"] == 4
    assert set(parts["sensitivity"]["finqa"]) == {"financial", "docmath"}
    assert set(parts["breakdown"]["finqa"]["answer_kind"]["parts"]) == {"amount", "percent", "yes_no"}
    out = capsys.readouterr().out
    assert "  1 of 5 cut off\n  without them: 100.0 [" in out  # made elsewhere: no limit of ours to raise


def test_right_then_abandoned_is_marked_and_counted(tmp_path: Path) -> None:
    assert replay(tmp_path, [*OUTPUTS, ABANDONED], "data=sample", "benchmark=[finqa]") == 0
    main(["score", str(tmp_path / "run"), "rules=[docmath]"])
    text = (tmp_path / "run" / "scores.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    marked = {line["id"]: line["abandoned"] for line in lines if "abandoned" in line}
    assert [id_ for id_, abandoned in marked.items() if abandoned] == [ABANDONED["id"]]
    assert "NLW/2019/page_77.pdf-4" not in marked  # yes or no
    assert all(line["rule"] == "financial" for line in lines if "abandoned" in line)
    assert results(tmp_path)["evalkit"]["report"]["failures"]["finqa"]["right_then_abandoned"] == 1


def test_labels_give_macro_f1_beside_accuracy(tmp_path: Path) -> None:
    from evalkit.config.settings import run_settings
    from evalkit.run.runner import load_data

    path = tmp_path / "none.jsonl"
    overrides = ["+model=replay", f"model.path={path}", "data=sample", "benchmark=[tfns]"]
    examples = load_data(run_settings(overrides))["tfns"].examples
    outputs = [{"id": example.id, "text": "\\boxed{neutral}"} for example in examples]
    assert replay(tmp_path, outputs, "data=sample", "benchmark=[tfns]") == 0
    task = results(tmp_path)["results"]["tfns"]
    assert task["acc,financial"] == task["majority_baseline,financial"]
    share = task["acc,financial"]
    assert task["macro_f1,financial"] == pytest.approx(2 * share / (1 + share) / 3)
    assert results(tmp_path)["higher_is_better"]["tfns"]["macro_f1"] is True


def test_a_plain_run_imports_no_matplotlib(tmp_path: Path) -> None:
    (tmp_path / "outputs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in OUTPUTS))
    arguments = ["run", "+model=replay", f"model.path={tmp_path / 'outputs.jsonl'}", "data=sample"]
    arguments += ["benchmark=[finqa]", f"run_dir={tmp_path / 'run'}"]
    program = f"from evalkit.__main__ import main; import sys; main({arguments!r})"
    program += "; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
