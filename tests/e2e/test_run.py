"""The main job on the real small model: folder, table, resuming, scoring again."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalkit.files import BENCHMARKS
from evalkit.run.generations import read_chain, read_generations, rewrite
from tests.e2e.conftest import MODEL, evalkit, records, small_run
from tests.unchained import unchain


def test_the_folder_holds_what_the_design_promises(undisturbed: Path) -> None:
    names = {path.name for path in undisturbed.iterdir()}
    assert names >= {"config.yaml", "run.json", "generations.jsonl", "scores.jsonl", "results.json"}
    run = json.loads((undisturbed / "run.json").read_text())
    assert run["engine"]["weights_sha256"].startswith("b179c952")
    assert run["engine"]["weights"]["gguf"]["architecture"] == "llama"
    assert run["data"]["finqa"]["selected"] == 5
    measured = run["measured"]
    found = records(undisturbed)
    assert measured["completion_tokens"] == sum(r["completion_tokens"] for r in found)
    assert measured["prompt_tokens_total"] == sum(r["prompt_tokens"] for r in found)
    assert measured["prompt_tokens_distinct"] <= measured["prompt_tokens_computed"]
    assert measured["engine_seconds"] <= measured["wall_seconds"]
    assert measured["peak_memory_bytes"] > 90e6
    assert len(found) == 10
    assert {r["finish_reason"] for r in found} <= {"stop", "length"}


def test_results_speak_lm_evaluation_harness(undisturbed: Path) -> None:
    results = json.loads((undisturbed / "results.json").read_text())
    assert set(results["results"]) == {"finqa", "tfns"}
    for metrics in results["results"].values():
        assert 0 <= metrics["acc,financial"] <= 1
        assert "acc_stderr,financial" in metrics
    assert results["n-samples"]["finqa"] == {"original": 16, "effective": 5}
    assert results["higher_is_better"]["tfns"]["acc"] is True


def test_the_table_has_this_run_and_the_published_rows(undisturbed: Path) -> None:
    rows = list(csv.DictReader((undisturbed / "table.csv").open()))
    assert rows[0]["Model"].startswith("SmolLM2")
    assert rows[0]["Source"] == "this run"
    assert rows[0]["Average"].endswith("(2 of 5)")
    assert len(rows) == 11
    marked = {row["Model"] for row in rows if row["Average"].endswith("†")}
    assert marked == {"Fin-R1-SFT", "DeepSeek-R1-Distill-Llama-70B"}
    assert "† Fin-R1-SFT: printed average 71.9" in (undisturbed / "table.md").read_text()


def test_the_same_command_again_generates_nothing(undisturbed: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(undisturbed, run_dir)
    before = (run_dir / "generations.jsonl").read_bytes(), (run_dir / "run.json").read_bytes()
    done = evalkit(*small_run(run_dir), cwd=tmp_path)
    assert done.returncode == 0
    assert "already complete: all 10 answers are there" in done.stderr
    assert "SmolLM2" in done.stdout
    assert ((run_dir / "generations.jsonl").read_bytes(), (run_dir / "run.json").read_bytes()) == before


def test_figures_that_a_kill_left_behind_are_brought_up_to_date(undisturbed: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(undisturbed, run_dir)
    run = json.loads((run_dir / "run.json").read_text())
    stale = {**run, "measured": {**run["measured"], "completion_tokens": 1}}
    (run_dir / "run.json").write_text(json.dumps(stale))
    assert evalkit(*small_run(run_dir), cwd=tmp_path).returncode == 0
    assert json.loads((run_dir / "run.json").read_text()) == run


def test_scoring_again_needs_no_engine(undisturbed: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(undisturbed, run_dir)
    scores = (run_dir / "scores.jsonl").read_bytes()
    (run_dir / "scores.jsonl").unlink()
    done = evalkit("score", str(run_dir), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (run_dir / "scores.jsonl").read_bytes() == scores
    done = evalkit("score", str(run_dir), "rules=all", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rules = {json.loads(line)["rule"] for line in (run_dir / "scores.jsonl").open()}
    assert {"financial", "docmath", "finqa_official"} <= rules


def test_a_partial_run_can_be_scored(undisturbed: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(undisturbed, run_dir)
    unchain(run_dir)
    lines = (run_dir / "generations.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (run_dir / "generations.jsonl").write_text("".join(lines[:4]) + lines[4][:50], encoding="utf-8")
    done = evalkit("score", str(run_dir), cwd=tmp_path)
    assert done.returncode == 1
    assert "6 examples have not been generated yet" in done.stdout


def test_a_prompt_that_does_not_fit_is_counted_and_said(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    done = evalkit(
        *("run", MODEL, "data=sample", "benchmark=[finqa,tfns]", "limit=2"),
        *("protocol.max_tokens=8", "backend.context=256", f"run_dir={run_dir}"),
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "2 examples have no answer: context_overflow; give a larger backend.context" in done.stdout
    errors = {r["benchmark"]: r["error"] for r in records(run_dir)}
    assert errors == {"finqa": "context_overflow", "tfns": None}


def test_own_answers_build_the_dialogue(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    done = evalkit(
        *("run", MODEL, "data=sample", "benchmark=convfinqa", "benchmark.convfinqa.history=own"),
        *("limit=3", "protocol.max_tokens=16", f"run_dir={run_dir}"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    by_turn = {(r["id"], r["turn"]): r for r in records(run_dir)}
    later = [r for r in by_turn.values() if r["turn"] > 0]
    assert later
    for record in later:
        history = [m["content"] for m in record["messages"] if m["role"] == "assistant"]
        assert history == [by_turn[record["id"], t]["text"].strip() for t in range(record["turn"])]
    measured = json.loads((run_dir / "run.json").read_text())["measured"]
    assert measured["prompt_tokens_distinct"]


def test_hydra_writes_nothing_of_its_own(tmp_path: Path) -> None:
    shared = ("data=sample", "benchmark=tfns", "limit=1", "protocol.max_tokens=4")
    done = evalkit("run", "-m", MODEL, "seed=0,1", *shared, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    runs = sorted((tmp_path / "results" / "runs" / "smollm2-135m").iterdir())
    assert [yaml.safe_load((run / "config.yaml").read_text())["seed"] for run in runs] in ([0, 1], [1, 0])


def finqa_sample() -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = json.loads((BENCHMARKS / "finqa" / "sample" / "test.json").read_text())
    return content


def test_outputs_made_elsewhere(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs.jsonl"
    samples = finqa_sample()
    lines = [
        {"id": item["id"], "text": f"<think>hm</think> \\boxed{{{item['qa']['exe_ans']}}}"}
        for item in samples[:-2]
    ]
    outputs.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = evalkit(
        *(
            "run",
            "+model=replay",
            "model.path=outputs.jsonl",
            "data=sample",
            "benchmark=finqa",
            "run_dir=run",
        ),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "2 examples have no recorded output and are left out, not scored 0" in done.stdout
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["results"]["finqa"]["acc,financial"] == 1.0
    assert results["n-samples"]["finqa"]["effective"] == len(samples) - 2


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 1: not JSON"),
        ('{"id": "a"}', "field text"),
        ('{"id": 3, "text": ""}', "field id"),
        ('{"id": "a", "text": ""}\n{"id": "a", "text": ""}', "line 2: a second output"),
        ('{"id": "nobody", "text": ""}', "none of its 1 outputs"),
    ],
)
def test_outputs_that_cannot_be_read(line: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "outputs.jsonl").write_text(line + "\n")
    done = evalkit("run", "+model=replay", "model.path=outputs.jsonl", "data=sample", cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr


def test_an_output_that_is_no_text_of_any_file(tmp_path: Path) -> None:
    lines = [{"id": item["id"], "text": "\ud800 \\boxed{1}"} for item in finqa_sample()[:2]]
    (tmp_path / "outputs.jsonl").write_text("\n".join(map(json.dumps, lines)))
    replayed = ("run", "+model=replay", "model.path=outputs.jsonl", "data=sample", "benchmark=finqa")
    done = evalkit(*replayed, "run_dir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(records(tmp_path / "run")) == 2


def test_another_limit_generates_only_what_is_new(tmp_path: Path) -> None:
    def taken(said: str) -> int:
        return sum(map(int, re.findall(r"(\d+) answers are there already", said)))

    def run(limit: int, *more: str) -> tuple[str, list[dict[str, Any]]]:
        asked = ("data=sample", "benchmark=[convfinqa,tfns]", f"limit={limit}", "protocol.max_tokens=8")
        done = evalkit("run", MODEL, *asked, *more, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        folders = (tmp_path / "results/runs/smollm2-135m").glob(f"greedy-sample-{limit}-*")
        folder = max(folders, key=lambda path: path.stat().st_mtime)
        return done.stderr, [{**record, "after": "", "link": ""} for record in records(folder)]

    own = "benchmark.convfinqa.history=own"
    _, known = run(2, own)
    for limit in (3, 5):
        said, larger = run(limit, own)
        assert taken(said) == len(known)
        assert all(record in larger for record in known)  # latency and all: none was made a second time
        assert len({record["key"] for record in larger}) == len(larger) > len(known)
        known = larger
    said, smaller = run(1, own)
    assert taken(said) == len(smaller)
    assert "prompt reuse" not in said  # no engine was needed
    assert all(record in known for record in smaller)
    said, others = run(1, own, "backend.slots=1")
    assert taken(said) == 0  # several slots promise less than one
    assert len(others) == len(smaller)


def test_the_same_questions_again(undisturbed: Path, tmp_path: Path) -> None:
    """A forger who makes the whole chain anew, run.json and record included, is found out by asking again."""
    run_dir = tmp_path / "run"
    shutil.copytree(undisturbed, run_dir)
    done = evalkit("verify", str(run_dir), "ask=3", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "texts: ok: 3 of 3 the same" in done.stdout
    assert "weights: ok: sha256 " in done.stdout
    answers = read_generations(run_dir / "generations.jsonl")
    forged = [replace(answer, text="\\boxed{bearish}") for answer in answers]
    rewrite(run_dir / "generations.jsonl", forged)
    run = json.loads((run_dir / "run.json").read_text())
    run["answers"] = read_chain(run_dir / "generations.jsonl").seal.as_json()
    (run_dir / "run.json").write_text(json.dumps(run))
    assert evalkit("score", str(run_dir), cwd=tmp_path).returncode == 0
    done = evalkit("verify", str(run_dir), "ask=3", cwd=tmp_path)
    assert done.returncode == 1
    assert "chain: ok" in done.stdout
    assert "texts: NOT AS IT WAS: 0 of 3 the same" in done.stdout
