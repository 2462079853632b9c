"""Sources of Fin-R1-Data beside its table's benchmarks: from a local hub, and rows that cannot be meant."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from evalkit.benchmarks import sources
from evalkit.benchmarks.fincorpus import asked_for, taken_apart
from evalkit.benchmarks.sources import pin_table
from evalkit.files import BENCHMARKS
from evalkit.schema import (
    ChoiceGold,
    Example,
    Gold,
    LabelGold,
    Message,
    Output,
    TextGold,
    UserError,
    YesNoGold,
)
from evalkit.scoring import get_rule
from tests.settings import benchmark_settings

from .helpers import load_local, write_csv, write_jsonl
from .hub_server import COMMIT, serve
from .test_hub import cache as cache
from .test_hub import git_blob, hub_changed, load_hub, load_remote, refused

UNPINNED = {
    "fincuge": "Maciel/FinCUGE-Instruction",
    "financeqt": "lumalik/Quant-Trading-Instruct",
    "fincorpus": "Duxiaoman-DI/FinCorpus",
}
HEADER = ["", "Question", "A", "B", "C", "D", "Answer"]


def lines(*rows: Mapping[str, object]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def exam(text: str) -> dict[str, object]:
    return {"text": text, "meta": {"id": 1}}


def sentiment(output: str = "所属情感是积极。", **more: object) -> dict[str, object]:
    row = {"task": "FINFE", "desc": "论坛情绪分析任务", "instruction": "分析情感。", "input": "涨了！"}
    return {**row, "output": output, **more}


CHOICE = "一年有几个季度？\nA、两个\nB、四个\n答案：B\n分析解释：每季三个月。"


# --- where they are loaded from -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", UNPINNED)
def test_a_source_without_a_known_commit_asks_for_one(name: str) -> None:
    assert refused(benchmark_settings(name)) == (
        f"benchmark.{name}.hub.revision: evalkit knows no commit of {UNPINNED[name]}: name the one to read "
        "(its page on the hub lists them), or use data=local data.dir=PATH"
    )


@pytest.mark.parametrize(
    ("name", "files", "expected"),
    [
        ("fincuge", {"train.jsonl": lines(sentiment(), sentiment("消极。", input="跌"))}, 2),
        ("financeqt", {"train.jsonl": lines({"context": None, "question": "Why?", "answer": "So."})}, 1),
        (
            "fincorpus",
            {
                "data/fin_exam.jsonl.gz": gzip.compress(lines(exam(CHOICE), exam("无题"), exam(CHOICE))),
                "data/fin_news_data.jsonl.gz": b"sixty gigabytes that nobody asks for",
            },
            1,
        ),
    ],
)
def test_from_the_hub_at_the_commit_that_is_named(
    tmp_path: Path, name: str, files: dict[str, bytes], expected: int
) -> None:
    chosen = hub_changed(benchmark_settings(name), revision=COMMIT)
    with serve(datasets={UNPINNED[name]: files}) as hub:
        loaded = load_remote(chosen, hub.url, tmp_path / "hf")
        endpoint = hub.url
    assert "error" not in loaded, loaded
    assert len(loaded["ids"]) == expected
    assert loaded["provenance"]["revision"] == COMMIT
    assert not any("fin_news" in each for each in hub.requests if each.startswith("GET"))
    assert load_remote(chosen, endpoint, tmp_path / "hf", HF_HUB_OFFLINE="1") == loaded


def test_what_cannot_be_scored_is_counted_and_the_files_hash_recorded(tmp_path: Path) -> None:
    content = gzip.compress(lines(exam(CHOICE), exam("无题"), exam(CHOICE)))
    chosen = hub_changed(benchmark_settings("fincorpus"), revision=COMMIT)
    with serve(datasets={UNPINNED["fincorpus"]: {"data/fin_exam.jsonl.gz": content}}) as hub:
        facts = load_remote(chosen, hub.url, tmp_path / "hf")["provenance"]
    assert (facts["records"], facts["without_answer"], facts["duplicates"], facts["items"]) == (3, 1, 1, 1)
    assert facts["files"] == [
        {
            "name": "fincorpus/fin_exam.jsonl.gz",
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    ]


def test_another_file_than_the_recorded_one_and_one_that_is_not_there(tmp_path: Path) -> None:
    chosen = hub_changed(benchmark_settings("fincorpus"), revision=COMMIT)
    assert chosen.hub
    file = chosen.hub.files["train"].model_copy(update={"sha256": "0" * 64})
    with serve(datasets={UNPINNED["fincorpus"]: {"data/fin_exam.jsonl.gz": gzip.compress(b"")}}) as hub:
        other = load_remote(hub_changed(chosen, files={"train": file}), hub.url, tmp_path / "hf")
        hub.datasets[UNPINNED["fincorpus"]].clear()
        gone = load_remote(chosen, hub.url, tmp_path / "elsewhere")
    assert other["error"] == (
        f"Duxiaoman-DI/FinCorpus: data/fin_exam.jsonl.gz at {COMMIT} is not the recorded one "
        f"(sha256 {'0' * 64})"
    )
    assert gone["error"].startswith("Duxiaoman-DI/FinCorpus: cannot load from the hub (")
    assert gone["error"].endswith("); or use data=local data.dir=PATH")


def test_financeiq_is_downloaded_by_its_hashes(cache: Path, tmp_path: Path) -> None:
    path = "FinanceIQ/data/test/税务师.csv"
    content = ",Question,A,B,C,D,Answer\n0,问,甲,乙,丙,丁,C\n1,又问,甲,乙,丙,丁,\n".encode()
    table = tmp_path / "test.tsv"
    table.write_text(
        f"path\tgit_blob\tsha256\trows\n{path}\t{git_blob(content)}\t{hashlib.sha256(content).hexdigest()}\t2\n",
        encoding="utf-8",
    )
    chosen = hub_changed(benchmark_settings("financeiq"), table=str(table))
    assert chosen.hub
    with serve(raw={f"/{chosen.hub.repo}/{chosen.hub.revision}/{path}": content}) as hub:
        loaded = load_hub(hub_changed(chosen, base_url=hub.url))
    [example] = loaded.examples
    assert (example.id, example.group) == ("税务师/0", "税务师")
    assert loaded.provenance["without_answer"] == 1


@pytest.mark.parametrize(("split", "rows"), [("test", 7123), ("dev", 50)])
def test_financeiqs_pins_are_of_ten_exams(split: str, rows: int) -> None:
    table = BENCHMARKS / "financeiq" / f"{split}.tsv"
    assert len({Path(pin.path).stem for pin in pin_table(table)}) == 10
    counts = [int(line.split("\t")[3]) for line in table.read_text(encoding="utf-8").splitlines()[1:]]
    assert sum(counts) == rows


# --- what a row becomes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "gold"),
    [
        (CHOICE, "choice", ChoiceGold("B", {"A": "两个", "B": "四个"})),
        (CHOICE.replace("答案：B", '答案：["B"]'), "choice", ChoiceGold("B", {"A": "两个", "B": "四个"})),
        (CHOICE.replace("答案：B", '答案：["B", "A"]'), "several", TextGold("A、B\nA、两个\nB、四个")),
        ("一年有四个季度。\r\n答案：√", "yes_no", YesNoGold(True, "一年有四个季度。")),
        ("一年有五个季度。\n答案：错误\n分析解释：四个。", "yes_no", YesNoGold(False, "一年有五个季度。")),
        ("何为季度？\n答案：三个月。", "text", TextGold("三个月")),
        ("C. 不是选项\nA. 甲\nB. 乙\n答案: A", "choice", ChoiceGold("A", {"A": "甲", "B": "乙"})),
        (
            "甲公司如何记账？\nA、借记\n银行存款\nB、贷记\n答案：A",
            "choice",
            ChoiceGold("A", {"A": "借记\n银行存款", "B": "贷记"}),
        ),
    ],
)
def test_an_exam_text_taken_apart(text: str, kind: str, gold: Gold) -> None:
    found = taken_apart(text)
    assert found is not None
    assert "答案" not in found.question
    assert asked_for(found) == (kind, gold)


@pytest.mark.parametrize(
    "text",
    [
        "只有题目",
        "答案：A",
        "问？\nA、甲\nB、\n答案：A",
        "问？\n答案：\n分析解释：无",
        CHOICE.replace("：B", "：D"),
    ],
)
def test_an_exam_text_that_cannot_be_scored(text: str) -> None:
    found = taken_apart(text)
    assert found is None or asked_for(found) is None


def prompt(example: Example) -> str:
    [message] = example.messages
    assert isinstance(message, Message)
    return message.content


def test_the_explanation_is_neither_asked_nor_expected(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "fincorpus/fin_exam.jsonl", [exam(CHOICE)])
    [example] = load_local("fincorpus", tmp_path).examples
    assert "每季三个月" not in prompt(example) + str(example.gold)
    assert "答案：" not in prompt(example)


def verdict(example: Example, said: str) -> bool | None:
    found = get_rule("financial")(Output(said, prompt=prompt(example)), example.gold)
    return None if found is None else found.correct


def test_a_rule_reads_sentiment_and_leaves_the_rest_to_the_judge(tmp_path: Path) -> None:
    rows = [
        sentiment(),
        sentiment("上涨", task="FINRE", input="", desc="关系"),
        sentiment("积极或消极", input="？"),
    ]
    write_jsonl(tmp_path / "fincuge/train.jsonl", [*rows, sentiment("", input="空")])
    by_text = {example.context: example for example in load_local("fincuge", tmp_path).examples}
    assert len(by_text) == 3
    label, relation, unclear = by_text["涨了！"], by_text[""], by_text["？"]
    assert label.gold == LabelGold("积极", ("消极", "中性", "积极"))
    assert verdict(label, r"看多。\boxed{积极}") is True
    assert verdict(label, r"看空。\boxed{消极}") is False
    assert "\\boxed{}" in prompt(label)
    assert relation.gold == TextGold("上涨")
    assert prompt(relation) == "分析情感。"
    assert verdict(relation, "上涨") is None
    assert isinstance(unclear.gold, TextGold)


# --- malformed rows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "file", "row", "message"),
    [
        ("fincuge", "train.jsonl", {"output": "x"}, "line 2: field instruction: expected text, got nothing"),
        ("fincuge", "train.jsonl", sentiment(input=3), "line 2: field input: expected text, got 3"),
        ("fincuge", "train.jsonl", {**sentiment(), "output": ["x"]}, "line 2: field output: expected text"),
        (
            "financeqt",
            "train.jsonl",
            {"question": " ", "answer": "x"},
            "line 2: field question: expected a text",
        ),
        (
            "financeqt",
            "train.jsonl",
            {"question": "q", "answer": 1},
            "line 2: field answer: expected text, got 1",
        ),
        ("fincorpus", "fin_exam.jsonl", {"meta": {}}, "line 2: field text: expected text, got nothing"),
        (
            "fincorpus",
            "fin_exam.jsonl",
            {"text": ["x"]},
            "line 2: field text: expected text, got a list of 1",
        ),
    ],
)
def test_a_malformed_row(tmp_path: Path, name: str, file: str, row: dict[str, object], message: str) -> None:
    good = {**sentiment(), **exam(CHOICE), "question": "q", "answer": "a"}
    write_jsonl(tmp_path / name / file, [good, row])
    with pytest.raises(UserError) as caught:
        load_local(name, tmp_path)
    assert str(caught.value).startswith(f"{name}/{file}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["1", "问", "甲", "乙", "丙", "丁", "E"], "line 3: field Answer: expected A, B, C or D, got 'E'"),
        (["1", "", "甲", "乙", "丙", "丁", "A"], "line 3: field Question: expected a text that is not empty"),
        (["1", "问", "甲", "", "丙", "丁", "A"], "line 3: field B: expected a text that is not empty"),
        (["0", "问", "甲", "乙", "丙", "丁", "A"], "line 3: id '经济师/0' was used before"),
        (["1", "问"], "line 3: expected 7 cells"),
    ],
)
def test_a_malformed_row_of_financeiq(tmp_path: Path, row: list[str], message: str) -> None:
    write_csv(tmp_path / "financeiq/test/经济师.csv", HEADER, [["0", "问", "甲", "乙", "丙", "丁", "A"], row])
    with pytest.raises(UserError) as caught:
        load_local("financeiq", tmp_path)
    assert str(caught.value).startswith(f"financeiq/test/经济师.csv: {message}")


@pytest.mark.parametrize("damage", ["cut", "other", "flipped"])
def test_a_packed_file_that_is_not_whole(tmp_path: Path, damage: str) -> None:
    packed = gzip.compress(lines(*[exam(f"{number}？\n答案：对") for number in range(500)]))
    middle = len(packed) // 2
    flipped = packed[:middle] + bytes([packed[middle] ^ 255]) + packed[middle + 1 :]
    content = {"cut": packed[:-20], "other": b"no such thing", "flipped": flipped}[damage]
    path = tmp_path / "fincorpus/fin_exam.jsonl.gz"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"^fincorpus/fin_exam\.jsonl\.gz: "):
        load_local("fincorpus", tmp_path)


def test_a_small_file_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_UNPACKED_BYTES", 2**20)
    path = tmp_path / "fincorpus/fin_exam.jsonl.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(lines(*[exam("无" * 100_000)] * 12)))
    with pytest.raises(UserError, match="it unpacks to more than "):
        load_local("fincorpus", tmp_path)
