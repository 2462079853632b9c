"""The bundled samples are in upstream formats and their golds are right: every number is computed again."""

from __future__ import annotations

import csv
import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evalkit.files import BENCHMARKS

from .program import execute, numbers

Record = dict[str, Any]


def _json(path: str) -> list[Record]:
    records: list[Record] = json.loads((BENCHMARKS / path).read_text(encoding="utf-8"))
    return records


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, strict=True))


FINQA = _json("finqa/sample/test.json")
CONVFINQA = _json("convfinqa/sample/dev.json")
TWEETS = _rows(BENCHMARKS / "tfns/sample/sent_valid.csv")
ANT_DIR = BENCHMARKS / "ant_finance/sample"
ANT = {path.relative_to(ANT_DIR).with_suffix("").as_posix(): path for path in sorted(ANT_DIR.glob("*/*.csv"))}
ANT_ROWS = [(task, row) for task, path in ANT.items() for row in _rows(path)]
INSTRUCT = [
    json.loads(line)
    for line in (BENCHMARKS / "finance_instruct/sample/train.jsonl").read_text(encoding="utf-8").splitlines()
]
TURNS = sum(len(record["annotation"]["turn_program"]) for record in CONVFINQA)
# Every annotated question: of FinQA, and behind the dialogues of ConvFinQA.
ANNOTATED = [
    pytest.param(record, record[key], id=f"{record['id']}:{key}")
    for record in [*FINQA, *CONVFINQA]
    for key in ("qa", "qa_0", "qa_1")
    if key in record
]


@pytest.mark.parametrize("count", [len(FINQA), TURNS, len(ANT_ROWS), len(TWEETS), len(INSTRUCT)])
def test_sample_sizes(count: int) -> None:
    assert 8 <= count <= 20


@pytest.mark.parametrize(("record", "qa"), ANNOTATED)
def test_gold_is_the_value_of_its_program(record: Record, qa: Record) -> None:
    assert execute(qa["program"], record["table"]) == qa["exe_ans"]
    if isinstance(qa["exe_ans"], str):
        assert qa["answer"] == qa["exe_ans"]
        return
    shown = float(qa["answer"].removesuffix("%"))
    decimals = len(qa["answer"].removesuffix("%").partition(".")[2])
    scale = 100 if qa["answer"].endswith("%") else 1
    assert shown == pytest.approx(qa["exe_ans"] * scale, abs=0.5 * 10**-decimals + 1e-3)


@pytest.mark.parametrize(("record", "qa"), ANNOTATED)
def test_evidence_is_on_the_page(record: Record, qa: Record) -> None:
    sentences = record["pre_text"] + record["post_text"]
    evidence = {f"text_{i}": sentences[i] for i in qa["ann_text_rows"]}
    for name, text in qa["gold_inds"].items():
        if name.startswith("table_"):
            row = record["table"][int(name.removeprefix("table_"))]
            assert all(cell in text for cell in row), name
        else:
            assert text == evidence[name]
    cited = " ".join(qa["gold_inds"].values())
    assert all(
        re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.]*\d)", cited) for number in numbers(qa["program"])
    )


@pytest.mark.parametrize(("record", "qa"), ANNOTATED)
def test_steps_and_nested_program_say_the_same_as_the_program(record: Record, qa: Record) -> None:
    names = {"minus": "subtract", "compare_larger": "greater", "sum": "table_sum", "max": "table_max"}
    names["average"] = "table_average"
    calls = []
    for position, step in enumerate(qa["steps"], 1):
        name, number = re.fullmatch(r"([a-z_]+)[12]-(\d)", step["op"]).groups()  # type: ignore[union-attr]
        assert int(number) == position
        calls.append(f"{names.get(name, name)}({step['arg1']}, {step['arg2']})")
    assert ", ".join(calls) == qa["program"]
    nested: list[str] = []
    for call in calls:
        nested.append(re.sub(r"#(\d)", lambda match: nested[int(match[1])], call))
    assert nested[-1] == qa["program_re"]


@pytest.mark.parametrize("record", [*FINQA, *CONVFINQA], ids=lambda record: record["id"])
def test_pages_have_the_upstream_shape(record: Record) -> None:
    assert re.fullmatch(r"[A-Z]{3}/20\d\d/page_\d+\.pdf", record["filename"])
    assert record["filename"] in record["id"]
    assert len({len(row) for row in record["table"]}) == 1
    assert [len(row) for row in record["table"]] == [len(row) for row in record["table_ori"]]
    text = " ".join(record["pre_text"] + record["post_text"])
    assert 120 <= len(text.split()) <= 350
    assert text == text.lower()


def test_finqa_covers_the_kinds_of_answers() -> None:
    ids = [record["id"] for record in FINQA]
    assert len(set(ids)) == len(ids)
    assert min(Counter(record["filename"] for record in FINQA).values()) >= 3
    programs = " ".join(record["qa"]["program"] for record in FINQA)
    operations = set(re.findall(r"[a-z_]+(?=\()", programs))
    assert operations >= {"add", "subtract", "multiply", "divide", "greater"}
    assert operations >= {"table_sum", "table_average", "table_max"}
    assert "const_" in programs
    golds = [record["qa"]["exe_ans"] for record in FINQA]
    assert {"yes", "no"} <= {gold for gold in golds if isinstance(gold, str)}
    assert sum(isinstance(gold, float) and gold < 0 for gold in golds) >= 2


@pytest.mark.parametrize("record", CONVFINQA, ids=lambda record: record["id"])
def test_turns_of_a_dialogue(record: Record) -> None:
    note = record["annotation"]
    values = [execute(program, record["table"]) for program in note["turn_program"]]
    assert values == note["exe_ans_list"]
    assert len(note["dialogue_break"]) == len(note["qa_split"]) == len(values)
    # The last turn on each question is the question itself.
    for part in sorted(set(note["qa_split"])):
        last = max(i for i, split in enumerate(note["qa_split"]) if split == part)
        qa = record["qa"] if record["id"].startswith("Single_") else record[f"qa_{part}"]
        assert (note["turn_program"][last], values[last]) == (qa["program"], qa["exe_ans"])
    asked = [
        (question, program)
        for question, program in zip(note["dialogue_break_ori"], note["turn_program_ori"], strict=True)
        if question != "n/a"
    ]
    assert asked == list(zip(note["dialogue_break"], note["turn_program"], strict=True))
    assert len(note["step_list"]) == len(note["answer_list"]) == len(note["turn_program_ori"])
    page = " ".join(
        record["pre_text"] + record["post_text"] + [cell for row in record["table"] for cell in row]
    )
    assert all(number in page for program in note["turn_program"] for number in numbers(program))


def test_dialogues_of_both_kinds_and_a_shared_page() -> None:
    assert {record["id"].partition("_")[0] for record in CONVFINQA} == {"Single", "Double"}
    assert max(Counter(record["filename"] for record in CONVFINQA).values()) > 1


@pytest.mark.parametrize("task", ANT)
def test_ant_finance_files(task: str) -> None:
    data = ANT[task].read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    assert data.endswith(b"\n")
    assert b"\r" not in data
    columns = list(_rows(ANT[task])[0])
    options = {"金融情绪识别": "ABC", "执业药师资格考试": "ABCDE"}.get(task.partition("/")[2], "ABCD")
    expected = ["question", *([] if task.startswith("安全合规/") else options), "answer"]
    assert columns == ["id", *(["context"] if task.endswith("金融事件解读") else []), *expected]
    for number, row in enumerate(_rows(ANT[task])):
        assert row["id"] == str(number)
        letters = {letter for letter in "ABCDE" if row.get(letter)} or {"是", "否"}
        assert row["answer"] in letters | {""}


def test_ant_finance_covers_categories_and_letters() -> None:
    assert len({task.partition("/")[0] for task in ANT}) == 5
    assert len(ANT) >= 6
    answers = Counter(row["answer"] for _, row in ANT_ROWS)
    assert set(answers) == {*"ABCDE", "是", "否", ""}
    assert answers["是"] + answers["否"] == 4
    assert max(answers[letter] for letter in "ABCDE") <= 4


@pytest.mark.parametrize(
    ("start", "value"),
    [
        ("某只债券", f"{4 / 80:.0%}"),
        ("李女士", f"{20000 * 0.0225 * 3:.0f}"),
        ("某公司年末", f"{(960 - 260) / 400:g}"),
        ("某企业", f"{84 / 600:g}"),
        ("按回购金额上限", f"{8000 / 12.5:.0f}万股"),
        ("青梧生物上半年", f"{(0.90 - 0.72) / 0.90:.0%}".replace("%", "％")),
    ],
)
def test_ant_finance_arithmetic(start: str, value: str) -> None:
    (row,) = [row for _, row in ANT_ROWS if row["question"].startswith(start)]
    assert row[row["answer"]] == value
    assert [row[letter] for letter in "ABCD"].count(value) == 1


def test_tweets_have_the_upstream_shape() -> None:
    data = (BENCHMARKS / "tfns/sample/sent_valid.csv").read_bytes()
    assert data.startswith(b"text,label\r\n")
    assert data.count(b"\r\n") == len(TWEETS) + 1
    texts = [row["text"] for row in TWEETS]
    assert data.count(b"\n") - data.count(b"\r\n") == sum("\n" in text for text in texts) == 1
    assert len(set(texts)) == len(texts)
    assert any("{{" in text and "{%" in text for text in texts)
    assert any(not text.isascii() for text in texts)
    assert all(
        url.startswith("https://example.com/") for text in texts for url in re.findall(r"https?:\S+", text)
    )


def test_tweets_are_mostly_neutral() -> None:
    labels = Counter(row["label"] for row in TWEETS)
    assert set(labels) == {"0", "1", "2"}
    # Upstream: 347, 475 and 1,566 of 2,388.
    for label, share in {"0": 347 / 2388, "1": 475 / 2388, "2": 1566 / 2388}.items():
        assert labels[label] / len(TWEETS) == pytest.approx(share, abs=0.05)


def test_instructions_have_the_upstream_shape() -> None:
    for row in INSTRUCT:
        assert list(row) == ["system", "user", "assistant"]
        assert 60 <= len(row["assistant"].split()) <= 150
    assert [row["system"] == "\n" for row in INSTRUCT].count(False) == 1
    assert len({row["user"] for row in INSTRUCT}) == len(INSTRUCT)


@pytest.mark.parametrize(
    ("start", "stated"),
    [
        ("A machine", [f"{20000 / 1.08**year:,.2f}" for year in (1, 2, 3)]),
        ("A machine", [f"{sum(20000 / 1.08**year for year in (1, 2, 3)) - 50000:,.2f}"]),
        ("A machine", [f"-${-(0.97 * sum(20000 / 1.08**year for year in (1, 2, 3)) - 50000):.0f}"]),
        ("What is the difference between APR", [f"{1.02**12:.4f}", f"{1.02**12 - 1:.2%}"]),
        ("What is the difference between APR", [f"${1000 * (1.02**12 - 1):.2f}"]),
        ("Explain the cash conversion", [f"= {45 + 30 - 35} days", f"those {45 + 30} days"]),
        ("A fund returned", [f"{(11 - 3) / 16:.2f}", f"{(8 - 3) / 8:.3f}", f"{2 * 8 - 3}%"]),
        ("How does an importer", [f"{2_000_000 / 1.10:,.2f} euros"]),
        ("A company buys equipment", [f"${(90000 - 10000) // 5:,} a year", f"${90000 - 16000:,}"]),
        ("A company buys equipment", [f"${math.floor(16000 * 0.25):,} a year"]),
    ],
)
def test_instruction_arithmetic(start: str, stated: list[str]) -> None:
    (row,) = [row for row in INSTRUCT if row["user"].startswith(start)]
    assert all(number in row["assistant"] for number in stated), stated
