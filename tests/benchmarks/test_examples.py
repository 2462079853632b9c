"""What a record becomes: messages, golds, groups, facets."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from evalkit.benchmarks import names
from evalkit.benchmarks.convfinqa import plain
from evalkit.schema import ChoiceGold, Example, LabelGold, Message, NumberGold, OwnAnswer, TextGold, YesNoGold
from evalkit.scoring.programs import OPERATIONS

from .helpers import dialogue, finqa_record, load_local, write_csv, write_json, write_jsonl


def content(example: Example, index: int = -1) -> str:
    message = example.messages[index]
    assert isinstance(message, Message)
    return message.content


def test_names_come_from_the_configs() -> None:
    assert set(names()) >= {"ant_finance", "convfinqa", "finance_instruct", "finqa", "tfns"}


def test_finqa(tmp_path: Path) -> None:
    write_json(tmp_path / "finqa/test.json", [finqa_record(7)])
    [example] = load_local("finqa", tmp_path).examples
    assert (example.id, example.turn, example.group) == (
        "ACME/2020/page_1.pdf-7",
        None,
        "ACME/2020/page_1.pdf",
    )
    assert example.gold == NumberGold(2.625, "what is 7?", "262.5%", "subtract(29, 8), divide(#0, 8)")
    assert example.facets == {"answer_kind": "percent", "steps": 2}
    assert content(example).startswith(
        "first sentence . second .\n\n | 2019 | 2020\nrevenue | $ 8 | $ 29\n\nafter .\n"
    )
    assert content(example).endswith("\n\nQuestion: what is 7?")
    assert r"\boxed{}" in content(example)


@pytest.mark.parametrize(
    ("qa", "kind"),
    [
        ({"exe_ans": "no"}, "yes_no"),
        ({"answer": "$ 12"}, "amount"),
        ({"answer": "", "question": "what percentage?"}, "percent"),
        ({"answer": "", "question": "how much?"}, "amount"),
    ],
)
def test_finqa_answer_kind(tmp_path: Path, qa: dict[str, Any], kind: str) -> None:
    write_json(tmp_path / "finqa/test.json", [finqa_record(0, **qa)])
    [example] = load_local("finqa", tmp_path).examples
    assert example.facets["answer_kind"] == kind
    assert isinstance(example.gold, YesNoGold) == (kind == "yes_no")


def test_finqa_needs_only_what_it_uses(tmp_path: Path) -> None:
    record = finqa_record()
    del record["qa"]["answer"], record["qa"]["program"]
    write_json(tmp_path / "finqa/test.json", [record])
    [example] = load_local("finqa", tmp_path).examples
    assert example.gold == NumberGold(2.625, "what is 0?")


@pytest.mark.parametrize("history", ["gold", "own"])
def test_convfinqa_turns_extend_each_other(tmp_path: Path, history: str) -> None:
    write_json(tmp_path / "convfinqa/dev.json", [dialogue()])
    examples = load_local("convfinqa", tmp_path, history=history).examples
    assert [example.turn for example in examples] == [0, 1, 2]
    for shorter, longer in pairwise(examples):
        assert longer.messages[: len(shorter.messages)] == shorter.messages
    answers = examples[2].messages[1::2]
    if history == "own":
        assert answers == (OwnAnswer(0), OwnAnswer(1))
    else:
        assert answers == (Message("assistant", "0.0787"), Message("assistant", "6305"))
    assert examples[2].gold == YesNoGold(True, "question 2 of 0?", "greater(29, 8)")
    assert examples[1].facets == {"depth": 1, "history": history, "kind": "single", "steps": 1}
    assert content(examples[2]).startswith("Question: question 2 of 0?")
    assert "revenue" not in content(examples[2])


def test_convfinqa_last_question_only(tmp_path: Path) -> None:
    write_json(tmp_path / "convfinqa/dev.json", [dialogue()])
    [example] = load_local("convfinqa", tmp_path, history="last").examples
    assert (example.turn, len(example.messages)) == (2, 1)
    asked = [content(example).index(f"question {turn} of 0?") for turn in range(3)]
    assert asked == sorted(asked)
    assert content(example).endswith("Question 3, to be answered: question 2 of 0?")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0787, "0.0787"),
        (6305.0, "6305"),
        (-0.0, "0"),
        (1e-05, "0.00001"),
        (1e22, "1" + "0" * 22),
        (False, "no"),
    ],
)
def test_gold_answers_in_the_history_are_plain(value: float | bool, text: str) -> None:
    assert plain(value) == text


HEADER = ["id", "context", "question", "A", "B", "C", "D", "answer"]


def test_ant_finance_choice(tmp_path: Path) -> None:
    rows = [["0", "材料一", "问一", "甲", "", "丙", "丁", "C"], ["1", "", "问二", "甲", "乙", "丙", "丁", ""]]
    write_csv(tmp_path / "ant_finance/金融逻辑/任务.csv", HEADER, rows)
    loaded = load_local("ant_finance", tmp_path)
    [example] = loaded.examples
    assert loaded.provenance["without_answer"] == 1
    assert (example.id, example.group) == ("金融逻辑/任务/0", "金融逻辑/任务")
    assert example.gold == ChoiceGold("C", {"A": "甲", "C": "丙", "D": "丁"})
    assert example.facets == {"category": "金融逻辑", "task": "任务"}
    assert content(example).endswith("材料：材料一\n\n题目：问一\nA. 甲\nC. 丙\nD. 丁")


@pytest.mark.parametrize(("answer", "yes"), [("是", True), ("否", False)])
def test_ant_finance_yes_no_states_the_question(tmp_path: Path, answer: str, yes: bool) -> None:
    for task in ("金融合规性", "新任务"):
        write_csv(
            tmp_path / f"ant_finance/安全合规/{task}.csv", ["id", "question", "answer"], [["0", "问", answer]]
        )
    known, other = sorted(
        load_local("ant_finance", tmp_path).examples, key=lambda e: e.id == "安全合规/新任务/0"
    )
    assert known.gold == YesNoGold(yes, "问")
    assert "从金融合规的角度看，下面的输入是否合规？\n\n输入：问" in content(known)
    assert "就“新任务”而言，下面的输入是否成立？\n\n输入：问" in content(other)


def test_tfns_ids_do_not_move_with_the_file(tmp_path: Path) -> None:
    rows = [["down 5%", 0], ["up", 1], ["meh\nmeh", 2]]
    write_csv(tmp_path / "all/tfns/sent_valid.csv", ["text", "label"], rows)
    write_csv(tmp_path / "part/tfns/sent_valid.csv", ["text", "label"], rows[2:])
    everything = {example.id: example for example in load_local("tfns", tmp_path / "all").examples}
    [example] = load_local("tfns", tmp_path / "part").examples
    assert everything[example.id] == example
    assert example.gold == LabelGold("neutral", ("bearish", "bullish", "neutral"))
    assert content(example).endswith("\n\nTweet: meh\nmeh")


def test_finance_instruct(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"system": "\n", "user": "  Why?\n", "assistant": "Because."},
        {"system": "Be short.", "user": "Why?", "assistant": "Because."},
        {"system": "\n", "user": "  Why?\n", "assistant": "Because."},
        {"system": "", "user": None, "assistant": "Because."},
        {"system": "", "user": "Why?", "assistant": " "},
    ]
    write_jsonl(tmp_path / "finance_instruct/train.jsonl", rows)
    loaded = load_local("finance_instruct", tmp_path)
    facts = loaded.provenance
    assert (facts["records"], facts["items"], facts["duplicates"], facts["without_answer"]) == (5, 2, 1, 2)
    bare, guided = sorted(loaded.examples, key=lambda example: len(example.messages))
    assert bare.messages == (Message("user", "  Why?\n"),)
    assert guided.messages == (Message("system", "Be short."), Message("user", "Why?"))
    assert bare.gold == TextGold("Because.")


NASTY = "{{ 7 * 7 }} {% raw %} {# gone? #} ${x} <b>&amp;</b> \\boxed{1} {{ question }}"


def test_upstream_text_is_never_read_as_a_template(tmp_path: Path) -> None:
    write_csv(tmp_path / "tfns/sent_valid.csv", ["text", "label"], [[NASTY, 2]])
    record = {
        **finqa_record(0, question=NASTY),
        "pre_text": [NASTY],
        "table": [[NASTY]],
        "post_text": [NASTY],
    }
    write_json(tmp_path / "finqa/test.json", [record])
    write_csv(tmp_path / "ant_finance/a/b.csv", HEADER, [["0", NASTY, NASTY, NASTY, "y", "", "", "B"]])
    write_jsonl(tmp_path / "finance_instruct/x.jsonl", [{"system": NASTY, "user": NASTY, "assistant": "x"}])
    for name, times in (("tfns", 1), ("finqa", 4), ("ant_finance", 3), ("finance_instruct", 1)):
        [example] = load_local(name, tmp_path).examples
        assert content(example).count(NASTY) == times


@pytest.mark.parametrize("history", ["gold", "own"])
def test_convfinqa_repeats_the_instruction_as_a_paragraph_of_its_own(tmp_path: Path, history: str) -> None:
    write_json(tmp_path / "convfinqa/dev.json", [dialogue()])
    examples = load_local("convfinqa", tmp_path, history=history).examples
    instruction = r"Reason step by step, then put only the final answer in \boxed{}."
    for turn in (1, 2):
        assert content(examples[turn]) == f"Question: question {turn} of 0?\n\n{instruction}"


def test_finqa_can_ask_for_the_program(tmp_path: Path) -> None:
    write_json(tmp_path / "finqa/test.json", [finqa_record()])
    [example] = load_local("finqa", tmp_path, prompt="program.jinja").examples
    assert isinstance(example.gold, NumberGold)
    assert example.gold.table == (("", "2019", "2020"), ("revenue", "$ 8", "$ 29"))
    assert all(f"{operation}(" in content(example) for operation in sorted(OPERATIONS))
