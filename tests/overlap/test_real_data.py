"""The real records (EVALKIT_DATA_DIR) looked for in themselves, and in each other."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from evalkit.config.overrides import compose, to_dict
from evalkit.config.settings import read_questions
from evalkit.overlap import Level, check_overlap
from evalkit.overlap.index import EvaluatedExample, from_examples, texts
from evalkit.run.runner import load_data

DATA = Path(os.environ.get("EVALKIT_DATA_DIR", ""))
pytestmark = pytest.mark.skipif(not os.environ.get("EVALKIT_DATA_DIR"), reason="EVALKIT_DATA_DIR is not set")


def asked(benchmark: str, limit: int) -> list[EvaluatedExample]:
    settings = ["data=local", f"data.dir={DATA}", f"benchmark={benchmark}", f"limit={limit}"]
    loaded = load_data(read_questions(to_dict(compose(settings))))[benchmark]
    return from_examples(loaded.examples)


def levels(benchmark: str, *files: Path, limit: int = 200) -> Counter[Level]:
    training = (text for file in files for text in texts(file))
    return Counter(match.level for match in check_overlap(asked(benchmark, limit), training))


@pytest.mark.parametrize(("benchmark", "file"), [("finqa", "test.json"), ("convfinqa", "dev.json")])
def test_pages_and_their_questions_are_found_in_their_own_file(benchmark: str, file: str) -> None:
    assert set(levels(benchmark, DATA / benchmark / file)) == {"exact"}


def test_tweets_are_found_in_their_own_file() -> None:
    found = levels("tfns", DATA / "tfns" / "sent_valid.csv")
    assert found["none"] == found["shared"] == found["page"] == 0
    assert found["exact"] >= 0.97 * found.total()


def test_chinese_questions_are_found_in_their_own_files() -> None:
    found = levels("ant_finance", *sorted((DATA / "ant_finance").rglob("*.csv")))
    assert found["exact"] + found["near"] >= 0.97 * found.total()


def test_other_benchmarks_are_not_in_there() -> None:
    assert set(levels("tfns", DATA / "finqa" / "test.json")) <= {"none", "short"}
    assert set(levels("ant_finance", DATA / "tfns" / "sent_valid.csv")) <= {"none", "short"}
    # Test and dev pages are of the same companies' reports: boilerplate may be shared, whole items may not.
    assert not {"exact", "near", "page"} & set(levels("finqa", DATA / "convfinqa" / "dev.json"))
