"""Flips from records: against `evalkit compare`, which reads the outputs themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.compare.pairs import pair
from evalkit.flips import count_flips, only_answer
from evalkit.frames import Runs, flips, load_runs
from evalkit.run.record import load_run
from evalkit.schema import Score, UserError
from tests.leaderboard.made import item, keep, run


def test_it_counts_what_compare_counts(runs: Runs, results: Path) -> None:
    sides = [load_run(results.parent / name / "run") for name in ("small", "large")]
    found = flips(runs, "large", "small")
    for paired in pair(*sides, same_examples=True):
        given = ([only_answer(item, paired.rule) for item in items] for items in paired.pairs)
        expected = count_flips((before, after) for after, before in given if before and after)
        part = found[found["benchmark"] == paired.benchmark]["change"]
        assert len(part) == expected.n
        for kind in ("right_to_wrong", "wrong_to_right", "wrong_to_other_wrong"):
            assert (part == kind).sum() == getattr(expected, kind)
    assert (found["change"] == "right_to_wrong").sum() == 4
    assert (found["change"] == "wrong_to_other_wrong").sum() == 1


def test_it_names_the_answers_of_both_sides(runs: Runs) -> None:
    for pair_ in flips(runs, "large", "small").to_dict("records"):
        a, b = runs.answers.loc[pair_["answer_a"]], runs.answers.loc[pair_["answer_b"]]
        assert (a["id"], b["id"]) == (pair_["id"], pair_["id"])
        assert (a["label"], b["label"]) == ("large", "small")


@pytest.mark.parametrize(
    ("ours", "theirs", "change"),
    [
        ("1,234", "1234.0", "same_wrong"),
        ("7.5%", "0.075", "same_wrong"),
        ("\\text{No}", "no", "same_wrong"),
        ("12", "13", "wrong_to_other_wrong"),
        (None, "13", "wrong_to_other_wrong"),
        (None, None, "same_wrong"),
    ],
)
def test_wrong_answers_that_say_the_same_are_the_same(
    tmp_path: Path, ours: str | None, theirs: str | None, change: str
) -> None:
    for name, extracted in (("a", ours), ("b", theirs)):
        scores = {"financial": Score(extracted, False, 0.0, "wrong_number")}
        keep(tmp_path, run(name, {"tfns": []}, item("tfns", 1, 0.0, scores=scores)))
    assert list(flips(load_runs(tmp_path), "a", "b")["change"]) == [change]


def test_other_questions_are_refused(tmp_path: Path) -> None:
    gold = run("gold", {"tfns": []}, item("tfns", 0, 1.0, gold="43"))
    words = run("words", {"tfns": []}, item("tfns", 0, 1.0, messages=(("user", "How many?"),)))
    keep(tmp_path, run("a", {"tfns": [1.0]}), run("c", {"finqa": [1.0]}), gold, words)
    runs = load_runs(tmp_path)
    for other, says in (
        ("gold", "other gold answers"),
        ("words", "other prompts"),
        ("c", "no examples in common"),
    ):
        with pytest.raises(UserError, match=says):
            flips(runs, "a", other)


def test_own_earlier_answers_are_no_other_question(tmp_path: Path) -> None:
    for name, said in (("a", "7"), ("b", "8")):
        messages = (("user", "How much?"), ("assistant", said), ("user", "And then?"))
        keep(tmp_path, run(name, {"convfinqa": []}, item("convfinqa", 1, 1.0, turn=1, messages=messages)))
    assert list(flips(load_runs(tmp_path), "a", "b")["change"]) == ["both_right"]


def test_examples_with_several_samples_are_left_out(tmp_path: Path) -> None:
    for name in ("a", "b"):
        keep(tmp_path, run(name, {"tfns": [1.0]}, item("tfns", 5, 1.0, 1.0)))
    assert list(flips(load_runs(tmp_path), "a", "b")["id"]) == ["tfns-0"]
