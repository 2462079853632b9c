"""What a run says before its first answer, and how long it says the rest will take."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from evalkit.__main__ import main
from evalkit.config.overrides import names_benchmarks
from evalkit.config.settings import run_settings
from evalkit.run.forecast import Forecast, forecast
from evalkit.run.provenance import RunProgress
from evalkit.run.runner import load_data, wanted, without_unscored
from evalkit.schema import Answer
from evalkit.sweep.plan import plan
from tests.settings import changed

RUN = ["+model=fin-r1-q4_k", "data=sample", "benchmark=[finqa,tfns]"]
NOTHING = Forecast({}, {}, {}, "", None, None, None, 16 << 30)


def earlier(results: Path, model: str, limit: int, lengths: Mapping[str, int], seconds: float) -> None:
    """A run of `model` whose answers have so many tokens, two to each benchmark."""
    folder = results / "runs" / model / f"greedy-{limit}"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("")
    run = {
        "model": {"name": model, "family": "fin-r1"},
        "sampling": {"max_tokens": limit},
        "measured": {"wall_seconds": seconds, "completion_tokens": 2 * sum(lengths.values())},
    }
    (folder / "run.json").write_text(json.dumps(run))
    records = [{"benchmark": name, "completion_tokens": count} for name, count in lengths.items()] * 2
    (folder / "generations.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))


def of(results: Path, *more: str) -> Forecast:
    settings = changed(run_settings([*RUN, *more]), results_dir=str(results))
    return forecast(settings, wanted(settings, load_data(settings)))


def test_without_an_earlier_run_the_lengths_are_assumed_and_said(tmp_path: Path) -> None:
    found = of(tmp_path)
    assert found.questions == {"finqa": 16, "tfns": 18}
    assert found.lines()[0] == "FinQA 16 · TFNS 18: about 17,000 answer tokens (500 an answer, assumed)"
    assert "5.08 GB to download · needs about " in found.lines()[1]
    assert found.lines()[1].endswith("GiB · time: after the first answers")
    assert of(tmp_path, "protocol.max_tokens=64").answer_tokens == 34 * 64


def test_many_questions_of_one_page_are_said_to_give_no_interval(tmp_path: Path) -> None:
    settings = changed(run_settings(RUN), results_dir=str(tmp_path))
    requests = wanted(settings, load_data(settings))
    tweets = [each for each in requests if each.example.benchmark == "tfns"]
    together = [replace(each, example=replace(each.example, group="one")) for each in tweets]
    assert forecast(settings, together).of_one_group == (), "18 are a try"
    found = forecast(settings, [*requests, *together, *tweets])
    assert found.of_one_group == (), "they are of several"
    found = forecast(settings, together * 2)
    assert found.lines()[-1] == (
        "TFNS: all of one page, dialogue or file, which gives no interval: sampling=item asks several"
    )


def test_earlier_runs_tell_lengths_and_speed(tmp_path: Path) -> None:
    earlier(tmp_path, "fin-r1-q4_k", 4096, {"finqa": 600, "tfns": 100}, 140.0)
    found = of(tmp_path)
    assert found.tokens == {"finqa": 600, "tfns": 100}
    assert found.seconds == pytest.approx((16 * 600 + 18 * 100) * 0.1)
    assert "(as long as in earlier runs)" in found.lines()[0]
    assert "about 19 min here" in found.lines()[1]


def test_another_file_of_the_family_tells_lengths_and_another_limit_speed(tmp_path: Path) -> None:
    earlier(tmp_path, "fin-r1-q8_0", 4096, {"finqa": 700}, 1.0)
    earlier(tmp_path, "fin-r1-q4_k", 64, {"finqa": 64, "tfns": 64}, 12.8)
    found = of(tmp_path)
    assert found.tokens == {"finqa": 700, "tfns": 500}
    assert "500 an answer, assumed for tfns" in found.basis
    assert found.seconds == pytest.approx((16 * 700 + 18 * 500) * 0.05)


def test_a_damaged_earlier_run_is_passed_over(tmp_path: Path) -> None:
    earlier(tmp_path, "fin-r1-q4_k", 4096, {"finqa": 600}, 1.0)
    (tmp_path / "runs" / "fin-r1-q4_k" / "greedy-4096" / "run.json").write_text("[")
    assert of(tmp_path).tokens["finqa"] == 500


def test_a_limit_that_takes_an_hour() -> None:
    long = replace(
        NOTHING, questions={"a": 1000, "b": 1000}, tokens={"a": 90.0, "b": 10.0}, titles={}, seconds=36_000.0
    )
    assert long.hourly_limit == 100  # a tenth of the time, a tenth of the questions
    assert replace(long, seconds=3_600.0).hourly_limit is None
    uneven = replace(long, questions={"a": 1000, "b": 9000}, seconds=36_000.0)
    # 180,000 tokens in ten hours: 0.2 s each, and one more of both is 100 tokens.
    assert uneven.hourly_limit == 180


def test_too_little_memory_is_said() -> None:
    tight = replace(NOTHING, memory=20 << 30)
    assert "needs about 20.0 of 16.0 GiB: TOO LITTLE" in tight.lines()[1]


def test_plan_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", *RUN, "plan=true"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "Fin-R1 Q4_K, protocol greedy, at most 4,096 tokens"
    assert out[2].startswith("FinQA 16 · TFNS 18: about")
    assert main(["sweep", "+model=fin-r1-q4_k,fin-r1-q8_0", *RUN[1:], "plan=true"]) == 0
    assert "in all: 13.18 GB to download, time of 2 not known yet" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_free_text_is_asked_only_where_it_is_named_or_judged() -> None:
    default, named = ["+model=fin-r1-q4_k", "data=sample"], "benchmark=[finqa,finance_instruct]"
    settings, left_out = without_unscored(run_settings(default))
    assert list(settings.benchmark) == ["finqa", "convfinqa", "ant_finance", "tfns"]
    assert left_out == ["Finance-Instruct-500k"]
    only = run_settings([*default, "benchmark=finance_instruct"])
    assert without_unscored(only) == (only, [])
    assert names_benchmarks([*default, named])
    assert not names_benchmarks(default)
    swept = ["+model=fin-r1-q4_k,fin-r1-q8_0", "data=sample"]
    assert "finance_instruct" not in plan(swept).members[0].settings.benchmark
    assert "finance_instruct" in plan([*swept, named]).members[0].settings.benchmark
    judge = ["judge=local", "judge.model=smollm2-135m"]
    assert "finance_instruct" in plan([*swept, *judge]).members[0].settings.benchmark


def answer(benchmark: str, tokens: int | None) -> Answer:
    facts = {"prompt_tokens": 10, "cached_tokens": 0, "completion_tokens": tokens}
    names = dict.fromkeys(Answer.__slots__)
    return Answer(**{**names, **facts, "benchmark": benchmark})  # type: ignore[arg-type]


def test_the_time_left_is_that_of_the_tokens_left() -> None:
    progress = RunProgress(
        12, {"finqa": 4, "tfns": 8}, {"finqa": 600, "tfns": 50}, Console(file=io.StringIO())
    )
    for _ in range(4):
        progress.add(answer("finqa", 500))
    # 2,000 tokens in 100 s; eight answers of 50 tokens are left, and not eight thirds of what is done.
    assert progress.seconds_left(100.0) == pytest.approx(20.0)
    progress.add(answer("tfns", 250))
    assert progress.seconds_left(112.5) == pytest.approx(7 * 250 * 0.05)


def test_an_engine_that_counts_no_tokens_has_its_answers_counted() -> None:
    progress = RunProgress(4, {"finqa": 3}, {}, Console(file=io.StringIO()))
    progress.add(answer("finqa", None))
    assert progress.seconds_left(10.0) == pytest.approx(20.0)


def test_no_time_is_foretold_from_the_first_few_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.run.provenance._LINE_SECONDS", 0.0)
    said = io.StringIO()
    progress = RunProgress(20, {"finqa": 20}, {"finqa": 600}, Console(file=said, width=200))
    for _ in range(8):
        progress.add(answer("finqa", 3))
    lines = said.getvalue().splitlines()
    assert all(line.endswith("not known yet") for line in lines[:7])
    assert lines[7].endswith(" left")
