"""A rule is one file: a module beside the others can count for a benchmark, and stands beside the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalkit.__main__ import main
from evalkit.config.settings import run_settings
from evalkit.run.runner import load_data
from evalkit.schema import LabelGold
from evalkit.scoring import rules
from tests.extension import module_beside

MODULE = '''
"""Right if the output has the label in capitals."""

from evalkit.schema import LabelGold
from evalkit.scoring.verdicts import judged


def score(output, gold):
    if not isinstance(gold, LabelGold):
        return None
    return judged(gold, output.text, gold.label.upper() in output.text)
'''
WORDS = ["+model=replay", "benchmark=tfns", "data=sample", "limit=4"]


@pytest.fixture
def capitals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A rule more, called capitals."""
    with module_beside(rules, "capitals", MODULE, tmp_path / "modules", monkeypatch):
        yield


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """The right label for each of four examples, once of four in capitals."""
    examples = load_data(run_settings([*WORDS, "model.path=unused"]))["tfns"].examples
    golds = [example.gold.label for example in examples if isinstance(example.gold, LabelGold)]
    path = tmp_path / "outputs.jsonl"
    lines = [
        {"id": example.id, "text": gold if number else gold.upper()}
        for number, (example, gold) in enumerate(zip(examples, golds, strict=True))
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.usefixtures("capitals")
def test_a_new_rule_is_one_module(tmp_path: Path, outputs: Path) -> None:
    run_dir = tmp_path / "run"
    words = [*WORDS, f"model.path={outputs}", f"run_dir={run_dir}"]
    assert main(["run", *words, "benchmark.tfns.rule=capitals"]) == 0
    scores = json.loads((run_dir / "results.json").read_text())["results"]["tfns"]
    assert scores["acc,capitals"] == 0.25
    assert "25.0" in (run_dir / "table.md").read_text()
    assert main(["score", str(run_dir), "rules=all"]) == 0
    lines = [json.loads(line) for line in (run_dir / "scores.jsonl").read_text().splitlines()]
    right = {
        rule: sum(line["correct"] for line in lines if line["rule"] == rule)
        for rule in ("capitals", "financial")
    }
    assert right == {"capitals": 1, "financial": 4}
    assert "capitals" in (run_dir / "report.md").read_text()


def test_a_rule_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *WORDS, "model.path=unused", "benchmark.tfns.rule=capitals"]) == 2
    assert "capitals" in capsys.readouterr().err
