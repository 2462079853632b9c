"""`evalkit compare` on real run folders: the table, the files, exit codes, wrong requests."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalkit.commands.compare import main
from evalkit.schema import UserError
from tests.compare.helpers import Outputs, edit_json, edit_records, examples, run

BOTH = "benchmark=[finqa,tfns]"
FINQA = [e.id for e in examples("benchmark=finqa")]
TFNS = examples("benchmark=tfns")


def wrong_label(example: Any, other: int = 0) -> str:
    others = [name for name in example.gold.labels if name != example.gold.label]
    return f"\\boxed{{{others[other]}}}"


REFERENCE: Outputs = {
    (FINQA[0], None): "\\boxed{-987654}",
    (FINQA[1], None): "\\boxed{-987654}",
    (FINQA[2], None): "\\boxed{-987,654}",
    (TFNS[0].id, None): wrong_label(TFNS[0]),
}
CANDIDATE: Outputs = {
    (FINQA[1], None): "\\boxed{-987655}",
    (FINQA[2], None): "\\boxed{-987654}",
    (FINQA[3], None): "nothing to say",
    (FINQA[4], None): "\\boxed{-1}",
    (TFNS[0].id, None): wrong_label(TFNS[0], 1),
    (TFNS[1].id, None): wrong_label(TFNS[1]),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("runs")
    return (
        str(run(folder / "full", REFERENCE, BOTH)),
        str(run(folder / "small", CANDIDATE, BOTH, finish_reason="length")),
    )


@pytest.fixture
def copies(runs: tuple[str, str], tmp_path: Path) -> tuple[str, str]:
    """The same two runs, to be changed."""
    return tuple(str(shutil.copytree(path, tmp_path / str(i))) for i, path in enumerate(runs))  # type: ignore[return-value]


def test_files(runs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "out"
    assert main([*runs, f"out={out}"]) == 0
    content = json.loads((out / "comparison.json").read_text(), parse_constant=pytest.fail)
    assert (content["reference"]["name"], content["candidate"]["name"]) == ("full", "small")
    assert (content["rule"], content["margin"]) == ("financial", 0.02)
    finqa, tfns, average = content["comparisons"]
    assert finqa["flips"] == {"right_to_wrong": 2, "wrong_to_right": 1, "wrong_to_other_wrong": 1, "n": 16}
    assert tfns["flips"] == {"right_to_wrong": 1, "wrong_to_right": 0, "wrong_to_other_wrong": 1, "n": 18}
    assert finqa["difference"]["value"] == pytest.approx(-1 / 16)
    assert (finqa["difference"]["n"], finqa["difference"]["clusters"]) == (16, 5)
    assert finqa["p_mcnemar"] == pytest.approx(1.0)
    assert finqa["truncated"]["value"] == 1.0
    assert finqa["tokens"] is None
    assert average["benchmark"] == "average"
    assert average["difference"]["value"] == pytest.approx((-1 / 16 - 1 / 18) / 2)
    rows = list(csv.DictReader((out / "flips.csv").open()))
    assert [row["kind"] for row in rows].count("right_to_wrong") == 3
    assert {row["id"] for row in rows} == {*FINQA[:2], *FINQA[3:5], TFNS[0].id, TFNS[1].id}
    [silent] = [row for row in rows if row["id"] == FINQA[3]]
    assert (silent["candidate_extracted"], silent["candidate_failure"]) == ("", "truncated")
    text = (out / "comparison.md").read_text()
    assert re.search(r"\n\| `FinQA` \| no answer yet .* \| 16 \|", text)
    assert text.splitlines()[2].startswith("small is unfit, and no choice: 100 % of its answers are cut off;")
    assert content["candidate"]["unfit"] == "100 % of its answers are cut off"
    assert content["reference"]["unfit"] is None
    assert "## Flips: 6 of 6" in text
    again = tmp_path / "again"
    main([*runs, f"out={again}"])
    for name in ("comparison.json", "comparison.md", "flips.csv"):
        assert (again / name).read_bytes() == (out / name).read_bytes()


def test_the_terminal_says_which_is_which(runs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main([*runs, "margin=5", "flips=2", "details=true"]) == 0
    shown = capsys.readouterr().out
    assert f"reference: full ({runs[0]})" in shown
    assert f"candidate: small ({runs[1]})" in shown
    assert "margin 5 points" in shown
    assert re.search(r"FinQA +no answer yet .* 16 .* -6\.2 \[", shown)
    assert re.search(r"FinQA +2 +1 +1 +1\.000", shown)
    assert "2 of 6 flips:" in shown
    assert "Cost" not in shown, "outputs made elsewhere have no cost"


def test_the_answer_comes_first_and_details_on_request(
    runs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main([runs[1], runs[0]]) == 0
    shown = capsys.readouterr().out
    first = shown.splitlines()[0]
    assert first.startswith(
        "No answer yet: 34 questions of FinQA and TFNS cannot tell full from small (+5.9 ["
    )
    assert re.search(
        r"; (`data=hub limit=\d+` would|never: the benchmarks have too few \(3,535 questions\))", first
    )
    assert "unfit, 100 % of its answers are cut off" in shown
    assert re.search(r"FinQA +no answer yet +16 +75\.0 +81\.2 +\+6\.2 \[", shown)
    assert "of 34 answers 1 lost and 3 won" in shown
    assert "details=true" in shown
    for detail in ("McNemar", "of 6 flips", "Holm", "right→wrong"):
        assert detail not in shown


def test_swapped_runs_swap_the_sign(runs: tuple[str, str], tmp_path: Path) -> None:
    for name, (a, b) in {"there": runs, "back": runs[::-1]}.items():
        main([a, b, f"out={tmp_path / name}"])
    there, back = (
        json.loads((tmp_path / name / "comparison.json").read_text())["comparisons"]
        for name in ("there", "back")
    )
    for one, other in zip(there, back, strict=True):
        assert one["difference"]["value"] == pytest.approx(-other["difference"]["value"])
        assert one["difference"]["low"] == pytest.approx(-other["difference"]["high"])
        assert one["p_difference"] == pytest.approx(other["p_difference"])
        assert one["flips"]["right_to_wrong"] == other["flips"]["wrong_to_right"]


def test_what_each_cost_and_what_else_differs(
    copies: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for path, slots, peak in ((copies[0], 4, 8 * 2**30), (copies[1], 1, 2**30)):

        def cost(content: dict[str, Any], slots: int = slots, peak: int = peak) -> None:
            content["engine"] |= {"slots": slots, "weights_sha256": "ab", "load_seconds": 1.5}
            content["measured"] |= {"peak_memory_bytes": peak, "decode_tokens_per_second": 12.5}

        edit_json(Path(path) / "run.json", cost)
    capsys.readouterr()
    assert main([*copies]) == 0
    shown = capsys.readouterr().out
    assert "; memory 1.00 GiB against 8.00 GiB, 12.5 against 12.5 tokens/s." in shown.splitlines()[0]
    assert "also different, which can move a score: slots 4 and 1" in shown
    assert "peak memory" not in shown
    assert main([*copies, "details=true"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"peak memory +8\.00 GiB +1\.00 GiB", shown)
    assert re.search(r"decoding, tokens/s +12\.50 +12\.50", shown)
    assert re.search(r"loading, s +1\.50 +1\.50", shown)
    assert "engine.slots: 4 in the reference's run, 1 in the candidate's" in shown
    assert "Both runs used the same weights" in shown


def test_examples_without_an_answer_are_said_and_exit_1(
    copies: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(record: dict[str, Any]) -> None:
        if record["id"] in FINQA[:3]:
            record.update(text=None, error="engine_error: gone")

    edit_records(Path(copies[1]), fail)
    capsys.readouterr()
    assert main([*copies]) == 1
    assert "FinQA: 3 without an answer on a side (engine failures): not compared" in capsys.readouterr().out


def test_a_hostile_title_and_id_stay_text(
    copies: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Path(copies[1]) / "config.yaml"
    content = yaml.safe_load(config.read_text())
    content["model"]["title"] = "<img src=x onerror=alert(1)> | \x1b[31m [red]x[/red] " + "y" * 400
    config.write_text(yaml.safe_dump(content))
    capsys.readouterr()
    assert main([*copies, f"out={tmp_path / 'out'}"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "[red]x[/red]" in shown
    text = (tmp_path / "out" / "comparison.md").read_text()
    assert "\x1b" not in text
    first = text.splitlines()[0]
    assert first.startswith("# `<img src=x onerror=alert(1)> ¦ ")
    assert len(first) < 200


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give two run folders"),
        (["{a}"], "give two run folders"),
        (["{a}", "{a}"], "is given twice"),
        (["{a}", "{a}/../run"], "is given twice"),
        (["{a}", "/nowhere"], "/nowhere is not a run folder"),
        (["{a}", "{b}", "rule=nope"], "No rule 'nope'"),
        (["{a}", "{b}", "details=yes"], "details=yes: write true or false"),
        (["{a}", "{b}", "margin=0"], "margin=0: give a number above 0 and below 100"),
        (["{a}", "{b}", "margin=100"], "margin=100"),
        (["{a}", "{b}", "margin=nan"], "margin=nan"),
        (["{a}", "{b}", "margin=two"], "margin=two"),
        (["{a}", "{b}", "flips=-1"], "flips=-1: give a whole number"),
        (["{a}", "{b}", "flip=3"], "no such setting: 'flip' .* Did you mean flips"),
        (["{a}", "{b}", "out={a}/run.json"], "cannot write there"),
    ],
)
def test_wrong_requests(arguments: list[str], says: str, runs: tuple[str, str]) -> None:
    given = [argument.format(a=runs[0], b=runs[1]) for argument in arguments]
    with pytest.raises(UserError, match=says) as error:
        main(given)
    assert "\n" not in str(error.value)
