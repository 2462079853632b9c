"""`json=true`: one document on standard output, with the figures that the text shows, unrounded."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from evalkit.__main__ import COMMANDS, main
from evalkit.metrics import average, results
from evalkit.run.runner import read_run
from evalkit.text import percent, size_text, tenths, write_json
from tests.contract.commands import RESULTS, ROOT, inside, outputs

SWEEP = f"sweep={RESULTS / 'records' / 'sweeps' / 'qwen2.5-coder-1.5b-ladder.json'}"
ASKED = ("data=sample", "benchmark=finqa,tfns")


@dataclass(frozen=True)
class Odd:
    """What JSON has no word for."""

    path: Path
    limits: tuple[float, Decimal]


def test_what_json_has_no_word_for(capsys: pytest.CaptureFixture[str]) -> None:
    write_json({1: Odd(Path("a/b"), (math.inf, Decimal("72.2"))), "nan": math.nan, "text": "\ud800 ü"})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {
        "1": {"path": "a/b", "limits": [None, 72.2]},
        "nan": None,
        "text": "\ud800 ü",
    }


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the outputs of two models, which is the current one."""
    folder = tmp_path_factory.mktemp("json")
    with inside(folder):
        for name, shift in (("first", 0), ("second", 1)):
            outputs(f"{name}.jsonl", shift)
            assert main(["run", f"{name}.jsonl", *ASKED, f"run_dir={name}"]) == 0
        yield folder


@pytest.fixture
def ask(here: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """A command's JSON and its text."""

    def asked(*words: str, code: int = 0, again: bool = True) -> tuple[Any, str]:
        capsys.readouterr()
        assert main([*words, "json=true"]) == code
        found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
        if again:
            assert main(list(words)) == code
        return found, capsys.readouterr().out

    return asked


def test_a_run_and_scoring_it_again(ask: Any) -> None:
    for words in (("run", "first.jsonl", *ASKED, "run_dir=first"), ("score", "first")):
        found, text = ask(*words)
        own = results(read_run(Path("first")))
        assert [each["benchmark"] for each in found["benchmarks"]] == list(own)
        for each in found["benchmarks"]:
            estimate = own[each["benchmark"]].estimate
            assert estimate is not None
            assert (each["estimate"]["value"], each["estimate"]["n"]) == (estimate.value, estimate.n)
            assert re.search(
                rf"{each['title']} +{re.escape(percent(estimate))} +{each['estimate']['n']} ", text
            )
        whole = average(own.values())
        assert whole is not None
        assert found["average"]["high"] == whole.high
        assert percent(whole) in text
        assert (found["run"], found["exit_code"]) == ("first", 0)


def test_plans(ask: Any) -> None:
    found, text = ask("run", "first.jsonl", *ASKED, "run_dir=new", "plan=true")
    assert found["questions"] == {"finqa": 16, "tfns": 18}
    assert found["run"] == "new"
    assert "FinQA 16 · TFNS 18" in text
    found, _ = ask("sweep", "first.jsonl", "second.jsonl", *ASKED, "plan=true")
    assert [each["member"] for each in found["members"]] == ["first", "second"]


def test_one_run_at_a_time(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "-m", "first.jsonl", "second.jsonl", *ASKED, "json=true"]) == 2
    assert "json=true is for one run" in capsys.readouterr().err
    assert main(["run", "first.jsonl", *ASKED, "json=yes"]) == 2
    assert "json=yes: write true or false" in capsys.readouterr().err


def test_a_sweep(ask: Any) -> None:
    found, text = ask("sweep", "first.jsonl", "second.jsonl", *ASKED, "sweep.noise=none", "sweep.dir=swept")
    assert found["answer"] in " ".join(text.split())
    assert found["folder"] == "swept"
    for member in found["sweep"]["members"]:
        accuracy = member["accuracy"]["average"]
        assert f"{tenths(accuracy['value'])} [{tenths(accuracy['low'])}, {tenths(accuracy['high'])}]" in text


def test_compare(ask: Any) -> None:
    found, text = ask("compare", "first", "second")
    assert text.startswith(found["answer"])
    last = found["comparisons"][-1]
    assert last["benchmark"] == "average"
    assert f"  {tenths(last['difference']['value'], '+')} [" in text


def test_recommend(ask: Any) -> None:
    found, text = ask("recommend", "memory=2.4GiB", SWEEP)
    assert text.startswith(found["answer"])
    chosen = found["recommendation"]["chosen"]
    assert chosen["member"]["title"] in text
    assert f"needs {size_text(chosen['bytes'], up=True)} of 2.40 GiB" in text
    for unfit in found["recommendation"]["unfit"]:
        assert unfit["member"]["title"] in text.partition("unfit ")[2]


def test_runs_and_their_answers(ask: Any) -> None:
    assert main(["run", "first.jsonl", *ASKED]) == 0
    found, text = ask("runs")
    run = next(each for each in found if each["model"] == "first")
    assert f"{tenths(run['right'])} % right of {run['scored']}" in text
    assert run["path"] in text
    answers, lines = ask("show", "first", "wrong=true")
    assert len(answers) == sum(line.startswith("- ") for line in lines.splitlines())
    assert all(each["score"]["correct"] is False and each["messages"] is None for each in answers)
    [one], text = ask("show", "first", answers[0]["id"], "prompt=true")
    assert (one["id"], one["text"]) == (answers[0]["id"], answers[0]["text"])
    assert one["question"].split("\n")[0][:40] in text
    assert one["messages"]


def test_verify(ask: Any) -> None:
    found, text = ask("verify", "first")
    assert found["as_it_was"] is True
    assert [check["what"] for check in found["checks"]] == [
        line.partition(":")[0] for line in text.splitlines()
    ]


def test_models_and_benchmarks(ask: Any) -> None:
    found, text = ask("models")
    q4 = next(each for each in found if each["name"] == "fin-r1-q4_k")
    line = next(line for line in text.splitlines() if line.lstrip().startswith("fin-r1-q4_k "))
    assert f"{q4['size_bytes'] / 1e9:.2f} GB" in line
    assert size_text(q4["memory_bytes"], up=True) in line
    found, text = ask("benchmarks")
    for each in found:
        count = "-" if each["items"] is None else f"{each['items']:,}"
        assert re.search(rf"(?m)^ {each['name']} .* {count} ", text)
    questions = ROOT / "benchmarks" / "questions" / "sample" / "questions.csv"
    found, text = ask("benchmarks", "show", str(questions))
    assert f"{found['rows']} rows, {found['with_answer']} with an answer" in text


def test_fit(ask: Any) -> None:
    found, text = ask("fit", "6GiB")
    assert (found["memory"], found["context"]) == (6 << 30, 8192)
    assert len(found["files"]) == len(text.splitlines()) - 1
    for each, line in zip(found["files"], text.splitlines()[1:], strict=True):
        assert line.startswith(each["name"])
        assert size_text(each["needs"], up=True) in line
        assert each["fits"] == ("  fits" in line)


def test_audit_overlap_and_statistics(ask: Any, here: Path) -> None:
    found, text = ask("audit", f"results_dir={RESULTS}")
    assert found["audit"]["title"] in text
    assert all(finding["text"] in text for finding in found["audit"]["findings"])
    assert isinstance(found["audit"]["intervals"][0]["score"], float)
    (here / "train.txt").write_text("nothing of it is here\n" * 3, encoding="utf-8")
    found, text = ask("overlap", "first", f"train={here / 'train.txt'}")
    for each in found["benchmarks"]:
        assert re.search(rf"\| {found['titles'][each['benchmark']]} \| {each['n']} \|", text)
    found, text = ask("statistics", "required", "difference=2", "discordant=10")
    assert text.startswith(f"{found['items']:,} independent items")


def test_files_that_were_made(ask: Any, here: Path) -> None:
    found, text = ask("export", "markdown", "first", "exported")
    assert found["files"] == text.splitlines()
    found, text = ask("keep", "first", "results_dir=own")
    assert text.split(": ")[1].strip() == found[0]["target"]
    assert found[0]["what"] == "kept"
    (here / "log.jsonl").write_text('{"id": "a", "text": "1"}\n{"id": "b", "text": ""}\n', encoding="utf-8")
    arguments = ["import", "jsonl", "log.jsonl", "out.jsonl", "benchmark=finqa"]
    found, _ = ask(*arguments, again=False)
    assert (found["out"], found["written"]) == ("out.jsonl", 2 - sum(found["left_out"].values()))
    found, _ = ask("leaderboard", "results_dir=own")
    assert found["page"] == "own/leaderboard.md"
    assert found["files"] == len(found["changes"])


def test_every_command_with_figures_has_it_and_says_so() -> None:
    without = {"completion", "view", "judge"}
    page = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        if name not in without:
            assert f"`{name}" in page, name


@pytest.mark.parametrize(
    "command",
    [
        *("run", "sweep", "compare", "recommend", "models", "benchmarks", "runs", "show", "fit", "verify"),
        *("score", "gguf", "fidelity", "loglikelihood", "perplexity", "audit", "overlap", "statistics"),
        *("export", "keep", "import", "quantize", "leaderboard"),
        *("judge run", "judge calibrate", "judge pairwise"),
    ],
)
def test_helps_say_it(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    assert "json=true" in capsys.readouterr().out
