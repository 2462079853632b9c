"""A small version of `python -m bench statistics judge`."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from bench.judge_statistics import (
    Cell,
    JudgeSimulation,
    Setting,
    cell,
    paged_settings,
    print_judges,
    settings,
    simulate_judges,
)
from bench.statistics import main
from evalkit.schema import UserError

SMALL = [
    Setting(0.7, 0.9, 0.6, 500, 200, "random"),
    Setting(0.98, 0.6, 0.3, 100, 200, "random"),
    Setting(0.9, 0.9, 0.6, 2000, 200, "per class"),
    Setting(0.9, 0.9, 0.6, 600, 200, "other pages"),
    Setting(0.7, 0.9, 0.6, 600, 200, "same pages"),
]


@pytest.fixture(scope="module")
def small() -> JudgeSimulation:
    return simulate_judges(1000, 1, SMALL)


def test_promises_are_kept(small: JudgeSimulation) -> None:
    checks = small.checks()
    assert [check.points for check in checks] == [3, 2, 2, 2]
    assert [check.title for check in checks if not check.kept] == []
    assert not any(found.lacks("corrected") or found.lacks("powered") for found in small.cells)


def test_raw_score_and_textbook_interval_do_not_cover(small: JudgeSimulation) -> None:
    raw = [found.raw for found in small.cells]
    assert min(raw) < 0.3
    assert max(raw) < 0.92
    pages = small.cells[3]
    assert pages.textbook < 0.9 < pages.corrected
    assert small.cells[2].powered is None


def test_useless_judge_is_refused_and_nothing_is_promised() -> None:
    found = cell(np.random.default_rng(2), 500, Setting(0.5, 0.5, 0.6, 200, 100, "random"))
    assert found.refused > 0.9
    assert found.corrected > 0.95
    assert found.lacks("corrected") == "u"
    assert found.powered is not None
    assert found.powered == pytest.approx(0.95, abs=0.03)


def test_what_lacks() -> None:
    def lacks(setting: Setting) -> tuple[str, str]:
        found = Cell(setting, 0.95, 0.95, 0.5, 0.9, 0.0)
        return found.lacks("corrected"), found.lacks("powered")

    enough = Setting(0.9, 0.9, 0.6, 100, 100, "random")
    assert lacks(enough) == ("", "")
    assert lacks(replace(enough, truth=0.95)) == ("c", "c")
    assert lacks(replace(enough, truth=0.85)) == ("", "c")
    assert lacks(replace(enough, specificity=0.97, sensitivity=0.97)) == ("m", "m")
    assert lacks(replace(enough, specificity=0.98, sensitivity=0.96)) == ("", "m")
    assert lacks(replace(enough, labelled=72, labels="other pages")) == ("cm", "cm")


def test_grid_is_the_one_asked_for() -> None:
    single, paged = settings(), paged_settings()
    assert {found.labels for found in single + paged} == {"random", "per class", "other pages", "same pages"}
    for of in (lambda s: s.specificity, lambda s: s.sensitivity):
        assert (min(map(of, single)), max(map(of, single))) == (0.6, 0.98)
    assert {found.judged for found in single} == {100, 500, 2000}
    assert {found.labelled for found in single} == {50, 100, 200, 500}


def test_report(small: JudgeSimulation) -> None:
    console = Console(width=160, file=StringIO(), record=True)
    assert print_judges(small, console)
    text = console.export_text()
    assert "one item of every page labelled; 1,000 samples each" in text
    assert "raw judged score" in text
    broken = JudgeSimulation([replace(small.cells[0], corrected=0.8)], 1000)
    assert not print_judges(broken, console)
    assert "BROKEN" in console.export_text()


def test_equal_seeds_equal_results() -> None:
    runs = [simulate_judges(100, seed, SMALL[3:]) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["judge", "repeats=5"], "statistics judge: repeats=5: give a whole number from 100 to"),
        (["judge", "clusters=20"], "no such setting"),
        (["judge", "seed=x"], "statistics judge: seed=x"),
    ],
)
def test_wrong_requests(arguments: list[str], says: str) -> None:
    with pytest.raises(UserError) as raised:
        main(arguments)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
