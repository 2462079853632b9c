"""lm-evaluation-harness's files: read back here, and by its own tools where it is installed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from evalkit.export import exporter
from evalkit.importers import Output, Settings
from evalkit.importers.lm_eval import outputs
from evalkit.run.info import Run
from evalkit.stats.intervals import standard_error
from tests.leaderboard.made import answers, with_head

SCORED = {"finqa", "convfinqa", "ant_finance", "tfns"}


def _files(run: Run, out: Path) -> tuple[Path, dict[str, Path]]:
    """The results file, and the samples files by task."""
    results, *samples = exporter("lm_eval").export([run], out)
    return results, {
        json.loads(results.read_text())["configs"][name]["task"]: path
        for name in run.info.benchmarks
        for path in samples
        if f"samples_{name}_" in path.name
    }


def _scores(run: Run, benchmark: str) -> list[tuple[float, str]]:
    found = [(sample.scores["financial"].value, item.group) for item, sample in answers(run, benchmark)]
    return [(value, group) for value, group in found if value is not None]


def test_the_importer_reads_the_same_outputs_back(run: Run, tmp_path: Path) -> None:
    _, samples = _files(run, tmp_path)
    for benchmark in run.info.benchmarks:
        read = list(outputs(samples[benchmark], Settings(benchmark)))
        assert [(o.id, o.turn, o.sample, o.text) for o in read if isinstance(o, Output)] == [
            (item.id, item.turn, sample.number, sample.text) for item, sample in answers(run, benchmark)
        ]


def test_samples_of_one_example_are_repeats_and_failed_ones_are_left_out(
    hostile: Run, tmp_path: Path
) -> None:
    _, samples = _files(hostile, tmp_path)
    first = json.loads(samples["finqa"].read_text().split("\n")[0])
    assert first["resps"] == [[None, "neutral"]]
    read = list(outputs(samples["finqa"], Settings("finqa")))
    assert sum(isinstance(each, Output) for each in read) == len(read) - 1 == 13


def test_accuracies_and_errors_are_those_of_the_record(run: Run, tmp_path: Path) -> None:
    path, _ = _files(run, tmp_path)
    results = json.loads(path.read_text())
    assert set(results["results"]) == SCORED | {"finance_instruct"}
    for benchmark in SCORED:
        scores = _scores(run, benchmark)
        task = results["results"][benchmark]
        assert math.isclose(task["acc,financial"], sum(s for s, _ in scores) / len(scores), abs_tol=1e-6)
        error = standard_error([s for s, _ in scores], [group for _, group in scores])
        assert error is not None
        assert math.isclose(task["acc_stderr,financial"], error, abs_tol=1e-6)
        assert results["n-samples"][benchmark]["effective"] == len(scores) > 6
    assert not any(key.startswith("acc") for key in results["results"]["finance_instruct"])


def test_rules_that_judge_only_some_examples_are_not_among_the_metrics(run: Run, tmp_path: Path) -> None:
    results = json.loads(_files(run, tmp_path)[0].read_text())
    own = {(each["task"], each["rule"]): each["scored"] for each in results["evalkit"]["accuracies"]}
    partial = {(task, rule) for (task, rule), n in own.items() if n < 0.9 * own[task, "financial"]}
    listed = {
        (task, key.removeprefix("acc,"))
        for task, metrics in results["results"].items()
        for key in metrics
        if key.startswith("acc,")
    }
    assert partial
    assert not partial & listed
    assert ("finqa", "finqa_official") in listed


def test_samples_are_under_the_rule_that_the_run_gives_the_benchmark(run: Run, tmp_path: Path) -> None:
    benchmarks = run.info.raw["benchmarks"]
    other = {**benchmarks, "finqa": {**benchmarks["finqa"], "rule": "finqa_official"}}
    path, samples = _files(with_head(run, benchmarks=other), tmp_path)
    lines = [json.loads(line) for line in samples["finqa"].read_text().splitlines()]
    scores = [sample.scores["finqa_official"].value for _, sample in answers(run, "finqa")]
    assert {line["filter"] for line in lines} == {"finqa_official"}
    assert [line["acc"] for line in lines] == scores
    effective = json.loads(path.read_text())["n-samples"]["finqa"]["effective"]
    assert effective == sum(value is not None for value in scores)


def test_names_stay_in_the_folder(hostile: Run, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    for path in exporter("lm_eval").export([hostile], out):
        assert path.resolve().parent.parent == out.resolve()
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


def test_its_own_table_maker_and_names(run: Run, hostile: Run, tmp_path: Path) -> None:
    utils = pytest.importorskip("lm_eval.utils")
    for each in (run, hostile):
        results, samples = _files(each, tmp_path)
        content = json.loads(results.read_text())
        table = utils.make_table(content)
        assert table.count("|financial ") == len(SCORED)
        assert f"{content['results']['tfns']['acc,financial']:.4f}" in table
        assert {utils.get_file_task_name(path.name) for path in samples.values()} == set(samples)
        paths = [path.as_posix() for path in [results, *samples.values()]]
        assert utils.get_results_filenames(paths) == paths[:1]
        assert utils.get_sample_results_filenames(paths) == paths[1:]
        assert {utils.get_file_datetime(path) for path in paths[1:]} == {
            results.stem.removeprefix("results_")
        }


def test_every_eval_evers_converter_of_lm_eval_logs(run: Run, tmp_path: Path) -> None:
    adapter = pytest.importorskip("every_eval_ever.converters.lm_eval.adapter").LMEvalAdapter()
    exporter("lm_eval").export([run], tmp_path)
    logs = adapter.transform_from_directory(tmp_path, {"source_organization_name": "test"})
    results = {
        (result.evaluation_name, result.metric_config.metric_name): result.score_details.score
        for log in logs
        for result in log.evaluation_results
    }
    scores = _scores(run, "tfns")
    assert math.isclose(
        results["tfns/financial", "acc"], sum(score for score, _ in scores) / len(scores), abs_tol=1e-6
    )
    assert {name.split("/")[0] for name, _ in results} == SCORED
