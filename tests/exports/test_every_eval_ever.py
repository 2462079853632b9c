"""Every Eval Ever's files: consistent with the record and with each other, and valid to its own validator."""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from evalkit.export import exporter
from evalkit.run.info import Run
from tests.leaderboard.made import answers


def _pairs(run: Run, out: Path) -> dict[str, tuple[dict[str, Any], Path]]:
    """By benchmark: the aggregate, and the file of its samples."""
    found = {}
    for path in exporter("every_eval_ever").export([run], out):
        if path.suffix == ".json":
            log = json.loads(path.read_text())
            found[log["evaluation_results"][0]["evaluation_name"]] = (
                log,
                path.with_name(f"{path.stem}_samples.jsonl"),
            )
    return found


def _lines(path: Path) -> list[dict[str, Any]]:
    # As its validator cuts lines, also at U+2028 and U+0085.
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_scores_join_the_accuracy_that_they_make(run: Run, tmp_path: Path) -> None:
    pairs = _pairs(run, tmp_path)
    assert set(pairs) == {"finqa", "convfinqa", "ant_finance", "tfns"}
    for benchmark, (log, samples) in pairs.items():
        results = {result["evaluation_result_id"]: result for result in log["evaluation_results"]}
        lines = _lines(samples)
        assert len(lines) == len(answers(run, benchmark))
        assert {line["evaluation_id"] for line in lines} == {log["evaluation_id"]}
        (joined,) = {line["evaluation_result_id"] for line in lines}
        scores = [line["evaluation"]["score"] for line in lines]
        details = results[joined]["score_details"]
        assert details["score"] == pytest.approx(sum(scores) / len(scores), abs=1e-6)
        interval = details["uncertainty"]["confidence_interval"]
        assert 0 <= interval["lower"] <= details["score"] <= interval["upper"] <= 1
        assert len(results) > 1


def test_texts_survive(run: Run, tmp_path: Path) -> None:
    _, samples = _pairs(run, tmp_path)["finqa"]
    for (item, sample), line in zip(answers(run, "finqa"), _lines(samples), strict=True):
        assert line["output"]["raw"] == [sample.text]
        assert line["input"] == {"raw": sample.messages[-1][1], "reference": [item.gold]}


def test_dialogues_have_their_messages(run: Run, tmp_path: Path) -> None:
    _, samples = _pairs(run, tmp_path)["convfinqa"]
    given = {f"{item.id}#{item.turn}": sample for item, sample in answers(run, "convfinqa")}
    kinds = set()
    for line in _lines(samples):
        sample = given[line["sample_id"]]
        kinds.add(line["interaction_type"])
        if line["interaction_type"] == "multi_turn":
            said = [(message["role"], message["content"]) for message in line["messages"]]
            assert said == [*sample.messages, ("assistant", sample.text)]
            for answer in line["answer_attribution"]:
                assert answer["extracted_value"] in line["messages"][answer["turn_idx"]]["content"]
    assert kinds == {"single_turn", "multi_turn"}


def test_names_and_checksums(run: Run, tmp_path: Path) -> None:
    for benchmark, (log, samples) in _pairs(run, tmp_path).items():
        details = log["detailed_evaluation_results"]
        assert details["file_path"] == samples.relative_to(tmp_path).as_posix()
        assert details["checksum"] == hashlib.sha256(samples.read_bytes()).hexdigest()
        assert samples.parent.relative_to(tmp_path).as_posix() == f"data/{benchmark}/local/tiny-q4_0"
        assert log["model_info"]["id"] == "local/tiny-q4_0"
        assert uuid.UUID(samples.name.removesuffix("_samples.jsonl")).version == 4


def test_bundled_samples_do_not_pass_for_the_benchmark(run: Run, tmp_path: Path) -> None:
    source = _pairs(run, tmp_path)["tfns"][0]["evaluation_results"][0]["source_data"]
    assert source["source_type"] == "other"
    assert "bundled sample" in source["additional_details"]["title"]


def test_its_validator_finds_nothing(
    run: Run, hostile: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    validator = pytest.importorskip("every_eval_ever.validator.validate")
    out = tmp_path.resolve()
    paths = exporter("every_eval_ever").export([run, hostile], out)
    assert len(paths) == 2 * 4 * 2
    code = validator.main(["--format", "github", *map(str, paths)])
    assert capsys.readouterr().out == ""
    assert code == 0
    samples = next(path for path in paths if path.suffix == ".jsonl")
    samples.write_text(samples.read_text().replace('"score": ', '"score": "x', 1))
    assert validator.main(["--format", "github", str(samples)]) == 1
