"""FinEval: its files, subjects and golds."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from evalkit.benchmarks import load
from evalkit.benchmarks.fineval import subjects
from evalkit.benchmarks.sources import pin_table
from evalkit.config.settings import run_settings
from evalkit.files import BENCHMARKS
from evalkit.run.runner import load_data
from evalkit.schema import ChoiceGold, Loaded, UserError

DATA = os.environ.get("EVALKIT_DATA_DIR")


def loaded(*words: str) -> Loaded:
    return load_data(run_settings(["+model=smollm2-135m", "benchmark=fineval", *words]))["fineval"]


def test_the_sample_by_subject() -> None:
    examples = loaded("data=sample").examples
    assert Counter(example.facets["category"] for example in examples) == {
        "会计": 4,
        "金融": 3,
        "经济": 3,
        "证书": 2,
    }
    assert {example.group for example in examples} == {
        "accounting",
        "monetary_finance",
        "macroeconomics",
        "certified_practising_accountant",
    }


def test_the_pins_are_of_the_subjects() -> None:
    for split, files in (("val", 32), ("dev", 34)):
        pins = pin_table(BENCHMARKS / "fineval" / f"{split}.tsv")
        names = {Path(pin.path).stem.removesuffix(f"_{split}") for pin in pins}
        assert len(pins) == files
        assert names <= subjects().keys()
    assert len(subjects()) == 34


def test_a_split_that_is_not_there() -> None:
    settings = run_settings(["+model=smollm2-135m", "benchmark=fineval", "benchmark.fineval.split=test"])
    with pytest.raises(UserError, match=r"benchmark\.fineval\.split=test: no such split"):
        load(settings.benchmark["fineval"], settings.data, limit=None, seed=0, sampling="item")


@pytest.mark.skipif(not DATA, reason="EVALKIT_DATA_DIR is not set")
@pytest.mark.parametrize(("split", "rows"), [("val", 1071), ("dev", 170)])
def test_every_row_of_the_real_files(split: str, rows: int) -> None:
    found = loaded("data=local", f"data.dir={DATA}", f"benchmark.fineval.split={split}")
    counts = found.provenance
    assert (counts["records"], counts["items"], counts["without_answer"]) == (rows, rows, 0)
    letters = Counter(
        example.gold.letter for example in found.examples if isinstance(example.gold, ChoiceGold)
    )
    assert sum(letters.values()) == rows
    if split == "val":
        assert letters == {"A": 235, "B": 278, "C": 290, "D": 268}
        categories = Counter(example.facets["category"] for example in found.examples)
        assert categories == {"证书": 334, "金融": 305, "会计": 260, "经济": 172}
