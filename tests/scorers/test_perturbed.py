"""Gold answers are accepted, and answers that are wrong by a known step are not.

On the bundled samples, which ship, and on the real records of EVALKIT_DATA_DIR. A perturbed number is shown
with four significant digits or more: 0.0714, 5 % above 0.068, is gold itself when shown as "0.07".
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import pytest

from evalkit.schema import Gold, LabelGold, NumberGold, Output
from evalkit.scoring import get_rule
from evalkit.scoring.agreement import Scale, asks_size, gold_scale

from .perturbations import accepted, golds, hundredfold, right, wrong

DATA = os.environ.get("EVALKIT_DATA_DIR") or ""
needs_data = pytest.mark.skipif(not Path(DATA or "missing").is_dir(), reason="EVALKIT_DATA_DIR is not set")
SOURCES = [pytest.param(None, id="samples"), pytest.param(DATA, id="real", marks=needs_data)]
financial = get_rule("financial")
LABELS = ("bearish", "bullish", "neutral")


def numeric(source: str | None) -> list[Gold]:
    return golds("finqa", source) + golds("convfinqa", source)


def correct(text: str, gold: Gold) -> bool:
    verdict = financial(Output(text), gold)
    assert verdict
    return bool(verdict.correct)


@pytest.mark.parametrize("source", SOURCES)
def test_gold_answers_are_accepted(source: str | None) -> None:
    cases = [(text, gold) for gold in numeric(source) for text in right(gold)]
    missed = [(text, gold) for text, gold in cases if not correct(text, gold)]
    sys.stdout.write(f"gold answers accepted: {len(cases) - len(missed)} of {len(cases)}; missed: {missed}\n")
    assert len(missed) <= 0.005 * len(cases)


@pytest.mark.parametrize("source", SOURCES)
def test_no_perturbed_answer_is_accepted(source: str | None) -> None:
    everything = numeric(source) + golds("ant_finance", source) + golds("tfns", source)
    cases = [item for gold in everything for item in wrong(gold)]
    steps = {step: sum(item.step == step for item in cases) for step in {item.step for item in cases}}
    sizes = sum(isinstance(gold, NumberGold) and asks_size(gold.question) for gold in everything)
    sys.stdout.write(f"perturbed answers: {steps}; {sizes} golds ask for a size and have no sign to flip\n")
    assert len(cases) > 10 * len(numeric(source))
    assert [item for item in cases if accepted(item)] == []


@pytest.mark.parametrize("source", SOURCES)
def test_a_factor_100_is_accepted_only_between_percent_and_decimal(source: str | None) -> None:
    scales = {"x100": Scale.DECIMAL, "/100": Scale.PERCENT}
    items = [item for gold in numeric(source) if isinstance(gold, NumberGold) for item in hundredfold(gold)]
    taken = [item for item in items if accepted(item)]
    counts = {step: sum(item.step == step for item in taken) for step in scales}
    sys.stdout.write(f"a factor 100 accepted: {counts} of {len(items) // 2} golds each\n")
    assert all(isinstance(i.gold, NumberGold) and gold_scale(i.gold) is scales[i.step] for i in taken)
    assert 0 < len(taken) < len(items) / 2


def tweets(source: str | None) -> list[tuple[str, LabelGold]]:
    from evalkit.files import BENCHMARKS

    folder = Path(source) / "tfns" if source else BENCHMARKS / "tfns" / "sample"
    with (folder / "sent_valid.csv").open(encoding="utf-8-sig", newline="") as stream:
        return [(row["text"], LabelGold(LABELS[int(row["label"])], LABELS)) for row in csv.DictReader(stream)]


@pytest.mark.parametrize("source", SOURCES)
def test_label_words_in_the_tweet_are_no_answer(source: str | None) -> None:
    rows = tweets(source)
    echoed = [text for text, gold in rows if correct(text, gold)]
    assert echoed == []
    assert [item for text, gold in rows for item in wrong(gold, text) if accepted(item)] == []
