"""Gold answers in a column of a data set: all kinds there and back, and what is wrong with a wrong one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, load_dataset

from evalkit.rewards.gold import MAX_CHARS, gold_json, read_gold
from evalkit.schema import (
    ChoiceGold,
    Gold,
    LabelGold,
    NumberGold,
    SpansGold,
    TextGold,
    UserError,
    YesNoGold,
)

TABLE = (("", "2021", "2022"), ("fees", "40.2", "42.3"))
GOLDS: tuple[Gold, ...] = (
    NumberGold(-0.0523, "by what share did fees change?", "-5.23%", "divide(1, 2)", TABLE),
    NumberGold(12),
    YesNoGold(False, "费用增加了吗？"),
    ChoiceGold("B", {"A": "a bond", "B": "a share"}),
    LabelGold("bullish", ("bearish", "bullish", "neutral")),
    TextGold("Duration is a weighted time."),
    SpansGold(("12.5", "11"), "million", "multi-span", "which fees?"),
)


@pytest.mark.parametrize("gold", GOLDS, ids=lambda gold: type(gold).__name__)
def test_every_kind_comes_back_as_it_was(gold: Gold) -> None:
    text = gold_json(gold)
    assert "\n" not in text
    found = read_gold(text)
    assert found == gold
    assert getattr(found, "table", ()) == getattr(gold, "table", ())  # which is left out of comparisons
    assert read_gold(json.loads(text)) == gold


def test_what_is_as_by_default_is_left_out() -> None:
    assert json.loads(gold_json(NumberGold(1.5))) == {"kind": "number", "value": 1.5}


def test_a_column_of_objects_and_one_of_text_hold_all_kinds_in_parquet(tmp_path: Path) -> None:
    rows = [{"text": gold_json(gold), "object": json.loads(gold_json(gold))} for gold in GOLDS[1:]]
    Dataset.from_list(rows).to_parquet(tmp_path / "rows.parquet")
    back = load_dataset(
        "parquet", data_files=str(tmp_path / "rows.parquet"), split="train", cache_dir=tmp_path
    )
    assert "letter" in back[0]["object"]  # null for a number: the rows of a column have the same fields
    assert [read_gold(row["text"]) for row in back] == list(GOLDS[1:])
    assert [read_gold(row["object"]) for row in back] == list(GOLDS[1:])


def test_numpys_lists_and_numbers_are_read() -> None:
    labels = np.array(["up", "down"], dtype=object)
    assert read_gold({"kind": "label", "label": "up", "labels": labels}) == LabelGold("up", ("up", "down"))
    assert read_gold({"kind": "number", "value": np.float64(2.5)}) == NumberGold(2.5)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (7.5, "not an object"),
        ("7.5", "not an object"),
        ("[1]", "not an object"),
        ("seven", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ({"kind": "number", "value": {1, 2}}, "not JSON"),
        ({"value": 1}, "kind null: it is one of number, yes_no"),
        ({"kind": "numbr", "value": 1}, "Did you mean number?"),
        ({"kind": ["number"], "value": 1}, "it is one of"),
        ({"kind": "number"}, "kind number needs the field 'value'"),
        ({"kind": "number", "value": None}, "kind number needs the field 'value'"),
        ({"kind": "number", "value": "1"}, "field 'value' of kind number: input should be a valid number"),
        ({"kind": "number", "value": True}, "field 'value' of kind number"),
        ('{"kind": "number", "value": NaN}', "not a finite number"),
        ('{"kind": "number", "value": 1e999}', "not a finite number"),
        (f'{{"kind": "number", "value": 1{"0" * 400}}}', "not a finite number"),
        ({"kind": "number", "value": 1, "quest": "?"}, 'no field "quest". Did you mean question?'),
        ({"kind": "yes_no", "yes": "yes"}, "field 'yes' of kind yes_no"),
        ({"kind": "choice", "letter": "C", "options": {"A": "1", "B": "2"}}, 'letter "C" is none of the'),
        ({"kind": "choice", "letter": "A", "options": {"A": 1}}, "field 'options.A' of kind choice"),
        ({"kind": "label", "label": "up", "labels": ["down"]}, 'label "up" is none of the labels'),
        ({"kind": "spans", "texts": []}, "texts is empty"),
        ({"kind": "spans", "texts": ["1"], "scale": "dozen"}, "it is empty or one of thousand"),
        ({"kind": "spans", "texts": ["1"], "spans_kind": "many"}, "of kind spans"),
        ("x" * (MAX_CHARS + 1), "at most"),
        ('{"kind": "text", "reference": "\\ud800"}', "kind text"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_one_is_one_line_that_says_what(value: object, says: str) -> None:
    with pytest.raises(UserError) as error:
        read_gold(value)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400
