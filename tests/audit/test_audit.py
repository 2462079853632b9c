"""The audit of the published table, and its checks on tables made to fail them."""

from __future__ import annotations

import io
import itertools
import json
import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from evalkit.audit import Audit, audit_table, to_markdown
from evalkit.commands.audit import main
from evalkit.config.settings import run_settings
from evalkit.files import PUBLISHED
from evalkit.published import Column, PublishedTable, known_overlap, read_table, table_names
from evalkit.report.run import write_reports
from evalkit.run.runner import execute, load_data
from evalkit.schema import LabelGold, UserError

LLAMA, SFT = "DeepSeek-R1-Distill-Llama-70B", "Fin-R1-SFT"


@pytest.fixture(scope="module")
def table() -> PublishedTable:
    return read_table()


@pytest.fixture(scope="module")
def found(table: PublishedTable) -> Audit:
    return audit_table(table)


def texts(found: Audit, kind: str) -> dict[str, str]:
    return {finding.row: finding.text for finding in found.findings if finding.kind == kind}


def test_the_two_averages_that_do_not_add_up(found: Audit) -> None:
    averages = texts(found, "average")
    assert set(averages) == {LLAMA, SFT}
    assert "average 68.8; 69.2 is printed (+0.4)" in averages[LLAMA]
    assert "average 71.8; 71.9 is printed (+0.1)" in averages[SFT]
    assert "With 61.4 on Finance-Instruct-500k (the paper's table) they average 71.88" in averages[SFT]


def test_scores_below_what_needs_no_model_and_below_the_own_base(found: Audit) -> None:
    baseline = texts(found, "baseline")
    assert set(baseline) == {LLAMA, "DeepSeek-R1-Distill-Qwen-14B", "DeepSeek-R1-Distill-Qwen-7B"}
    assert "62.0 on TFNS: always answering neutral scores 65.6" in baseline[LLAMA]
    assert baseline[LLAMA].endswith("its interval ends at 65.0")
    base = texts(found, "below_base")
    assert set(base) == {"Fin-R1", SFT}
    assert base["Fin-R1"].startswith("81.0 on Ant_Finance, its own base Qwen-2.5-7B-Instruct 85.0 (-4.0)")


def test_whole_numbers_are_noticed(table: PublishedTable, found: Audit) -> None:
    assert (
        "40 of the 40 scores with a stated n are whole numbers" in texts(found, "rounding")["(whole table)"]
    )
    # A hundred items give nothing but whole percentages: no wonder there.
    assert not texts(audit_table(with_n(table, 100)), "rounding")


def with_n(table: PublishedTable, n: int | None) -> PublishedTable:
    columns = {name: replace(column, n=n) for name, column in table.benchmarks.items()}
    return replace(table, benchmarks=columns)


def with_score(table: PublishedTable, benchmark: str, score: str) -> PublishedTable:
    """The same score for every row."""
    rows = (replace(row, scores={**row.scores, benchmark: Decimal(score)}) for row in table.rows)
    return replace(table, rows=tuple(rows))


def test_impossible_digits(table: PublishedTable, found: Audit) -> None:
    assert not texts(found, "impossible_digits")
    assert any("Digits cannot be impossible for FinQA" in line for line in found.assumptions)
    columns: dict[str, Column] = {**table.benchmarks, "tfns": replace(table.benchmarks["tfns"], n=71)}
    small = replace(table, benchmarks=columns)
    # 35 of 71 are 49.3 %, 36 are 50.7 %.
    assert len(texts(audit_table(with_score(small, "tfns", "50.0")), "impossible_digits")) == len(table.rows)
    assert not texts(audit_table(with_score(small, "tfns", "50.7")), "impossible_digits")


def test_intervals_are_wilsons(table: PublishedTable, found: Audit) -> None:
    from statsmodels.stats.proportion import proportion_confint

    assert len(found.intervals) == 50
    for each in found.intervals:
        if each.benchmark == "finance_instruct":
            assert (each.n, each.low, each.high) == (None, None, None)
        else:
            low, high = proportion_confint(int(each.score * 10), 1000, method="wilson")
            assert [each.low, each.high] == pytest.approx([100 * low, 100 * high])


def test_pairs_that_are_not_told_apart(table: PublishedTable, found: Audit) -> None:
    by_names = {(pair.first, pair.second): pair.z for pair in found.unseparated}
    assert by_names["Fin-R1", "Qwen-2.5-32B-Instruct"] == pytest.approx(1.6, abs=0.05)
    assert ("DeepSeek-R1", "Fin-R1") not in by_names
    expected = {}
    for one, other in itertools.combinations(table.rows, 2):
        shares = [[float(score) / 100 for score in row.scores.values()] for row in (one, other)]
        error = math.sqrt(sum(p * (1 - p) / 1000 for scores in shares for p in scores)) / 5
        z = abs(sum(shares[0]) - sum(shares[1])) / 5 / error
        if z < 1.96:
            expected[frozenset((one.title, other.title))] = z
    assert {frozenset(names): z for names, z in by_names.items()} == pytest.approx(expected)


def test_without_any_n_nothing_is_claimed(table: PublishedTable) -> None:
    found = audit_table(with_n(table, None))
    assert found.unseparated == ()
    assert all(each.low is None for each in found.intervals)
    assert {finding.kind for finding in found.findings} == {"average", "baseline", "below_base", "version"}
    assert "Averages" in to_markdown(found)


def test_what_is_known_of_training_data(table: PublishedTable, found: Audit) -> None:
    known = known_overlap()
    assert list(known) == list(table.benchmarks)
    assert known == found.overlap
    assert "100 %" in known["tfns"]
    assert "1,548 records remained" in known["ant_finance"]
    assert known["finance_instruct"].startswith("What share")
    assert known_overlap(replace(table, training=None)) == {}
    training = table.training
    assert training is not None
    assert set(training.models) <= {row.model for row in table.rows}


def test_the_markdown_has_it_all(found: Audit) -> None:
    text = to_markdown(found)
    for finding in found.findings:
        assert f"| {finding.row} | {finding.kind.replace('_', ' ')} | {finding.text} |" in text
    assert "| Fin-R1 | 76.0 [73.3, 78.5] |" in text
    assert "| Fin-R1 | Qwen-2.5-32B-Instruct | 1.38 | 1.61 |" in text
    assert all(sentence in text for sentence in found.overlap.values())


def test_the_command_prints_it(
    capsys: pytest.CaptureFixture[str], found: Audit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([]) == 0
    text = capsys.readouterr().out
    assert text.startswith(to_markdown(found))
    assert "No measured entry is a model of the published table." in text


def test_the_command_compares_what_was_measured(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Two of three answers of a replayed Fin-R1 file are right."""
    results, outputs = tmp_path / "results", tmp_path / "outputs.jsonl"
    model = [
        "+model=replay",
        f"model.path={outputs}",
        "model.name=fin-r1-q4_0",
        "model.parameters=7615616512",
    ]
    settings = ["data=sample", "benchmark=tfns", "limit=3", f"results_dir={results}"]
    config = run_settings([*model, *settings])
    examples = load_data(config)["tfns"].examples
    with outputs.open("w") as file:
        for number, example in enumerate(examples):
            assert isinstance(example.gold, LabelGold)
            answer = example.gold.label if number else "I cannot tell"
            file.write(json.dumps({"id": example.id, "text": rf"\boxed{{{answer}}}"}) + "\n")
    write_reports(execute(config, Console(file=io.StringIO())), "financial")
    assert main([f"results_dir={results}"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "`file: fin-r1-q4_0 here" in line)
    assert "| TFNS | 66.7 | 71.0 | -4.3 [-" in line
    assert "`items: 3 of data=sample here; 1,000 there" in line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["published=fin-r1-papr"], "Did you mean fin-r1-paper?"),
        (["published=../../etc/passwd"], "no published table"),
        (["table=x"], "no such setting: 'table'"),
        (["results_dir=no/such"], "no such folder"),
    ],
)
def test_a_wrong_request_is_refused_in_one_line(arguments: list[str], says: str) -> None:
    with pytest.raises(UserError, match=r"^[^\n]+$") as refusal:
        main(arguments)
    assert says in str(refusal.value)


@pytest.mark.parametrize("name", table_names())
def test_every_key_of_a_file_is_read(name: str) -> None:
    """A misspelt key would be ignored without a word."""
    from pydantic import TypeAdapter

    raw = yaml.safe_load((PUBLISHED / f"{name}.yaml").read_text(encoding="utf-8"))
    read = TypeAdapter(PublishedTable).dump_python(read_table(name))
    assert list(unread(raw, read)) == []


def unread(raw: Any, read: Any, path: str = "") -> Any:
    if isinstance(raw, dict):
        for key, value in raw.items():
            if key not in read:
                yield f"{path}.{key}"
            else:
                yield from unread(value, read[key], f"{path}.{key}")
    elif isinstance(raw, list):
        for number, value in enumerate(raw):
            yield from unread(value, read[number], f"{path}.{number}")
