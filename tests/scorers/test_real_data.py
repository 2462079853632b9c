"""Figures on real records and real model outputs. Needs EVALKIT_DATA_DIR."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.example import Gold, NumberGold, YesNoGold
from evalkit.scorers import dsl, get_rule
from evalkit.scorers.verdict import Output

DATA = Path(os.environ.get("EVALKIT_DATA_DIR") or "missing")
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="EVALKIT_DATA_DIR is not set")

financial = get_rule("financial")
SIZE_WORDS = (
    "how much",
    "declin",
    "decreas",
    "drop",
    "fell",
    "fall",
    "reduc",
    "vary",
    "differ",
    "loss",
    "chang",
)


def load(path: str) -> list[Any]:
    text = (DATA / path).read_text(encoding="utf-8")
    return (
        [json.loads(line) for line in text.splitlines()]
        if path.endswith(".jsonl")
        else list(json.loads(text))
    )


def gold_of(value: float | str, question: str, answer: str, program: str) -> Gold:
    if isinstance(value, str):
        return YesNoGold(value == "yes", question, program)
    return NumberGold(value, question, answer, program)


def correct(text: str, gold: Gold) -> bool:
    verdict = financial(Output(text), gold)
    assert verdict
    return bool(verdict.correct)


def finqa() -> dict[str, Gold]:
    records = {record["id"]: record["qa"] for record in load("finqa/test.json")}
    return {
        key: gold_of(qa["exe_ans"], qa["question"], qa["answer"], qa["program"])
        for key, qa in records.items()
    }


def convfinqa() -> dict[tuple[str, int], Gold]:
    golds = {}
    for record in load("convfinqa/dev.json"):
        a = record["annotation"]
        turns = zip(a["exe_ans_list"], a["dialogue_break"], a["turn_program"], strict=True)
        for turn, (value, question, program) in enumerate(turns):
            golds[record["id"], turn] = gold_of(value, question, "", program)
    return golds


def labelled() -> Iterator[tuple[str, Gold, bool, str]]:
    """Output, gold, the hand label and what to print; borderline items left out."""
    golds = finqa()
    outputs = {x["id"]: x["generation"] for x in load("model_outputs/finqa_test100_fin-r1.jsonl")}
    for label in load("model_outputs/labels_finqa_fin-r1.jsonl"):
        if not label["borderline"]:
            yield outputs[label["id"]], golds[label["id"]], label["correct_lenient_exe"], label["id"]
    turns = convfinqa()
    said = {
        (x["record_id"], x["turn_idx"]): str(x["predicted_answer"])
        + ("%" if x["predicted_unit"] == "percent" and "%" not in str(x["predicted_answer"]) else "")
        for x in load("model_outputs/convfinqa_dev_claude-sonnet-4-6.jsonl")
    }
    for label in load("model_outputs/labels_convfinqa_claude.jsonl"):
        key = label["record_id"], label["turn_idx"]
        if not label["borderline"]:
            yield (
                rf"The final answer is \boxed{{{said[key]}}}",
                turns[key],
                label["correct_lenient"],
                label["id"],
            )


def test_agreement_with_hand_labels() -> None:
    rows = list(labelled())
    wrong = [name for text, gold, label, name in rows if correct(text, gold) is not label]
    agreement = 1 - len(wrong) / len(rows)
    sys.stdout.write(f"agreement {agreement:.4f} of {len(rows)}; disagrees on {wrong}" + "\n")
    assert agreement >= 0.97


def fmt(value: float) -> str:
    return f"{value:,.5f}".rstrip("0").rstrip(".")


def dresses(gold: Gold) -> list[str]:
    if isinstance(gold, YesNoGold):
        return [rf"<think>hm</think> \boxed{{\text{{{'Yes' if gold.yes else 'No'}}}}}"]
    assert isinstance(gold, NumberGold)
    plain = fmt(gold.value)
    texts = [
        rf"<think>maybe \boxed{{1234567}}</think><answer>\boxed{{{plain}}}</answer>",
        f"</think>The answer is **{plain}**.",
        rf"Final answer: \(\boxed{{{plain.replace(',', '{,}')}}}\)",
    ]
    if abs(gold.value) < 10 and "%" in gold.answer:
        percent = fmt(gold.value * 100)
        texts += [
            rf"<think>x</think>\boxed{{{percent}\%}}",
            rf"\boxed{{{percent}}} %",
            f"<answer>{percent}%</answer>",
        ]
    return texts


def perturbed(gold: Gold) -> list[str]:
    if isinstance(gold, YesNoGold):
        return [rf"\boxed{{{'no' if gold.yes else 'yes'}}}"]
    assert isinstance(gold, NumberGold)
    if abs(gold.value) <= 1e-3:
        return []
    factors = [10, 1000, 1.05, 0.95]
    if not any(word in gold.question.lower() for word in SIZE_WORDS):
        factors.append(-1)
    if abs(gold.value) > 100:  # an amount for certain
        factors += [100, 0.01]
    return [rf"<think>y</think>\boxed{{{fmt(gold.value * factor)}}}" for factor in factors]


def test_gold_answers_pass_and_perturbed_ones_do_not() -> None:
    golds = list(finqa().values())
    good = [correct(text, gold) for gold in golds for text in dresses(gold)]
    wrong = [correct(text, gold) for gold in golds for text in perturbed(gold)]
    sys.stdout.write(
        f"right accepted {sum(good)}/{len(good)}, wrong accepted {sum(wrong)}/{len(wrong)}" + "\n"
    )
    assert sum(good) / len(good) >= 0.995
    assert sum(wrong) / len(wrong) <= 0.005


def test_gold_programs_give_gold_values() -> None:
    cases = [(r["qa"]["program"], r["table"], r["qa"]["exe_ans"]) for r in load("finqa/test.json")] + [
        (program, r["table"], value)
        for r in load("convfinqa/dev.json")
        for program, value in zip(
            r["annotation"]["turn_program"], r["annotation"]["exe_ans_list"], strict=True
        )
    ]
    for program, table, expected in cases:
        value = dsl.execute(program, table)
        shown = ("yes" if value else "no") if isinstance(value, bool) else round(value, 5)
        assert shown == expected, program
    sys.stdout.write(f"{len(cases)} programs" + "\n")
