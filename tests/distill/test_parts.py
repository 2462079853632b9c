"""The parts of a data set's making, each by itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from evalkit.config.overrides import compose, to_dict
from evalkit.config.settings import read_questions
from evalkit.distill.answers import taken_apart
from evalkit.distill.contamination import contaminated
from evalkit.distill.duplicates import duplicates
from evalkit.distill.sets import split_of
from evalkit.distill.sources import audit, card_data, licence_problem, printed_accuracy
from evalkit.overlap.index import from_examples
from evalkit.schema import ChoiceGold, Example, LabelGold, Message, NumberGold

PAGE = """The company sold its mill in March. Proceeds were 48.25 million and the gain was 7.15 million.
Rent for the plant rose to 3,420 a month. Under the new contract 1,875 tons are shipped each week, for
which buyers pay 611.40 a ton. A bank lends 22.6 million at a fixed rate until the kiln is repaid, and
the board approved 9.35 million for a second kiln that will burn wood from the region's own forests."""
MOVED = """A bank lends 22.6 million at a fixed rate until the kiln is repaid, and the board approved 9.35
million for a second kiln that will burn wood from the region's own forests. Under the new contract 1,875
tons are shipped each week, for which buyers pay 611.40 a ton. Rent for the plant rose to 3,420 a month.
The gain was 7.15 million and proceeds were 48.25 million. The company sold its mill in March."""
QUESTION = "What did the mill bring in after the gain is taken off the proceeds, in millions?"


def example(question: str, page: str = "", value: float = 41.1, **more: Any) -> Example:
    gold = NumberGold(value)
    return replace(
        Example(
            "finqa", question, (Message("user", question),), gold, "page", question=question, context=page
        ),
        **more,
    )


def kinds(*examples: Example) -> list[str | None]:
    found = contaminated(list(examples), from_examples([example(QUESTION, PAGE)]))
    return [each.kind if each else None for each in found]


def test_an_evaluation_item_is_found_as_it_is_renumbered_and_reordered() -> None:
    other = str.maketrans("0123456789", "7391508264")
    assert kinds(
        example(QUESTION, PAGE),
        example(QUESTION.translate(other), PAGE.translate(other)),
        example("In millions, what did the mill bring in after the gain is taken off the proceeds?", MOVED),
    ) == ["exact", "renumbered", "reordered"]


def test_another_question_about_its_page_and_the_question_on_another_page_are_no_item() -> None:
    elsewhere = PAGE.replace("mill", "ship").replace("kiln", "boat")[:120] + " Nothing else is known of it."
    assert kinds(
        example(
            "How much rent for the plant was due in a year, at the monthly rate that is given here?", PAGE
        ),
        example("Which share of the bank's loan would the second kiln take up?", MOVED),
        example(QUESTION, elsewhere),
    ) == ["page", None, None]


def test_questions_asked_twice() -> None:
    asked = [
        example("What was the change in net revenue of the company from 2014 to 2015, in per cent?", PAGE),
        example("what was the change in net revenue of the company from 2014 to 2015 in per cent", PAGE),
        example(
            "What was the change in the net revenue of the company from 2014 to 2015, in per cent?", PAGE
        ),
        example("What was the change in net revenue of the company from 2015 to 2016, in per cent?", PAGE),
        example("What was the change in net revenue of the company from 2014 to 2015, in per cent?", MOVED),
        example(
            "What was the change in net revenue of the company from 2014 to 2015, in per cent?", PAGE, 7.0
        ),
    ]
    near = "Please say what was the change in net revenue of the company from 2014 to 2015, in per cent?"
    found = duplicates([*asked, example(near, PAGE)])
    assert found == {1: ("exact", 0), 6: ("near", 0)}


def test_options_and_labels_tell_questions_apart() -> None:
    def choice(letter: str, **options: str) -> Example:
        return example("Which of these is a liability?", gold=ChoiceGold(letter, options))

    same = [
        choice("A", A="a loan", B="a till"),
        choice("B", A="a loan", B="a debt"),
        choice("A", A="a loan", B="a till"),
    ]
    assert duplicates(same) == {2: ("exact", 0)}
    labels = [example("Profit falls", gold=LabelGold(each, ("up", "down"))) for each in ("down", "up")]
    assert duplicates(labels) == {}


@pytest.mark.parametrize(
    ("text", "thinking", "final"),
    [
        ("<think>\nA.\n</think>\n\nB", "A.", "B"),
        ("A.</think>B", "A.", "B"),
        ("B", "", "B"),
        ("<think>never ends", "", ""),
        ("<think></think>B", "", "B"),
    ],
)
def test_reasoning_and_answer(text: str, thinking: str, final: str) -> None:
    assert taken_apart(text) == (thinking, final)


def test_the_split_is_by_page_and_stays() -> None:
    pages = [f"page {number}" for number in range(400)]
    first = [split_of(example("one", page), 0, 0.2) for page in pages]
    assert first == [split_of(example("other", page, benchmark="tatqa"), 0, 0.2) for page in pages]
    assert 50 < Counter(first)["validation"] < 110
    wider = [split_of(example("one", page), 0, 0.4) for page in pages]
    assert all(after == "validation" for before, after in zip(first, wider, strict=True) if before != "train")
    assert {split_of(example("one", page), 0, 0.0) for page in pages} == {"train"}


def test_the_cards_ten_counts_add_up_and_do_not_fit_its_words() -> None:
    data = card_data()
    assert len(data.sources) == 10
    assert sum(each.records for each in data.sources) == data.total == 60_091
    findings = audit(data, printed_accuracy())
    assert [each.holds for each in findings[:3]] == [True, True, False]
    assert "10,577 of the records (17.6 %)" in findings[2].text
    lost = findings[3:]
    assert len(lost) == 4
    assert not any(each.holds for each in lost)
    assert any("FinQA has 2,948 of 8,281, 35.6 %" in each.text for each in lost)


def test_sources_that_evalkit_reads_have_the_pins_and_licences_of_their_configs() -> None:
    for source in card_data().sources:
        if source.benchmark is not None:
            settings = read_questions(to_dict(compose([f"benchmark={source.benchmark}", "data=sample"])))
            benchmark = settings.benchmark[source.benchmark]
            assert benchmark.licence == source.licence
            assert benchmark.hub is not None
            assert benchmark.hub.revision == source.revision


@pytest.mark.parametrize(
    ("licence", "is_one"),
    [("MIT", False), ("CC BY 4.0", False), ("CC BY-NC-SA 4.0", True), ("none stated", True), (None, True)],
)
def test_licences_that_need_a_word(licence: str | None, is_one: bool) -> None:
    settings = read_questions(to_dict(compose(["benchmark=finqa", "data=sample"]))).benchmark["finqa"]
    found = licence_problem(settings.model_copy(update={"licence": licence}))
    assert (found is not None) is is_one
