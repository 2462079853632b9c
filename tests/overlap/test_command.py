"""`evalkit overlap` on a replayed run and on benchmarks, with training files made of their own examples."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from evalkit.commands.overlap import main
from evalkit.config.overrides import compose, to_dict
from evalkit.config.settings import read_questions, run_settings
from evalkit.files import BENCHMARKS
from evalkit.overlap.index import EvaluatedExample, from_examples, from_run
from evalkit.report.run import write_reports
from evalkit.run.record import load_run
from evalkit.run.runner import execute, load_data
from evalkit.schema import UserError
from tests.settings import changed

TFNS = BENCHMARKS / "tfns" / "sample" / "sent_valid.csv"
FINQA = BENCHMARKS / "finqa" / "sample" / "test.json"


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A replayed run over bundled samples that says neutral to everything."""
    folder = tmp_path_factory.mktemp("overlap")
    outputs = folder / "outputs.jsonl"
    overrides = ["data=sample", "benchmark=[tfns,finqa,convfinqa]"]
    settings = run_settings(["+model=replay", f"model.path={outputs}", *overrides])
    examples = [example for loaded in load_data(settings).values() for example in loaded.examples]
    with outputs.open("w") as file:
        for example in examples:
            answer = {"id": example.id, "turn": example.turn, "text": r"\boxed{neutral}"}
            file.write(json.dumps({**answer, "benchmark": example.benchmark}) + "\n")
    settings = changed(settings, run_dir=str(folder / "run"))
    write_reports(execute(settings, Console(file=io.StringIO())), "financial")
    return folder / "run"


def of_samples() -> list[EvaluatedExample]:
    data = load_data(read_questions(to_dict(compose(["data=sample"]))))
    return [each for loaded in data.values() for each in from_examples(loaded.examples)]


def test_the_template_is_no_part_of_what_is_asked() -> None:
    for each in of_samples():
        own = each.question + each.page
        assert each.question
        assert not any(word in own for word in ("boxed", "Reason step by step", "请一步一步", "Tweet:"))
        # Some questions of Ant_Finance are about a text, others not.
        assert each.benchmark == "ant_finance" or bool(each.page) == (
            each.benchmark in ("finqa", "convfinqa")
        )


def test_question_and_page_are_upstreams() -> None:
    records = {record["id"]: record for record in json.loads(FINQA.read_text(encoding="utf-8"))}
    asked = [each for each in of_samples() if each.benchmark == "finqa"]
    assert len(asked) == len(records)
    for each in asked:
        record = records[each.id]
        assert each.question == record["qa"]["question"].strip()
        assert each.page.startswith(" ".join(record["pre_text"]).strip()[:40])
        assert each.page.endswith(" ".join(record["post_text"]).strip()[-40:])


@pytest.mark.parametrize("old", [False, True])
def test_a_run_asks_what_the_examples_ask(run_dir: Path, old: bool) -> None:
    run = load_run(run_dir)
    if old:  # made before questions were kept
        run = replace(run, items=tuple(replace(item, question="", choices={}) for item in run.items))
    by_key = {(each.benchmark, each.id, each.turn): each for each in from_run(run)}
    assert len(by_key) == len(run.items)
    for each in of_samples():
        if each.benchmark in run.info.benchmarks:
            found = by_key[each.benchmark, each.id, each.turn]
            assert (found.question, found.page, found.group) == (each.question, each.page, each.group)
            assert found.item is not None
            assert found.item.value("financial") in (0.0, 1.0)


@pytest.mark.parametrize("benchmark", ["of_somebody_else", "../../etc", "a\0b"])
def test_a_record_may_name_any_benchmark(run_dir: Path, benchmark: str) -> None:
    run = load_run(run_dir)
    sample = replace(run.items[0].samples[0], messages=(("system", "be kind"), ("user", "how much?")))
    item = replace(run.items[0], benchmark=benchmark, question="", samples=(sample,))
    (asked,) = from_run(replace(run, items=(item,)))
    assert (asked.question, asked.page) == ("how much?", "")
    empty = item.with_samples((replace(sample, messages=()),))
    (nothing,) = from_run(replace(run, items=(empty,)))
    assert (nothing.question, nothing.page) == ("", "")


def table_row(text: str, title: str, table: int = 0) -> list[str]:
    rows = [line for line in text.splitlines() if line.startswith(f"| {title} |")]
    return [cell.strip() for cell in rows[table].strip("|").split("|")]


def test_a_run_against_part_of_its_benchmark(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = list(csv.DictReader(io.StringIO(TFNS.read_text(encoding="utf-8-sig"))))
    taken = [row for row in rows if row["label"] == "2"][:6]
    train, out = tmp_path / "train.jsonl", tmp_path / "found.csv"
    train.write_text("".join(json.dumps({"q": row["text"]}) + "\n" for row in taken), encoding="utf-8")
    assert main([str(run_dir), f"train={train}", f"out={out}"]) == 0
    text = capsys.readouterr().out
    assert table_row(text, "TFNS")[1:3] == ["18", "6 (33.3 %)"]
    assert table_row(text, "FinQA")[2:5] == ["0 (0.0 %)"] * 3
    # 12 of 18 are neutral; all that were taken are, and so 6 of the other 12.
    everything, without, found = table_row(text, "TFNS", table=1)[1:]
    assert everything.startswith("66.7 [")
    assert without.startswith("50.0 [")
    assert found.startswith("100.0 [")
    levels = [row["level"] for row in csv.DictReader(out.open(encoding="utf-8"))]
    assert levels.count("exact") == 6


def test_the_upstream_file_of_a_benchmark_holds_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark=finqa", "data=sample", f"train={FINQA}"]) == 0
    assert table_row(capsys.readouterr().out, "FinQA")[1:3] == ["16", "16 (100.0 %)"]
    assert main(["benchmark=[finqa,tfns]", "data=sample", "limit=5", f"train={TFNS}", "n=8"]) == 0
    text = capsys.readouterr().out
    assert table_row(text, "FinQA")[1:3] == ["5", "0 (0.0 %)"]
    assert table_row(text, "TFNS")[1:3] == ["5", "5 (100.0 %)"]
    assert "by 8-grams" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give the training file"),
        (["benchmark=tfns", "train="], "give train=VALUE once"),
        (["benchmark=tfns", "train=none.txt"], "no such file"),
        ([f"train={TFNS}"], "give either a run's folder or benchmark=NAME"),
        (["a", "b", f"train={TFNS}"], "give either"),
        (["a", "benchmark=tfns", f"train={TFNS}"], "give either"),
        (["a", f"train={TFNS}"], "a cannot be read: No such file"),
        ([str(TFNS), f"train={TFNS}"], "cannot be read"),
        (["benchmark=tfnss", f"train={TFNS}"], "tfns"),
        (["benchmark=tfns", "data=sample", "limt=3", f"train={TFNS}"], "no such setting: 'limt'"),
        (["benchmark=tfns", f"train={TFNS}", "n=4"], "from 5 to 50"),
        (["benchmark=tfns", f"train={TFNS}", "n=²"], "from 5 to 50"),
        (["benchmark=tfns", "data=sample", f"train={TFNS}", "out=no/such/x.csv"], "cannot be written"),
        (["benchmark=tfns", "data=sample", f"train={__file__}"], "ends in .jsonl"),
    ],
)
def test_a_wrong_request_is_refused_in_one_line(arguments: list[str], says: str) -> None:
    with pytest.raises(UserError, match=r"^[^\n]+$") as refusal:
        main(arguments)
    assert says in str(refusal.value)
