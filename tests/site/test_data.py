"""The example browser's data: complete, aligned, escaped, in parts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from evalkit.board import browser as examples
from evalkit.board.board import runs_of
from evalkit.board.browser import chunk, questions
from evalkit.run.info import Run
from evalkit.schema import Item
from tests.leaderboard.made import answers, with_head, with_items
from tests.site.material import HOSTILE, hostile, made_board, run

TITLES = {"finqa": "FinQA"}


def content(script: bytes, name: str) -> Any:
    text = script.decode("utf-8")
    start, end = f'evalkit.chunk("{name}",', ");\n"
    assert text.startswith(start)
    assert text.endswith(end)
    return json.loads(text[len(start) : -len(end)])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("data") / "hostile", "hostile", hostile, ("finqa",))


def scripts(*runs: Run) -> dict[str, bytes]:
    by_file = {str(number): each for number, each in enumerate(runs)}
    board = made_board(by_file)
    return examples.example_scripts(TITLES, runs_of(board, by_file), ["financial"])


def renamed(made: Run, name: str, items: Iterable[Item]) -> Run:
    return with_items(with_head(made, model={**made.info.raw["model"], "name": name, "title": name}), items)


def scored(item: Item, **changes: Any) -> Item:
    """The example with changes to what the default rule says of its one answer."""
    (sample,) = item.samples
    scores = {**sample.scores, "financial": replace(sample.scores["financial"], **changes)}
    return item.with_samples((replace(sample, scores=scores),))


def asked(item: Item, *messages: tuple[str, str]) -> Item:
    """The example with another prompt, of which nobody says what in it is the question."""
    return replace(item.with_samples((replace(item.samples[0], messages=messages),)), question="")


@pytest.mark.parametrize("text", [*HOSTILE, "\ud800 lone", '"]}); alert(1); //', "\\u003c", "__proto__"])
def test_any_text_survives_and_ends_no_script(text: str) -> None:
    script = chunk("b0", {"text": [text]})
    assert content(script, "b0") == {"text": [text]}
    shown = script.decode("utf-8")
    assert not set("<\u2028\u2029\n") & set(shown.removesuffix("\n"))


def test_every_answer_is_there_with_every_rules_verdict(made: Run) -> None:
    files = scripts(made)
    index = content(files["index.js"], "index")
    listed = content(files["b0.js"], "b0")
    assert index["rules"][0] == "financial"
    assert sorted(index["rules"]) == made.rules
    parts = [content(files[f"b0-{n}.js"], f"b0-{n}") for n in range(len(listed["starts"]))]
    given = [item["answers"][0] for part in parts for item in part["items"]]
    by_key = {(*item.key, sample.number): (item, sample) for item, sample in answers(made)}
    assert len(given) == len(listed["items"]) == len(by_key)
    for place, (line, answer) in enumerate(zip(listed["items"], given, strict=True)):
        id_, turn, number, gold, question, printed = line
        item, sample = by_key[id_, turn, number]
        assert (answer["text"], gold, question) == (sample.text, item.gold, item.question)
        assert printed == item.printed
        for number, rule in enumerate(index["rules"]):
            verdict = sample.scores.get(rule)
            marks = listed["verdicts"][0][number]
            code = marks[place] if marks else " "
            assert code == (" " if verdict is None else "+" if verdict.correct else "-")


def test_the_list_says_what_was_read_and_why_it_is_wrong(made: Run) -> None:
    files = scripts(made)
    index = content(files["index.js"], "index")
    listed = content(files["b0.js"], "b0")
    (said,) = listed["said"]
    assert [index["rules"][number] for number in listed["counts"]] == ["financial"]
    by_key = {(*item.key, sample.number): sample for item, sample in answers(made)}
    wrong = 0
    for place, line in enumerate(listed["items"]):
        sample = by_key[line[0], line[1], line[2]]
        score = sample.scores["financial"]
        assert index["outcomes"][ord(said["kinds"][place]) - ord("a")] == score.outcome
        assert said["why"][place] == ("" if score.correct else sample.reason)
        assert (score.extracted or "").startswith(said["read"][place].removesuffix("…"))
        wrong += not score.correct
    assert wrong


def test_a_record_without_reasons_says_why_too(made: Run) -> None:
    old = [
        replace(item.with_samples((replace(item.samples[0], reason=""),)), printed="") for item in made.items
    ]
    (said,) = content(scripts(with_items(made, old))["b0.js"], "b0")["said"]
    whole = content(scripts(made)["b0.js"], "b0")["said"][0]
    # What the dataset printed, which a reading may rest on, is not known of it.
    assert [bool(why) for why in whole["why"]] == [bool(why) for why in said["why"]]
    assert any("right is" in why for why in said["why"])


def test_a_cut_off_answer_is_marked(made: Run) -> None:
    item = made.items[0]
    items = [item.with_samples((replace(item.samples[0], finish_reason="length"),)), made.items[1]]
    (said,) = content(scripts(with_items(made, items))["b0.js"], "b0")["said"]
    assert said["cut"] == "x "


def test_facets_say_which_examples_have_a_value(made: Run) -> None:
    listed = content(scripts(made)["b0.js"], "b0")
    steps = listed["facets"]["steps"]
    by_id = {item.id: item for item in made.items}
    for line, at in zip(listed["items"], steps["at"], strict=True):
        assert steps["values"][at] == str(by_id[line[0]].facets["steps"])


def test_a_part_holds_what_its_start_says(made: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "CHUNK", 5_000)
    files = scripts(made)
    listed = content(files["b0.js"], "b0")
    starts = [*listed["starts"], len(listed["items"])]
    assert len(starts) > 4
    for number, (first, end) in enumerate(pairwise(starts)):
        part = content(files[f"b0-{number}.js"], f"b0-{number}")
        assert len(part["items"]) == end - first
        texts = {message[1] for item in part["items"] for prompt in item["prompts"] for message in prompt}
        assert texts == set(range(len(part["texts"])))


def test_spans_count_as_javascript_counts(made: Run) -> None:
    files = scripts(made)
    checked = 0
    for _, sample in answers(made):
        score = sample.scores["financial"]
        if sample.text is None or score.span is None or sample.text.isascii():
            continue
        part = content(files["b0-0.js"], "b0-0")
        answer = next(a for item in part["items"] for a in item["answers"] if a["text"] == sample.text)
        start, end = next(v[4] for v in answer["verdicts"] if v[0] == 0)
        units = sample.text.encode("utf-16-le")[2 * start : 2 * end]
        assert units.decode("utf-16-le") == sample.text[slice(*score.span)]
        checked += start != score.span[0]
    assert checked


def test_a_span_outside_the_text_marks_nothing(made: Run) -> None:
    item = made.items[0]
    part = content(scripts(with_items(made, [scored(item, span=(5, 10**9))]))["b0-0.js"], "b0-0")
    place = sorted(item.samples[0].scores).index("financial")
    assert part["items"][0]["answers"][0]["verdicts"][place][4] is None


def test_runs_are_aligned_by_example(made: Run) -> None:
    other = renamed(made, "other", reversed(made.items[3:]))
    asked_differently = renamed(made, "third", [asked(made.items[0], ("user", "Else?"))])
    files = scripts(made, other, asked_differently)
    listed = content(files["b0.js"], "b0")
    assert len(listed["items"]) == len(made.items)
    part = content(files["b0-0.js"], "b0-0")
    runs = [[answer["run"] for answer in item["answers"]] for item in part["items"]]
    assert sorted(map(len, runs)) == [1, 1, *[2] * (len(made.items) - 2)]
    first = next(item for item in part["items"] if 2 in [answer["run"] for answer in item["answers"]])
    assert len(first["prompts"]) == 2
    assert [answer["prompt"] for answer in first["answers"]] == [0, 1]
    blank = [marks.count(" ") for marks in (listed["verdicts"][1][0], listed["verdicts"][2][0])]
    assert blank == [3, len(made.items) - 1]


def test_another_gold_is_another_example(made: Run) -> None:
    other = renamed(made, "other", [replace(made.items[0], gold="1")])
    assert len(content(scripts(made, other)["b0.js"], "b0")["items"]) == len(made.items) + 1


def test_a_failed_and_an_unscored_answer_have_marks_of_their_own(made: Run) -> None:
    item = made.items[0]
    items = [
        replace(scored(item, correct=None, value=None, outcome="engine_error"), id="a"),
        replace(scored(item, correct=None, value=None, outcome="unscored"), id="b"),
    ]
    assert content(scripts(with_items(made, items))["b0.js"], "b0")["verdicts"][0][0] == "!?"


def test_questions_are_what_is_asked(tmp_path: Path) -> None:
    made = run(tmp_path / "all", "all", lambda _: "?", ("finqa", "convfinqa", "tfns"))
    for benchmark in ("finqa", "convfinqa", "tfns"):
        given = answers(made, benchmark)
        known = [" ".join(item.question.split()) for item, _ in given]
        assert all(known)
        assert questions(given) == known
        # Records that were made before questions were kept have prompts only.
        assert questions([(replace(item, question=""), sample) for item, sample in given]) == known


def test_a_single_prompt_or_an_empty_one_has_a_question(made: Run) -> None:
    one = asked(made.items[0], ("user", "Only this\n\nline"))
    nothing = asked(made.items[0])
    assert questions([(one, one.samples[0])]) == ["Only this line"]
    assert questions([(nothing, nothing.samples[0])]) == [""]
    assert questions([(one, one.samples[0])] * 2) == ["line", "line"]
