"""Pairing two real run folders: what is compared, what is counted, and every reason to refuse."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalkit.compare.pairs import pair
from evalkit.run.info import run_info
from evalkit.run.runner import read_run
from evalkit.schema import UserError
from tests.compare.helpers import edit_json, edit_records, examples, run

FINQA, TFNS, CONV = "benchmark=finqa", "benchmark=tfns", "benchmark=convfinqa"
KEYS = [(example.id, example.turn) for example in examples(FINQA)]


@pytest.fixture(scope="module")
def finqa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("finqa") / "base", {}, FINQA)


def refused(ours: Path, theirs: Path, same_examples: bool = False) -> str:
    with pytest.raises(UserError) as error:
        pair(read_run(ours), read_run(theirs), same_examples=same_examples)
    line = str(error.value)
    assert "\n" not in line
    assert line.startswith(f"{ours} cannot be compared with {theirs}: ")
    return line


def test_common_examples_are_paired_and_the_rest_is_counted(tmp_path: Path, finqa: Path) -> None:
    ours = run(tmp_path / "ours", {KEYS[0]: "\\boxed{1}", KEYS[1]: None, KEYS[2]: None}, FINQA)
    theirs = run(tmp_path / "theirs", {KEYS[3]: None}, FINQA)
    [paired] = pair(read_run(ours), read_run(theirs), same_examples=False)
    assert (paired.benchmark, paired.title) == ("finqa", "FinQA")
    assert (paired.only_candidate, paired.only_reference, paired.failed, paired.unscored) == (1, 2, 0, 0)
    assert len(paired.pairs) == len(KEYS) - 3
    assert all(a.key == b.key for a, b in paired.pairs)
    assert [a.value("financial") for a, _ in paired.pairs].count(0.0) == 1


def test_a_larger_limit_contains_the_smaller(tmp_path: Path, finqa: Path) -> None:
    ours = run(tmp_path / "ours", {}, FINQA, "limit=5")
    [paired] = pair(read_run(ours), read_run(finqa), same_examples=False)
    assert (len(paired.pairs), paired.only_candidate, paired.only_reference) == (5, 0, len(KEYS) - 5)
    assert "11 only in the second" in refused(ours, finqa, same_examples=True)


def test_engine_failures_are_counted_and_not_compared(tmp_path: Path, finqa: Path) -> None:
    ours = tmp_path / "ours"
    shutil.copytree(finqa, ours)

    def fail(record: dict[str, Any]) -> None:
        if record["id"] in (KEYS[0][0], KEYS[4][0]):
            record.update(text=None, finish_reason=None, error="context_overflow")

    edit_records(ours, fail)
    [paired] = pair(read_run(ours), read_run(finqa), same_examples=True)
    assert (len(paired.pairs), paired.failed, paired.unscored) == (len(KEYS) - 2, 2, 0)
    [paired] = pair(read_run(finqa), read_run(ours), same_examples=True)
    assert (len(paired.pairs), paired.failed) == (len(KEYS) - 2, 2)


def test_free_text_is_counted_and_alone_is_a_refusal(tmp_path: Path) -> None:
    both = "benchmark=[tfns,finance_instruct]"
    ours, theirs = run(tmp_path / "a", {}, both), run(tmp_path / "b", {}, both)
    tfns, text = pair(read_run(ours), read_run(theirs), same_examples=True)
    assert (len(tfns.pairs), text.benchmark, len(text.pairs), text.unscored) == (18, "finance_instruct", 0, 9)
    alone = "benchmark=finance_instruct"
    line = refused(run(tmp_path / "c", {}, alone), run(tmp_path / "d", {}, alone))
    assert "9 are free text" in line


def test_nothing_in_common(tmp_path: Path, finqa: Path) -> None:
    tfns = run(tmp_path / "tfns", {}, TFNS)
    assert "no common benchmark (the first has tfns, the second finqa)" in refused(tfns, finqa)
    one = run(tmp_path / "one", dict.fromkeys(KEYS[1:]), FINQA)
    other = run(tmp_path / "other", {KEYS[0]: None}, FINQA)
    assert "no common examples in finqa" in refused(one, other)


def test_a_benchmark_of_one_side_is_a_refusal_for_sweeps_only(tmp_path: Path, finqa: Path) -> None:
    both = run(tmp_path / "both", {}, "benchmark=[finqa,tfns]")
    assert [each.benchmark for each in pair(read_run(both), read_run(finqa), same_examples=False)] == [
        "finqa"
    ]
    assert "different benchmarks (the first has finqa, tfns" in refused(both, finqa, same_examples=True)


@pytest.mark.parametrize(
    ("ours", "theirs", "says"),
    [
        (["protocol=fin-r1-paper"], [], "protocol.temperature is 0.6 in the first and 0.0 in the second"),
        (["protocol.max_tokens=64"], [], "protocol.max_tokens is 64 in the first and 4096"),
        (["protocol.repetition_penalty=1.1"], [], "protocol.repetition_penalty is 1.1"),
        (["protocol.system=Think."], [], 'protocol.system is "Think." in the first and null'),
        (
            ["protocol.temperature=0.6", "protocol.top_p=0.9"],
            ["protocol.temperature=0.6"],
            "protocol.top_p is 0.9",
        ),
        (
            ["protocol.temperature=0.6", "seed=1"],
            ["protocol.temperature=0.6"],
            "seed is 1 in the first and 0",
        ),
        (["benchmark.finqa.prompt=program.jinja"], [], "benchmark.finqa.prompt is"),
    ],
)
def test_asked_differently(ours: list[str], theirs: list[str], says: str, tmp_path: Path) -> None:
    line = refused(run(tmp_path / "a", {}, FINQA, *ours), run(tmp_path / "b", {}, FINQA, *theirs))
    assert says in line


def test_what_decides_nothing_is_no_refusal(tmp_path: Path, finqa: Path) -> None:
    ours = run(tmp_path / "a", {}, FINQA, "seed=1", "protocol.top_p=0.9", "protocol.name=mine")
    [paired] = pair(read_run(ours), read_run(finqa), same_examples=True)
    assert len(paired.pairs) == len(KEYS)


def test_different_data(tmp_path: Path, finqa: Path) -> None:
    ours = tmp_path / "ours"
    shutil.copytree(finqa, ours)

    def other_file(record: dict[str, Any]) -> None:
        record["data"]["finqa"]["files"][0]["sha256"] = "0" * 64

    edited, base = read_run(ours), read_run(finqa)
    head = copy.deepcopy(dict(edited.info.raw))
    other_file(head)
    edited = replace(edited, info=run_info(head))
    with pytest.raises(UserError, match=r"finqa: their data differ.*000000000000.*run both on the same data"):
        pair(edited, base, same_examples=False)
    edit_json(ours / "run.json", other_file)
    with pytest.raises(UserError, match="the data of finqa changed since the run"):
        read_run(ours)


def test_a_changed_prompt_names_the_example(tmp_path: Path, finqa: Path) -> None:
    ours = tmp_path / "ours"
    shutil.copytree(finqa, ours)

    def reword(record: dict[str, Any]) -> None:
        if record["id"] == KEYS[2][0]:
            record["messages"][-1]["content"] += " Please."

    edit_records(ours, reword)
    line = refused(ours, finqa)
    assert f'finqa: the "user" message of example "{KEYS[2][0]}" differs' in line


def test_records_without_messages(tmp_path: Path, finqa: Path) -> None:
    ours = tmp_path / "ours"
    shutil.copytree(finqa, ours)
    edit_records(ours, lambda record: record.update(messages=[1]))
    with pytest.raises(UserError, match="line 1 is not a generation record"):
        read_run(ours)


def test_own_earlier_answers_may_differ_and_gold_ones_may_not(tmp_path: Path) -> None:
    own = "benchmark.convfinqa.history=own"
    first = next((e.id, e.turn) for e in examples(CONV) if e.turn == 0)
    ours = run(tmp_path / "a", {first: "\\boxed{7}"}, CONV, own)
    theirs = run(tmp_path / "b", {}, CONV, own)
    sent = [read_run(path).keyed("convfinqa")[first[0], 1].samples[0].messages for path in (ours, theirs)]
    assert sent[0] != sent[1]
    [paired] = pair(read_run(ours), read_run(theirs), same_examples=True)
    assert len(paired.pairs) == 18
    gold = run(tmp_path / "c", {}, CONV)
    line = refused(ours, gold)
    assert 'benchmark.convfinqa.history is "own" and "gold"' in line
    assert "turn 1" in line
