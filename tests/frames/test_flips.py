"""Flips from records: against `evalkit compare`, which reads the outputs themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.compare.flips import count_flips
from evalkit.compare.pairing import pair
from evalkit.compare.side import load_side
from evalkit.errors import UserError
from evalkit.frames import Runs, flips, load_runs
from tests.leaderboard.made import keep, record, row


def test_it_counts_what_compare_counts(runs: Runs, results: Path) -> None:
    sides = [load_side(results.parent / name / "run") for name in ("small", "large")]
    found = flips(runs, "large", "small")
    for paired in pair(*sides, same_examples=True):
        expected = count_flips(paired)
        part = found[found["benchmark"] == paired.benchmark]["change"]
        if expected is None:
            assert part.empty
            continue
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
    from evalkit.records.record import RuleVerdict

    for name, extracted in (("a", ours), ("b", theirs)):
        run = record(name, {"tfns": []})
        run.rows.append(
            row("tfns", 1, 0.0, verdicts={"financial": RuleVerdict(False, 0.0, "wrong_number", extracted)})
        )
        keep(tmp_path, run)
    assert list(flips(load_runs(tmp_path), "a", "b")["change"]) == [change]


def test_other_questions_are_refused(tmp_path: Path) -> None:
    keep(tmp_path, record("a", {"tfns": [1.0]}), record("c", {"finqa": [1.0]}))
    gold, words = record("gold", {"tfns": []}), record("words", {"tfns": []})
    gold.rows.append(row("tfns", 0, 1.0, gold="43"))
    words.rows.append(row("tfns", 0, 1.0, messages=(("user", "How many?"),)))
    keep(tmp_path, gold, words)
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
        run = record(name, {"convfinqa": []})
        messages = (("user", "How much?"), ("assistant", said), ("user", "And then?"))
        run.rows.append(row("convfinqa", 1, 1.0, turn=1, messages=messages))
        keep(tmp_path, run)
    assert list(flips(load_runs(tmp_path), "a", "b")["change"]) == ["both_right"]


def test_examples_with_several_samples_are_left_out(tmp_path: Path) -> None:
    for name in ("a", "b"):
        run = record(name, {"tfns": [1.0]})
        run.rows.extend(row("tfns", 5, 1.0, sample=at) for at in range(2))
        keep(tmp_path, run)
    assert list(flips(load_runs(tmp_path), "a", "b")["id"]) == ["tfns-0"]
