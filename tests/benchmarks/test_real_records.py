"""The loaders on real upstream records (EVALKIT_DATA_DIR), and on the samples that ship."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from evalkit.benchmarks import load, names
from evalkit.files import BENCHMARKS
from evalkit.schema import ChoiceGold, LabelGold, Message, NumberGold, YesNoGold
from tests.settings import SAMPLE, benchmark_settings

from .helpers import load_local

DATA = Path(os.environ.get("EVALKIT_DATA_DIR", ""))
real = pytest.mark.skipif(not os.environ.get("EVALKIT_DATA_DIR"), reason="EVALKIT_DATA_DIR is not set")


@real
def test_finqa() -> None:
    loaded = load_local("finqa", DATA)
    assert len(loaded.examples) == 688
    assert len({example.group for example in loaded.examples}) == 228
    assert sum(isinstance(example.gold, YesNoGold) for example in loaded.examples) == 9
    shown = {example.id: example for example in loaded.examples}["MAS/2017/page_27.pdf-2"]
    assert isinstance(shown.gold, NumberGold)
    assert (shown.gold.value, shown.facets["steps"]) == (1.1197, 5)


@real
def test_questions_of_a_page_share_its_text_as_prefix() -> None:
    pages: dict[str, set[str]] = {}
    for example in load_local("finqa", DATA).examples:
        message = example.messages[0]
        assert isinstance(message, Message)
        page, separator, _ = message.content.partition("The page above is from an annual report.")
        assert separator
        pages.setdefault(example.group, set()).add(page)
    assert all(len(texts) == 1 for texts in pages.values())


@real
@pytest.mark.parametrize(("history", "items"), [("gold", 878), ("own", 878), ("last", 251)])
def test_convfinqa(history: str, items: int) -> None:
    loaded = load_local("convfinqa", DATA, history=history)
    assert len(loaded.examples) == items == loaded.provenance["items"]
    assert loaded.provenance["records"] == 251
    assert len({(example.id, example.turn) for example in loaded.examples}) == items
    assert len({example.group for example in loaded.examples}) == 129


@real
def test_convfinqa_train_sample_with_the_full_upstream_keys() -> None:
    loaded = load_local("convfinqa", DATA, split="train_sample")
    assert (loaded.provenance["records"], len(loaded.examples)) == (50, 183)


@real
def test_ant_finance() -> None:
    loaded = load_local("ant_finance", DATA)
    facts = loaded.provenance
    assert (facts["records"], facts["items"], facts["without_answer"]) == (5955, 1633, 4322)
    assert set(Counter(example.group for example in loaded.examples).values()) == {71}
    letters = Counter(e.gold.letter for e in loaded.examples if isinstance(e.gold, ChoiceGold))
    assert set(letters) == set("ABCDE")
    compliance = [e.gold for e in loaded.examples if e.facets["task"] == "金融合规性"]
    assert all(isinstance(gold, YesNoGold) and not gold.yes for gold in compliance)
    assert len(compliance) == 71


@real
def test_tfns() -> None:
    loaded = load_local("tfns", DATA)
    labels = Counter(e.gold.label for e in loaded.examples if isinstance(e.gold, LabelGold))
    assert labels == {"bearish": 207, "bullish": 293, "neutral": 933}
    assert loaded.provenance["duplicates"] == 0


@real
def test_finance_instruct_has_no_blank_system_prompt() -> None:
    loaded = load_local("finance_instruct", DATA)
    assert [len(example.messages) for example in loaded.examples] == [1, 1]


@pytest.mark.parametrize("name", names())
def test_sample(name: str) -> None:
    if not any((BENCHMARKS / name / "sample").glob("**/*.*")):
        pytest.skip("no sample yet")
    loaded = load(benchmark_settings(name), SAMPLE, limit=None, seed=0, sampling="item")
    assert loaded.examples
    assert {example.benchmark for example in loaded.examples} == {name}
    assert len({(e.id, e.turn) for e in loaded.examples}) == len(loaded.examples)
