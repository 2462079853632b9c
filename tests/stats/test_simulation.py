"""A small version of `python -m bench statistics simulate`, and its command line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.statistics import (
    Cell,
    Check,
    Design,
    Simulation,
    differences,
    false_as_good,
    false_worse,
    latent,
    main,
    paired_cell,
    simulate,
    single_cell,
)
from evalkit.commands.statistics import main as required
from evalkit.schema import UserError

REPEATS = 200


@pytest.fixture(scope="module")
def small() -> Simulation:
    return simulate(REPEATS, seed=1, pages=(50,))


def test_design_has_the_correlation() -> None:
    u = latent(np.random.default_rng(0), 4000, Design(25, "2", 0.6))
    scores = (u < 0.3).astype(float)
    first, second = scores[:, ::2].ravel(), scores[:, 1::2].ravel()
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(0.6, abs=0.02)
    assert scores.mean() == pytest.approx(0.3, abs=0.01)
    changes = differences(u, 0.3, -0.1)
    assert (np.abs(changes).mean(), changes.mean()) == pytest.approx((0.3, -0.1), abs=0.01)
    assert Design(8, "1-4", 0.5).clusters.n == 20
    assert Design(8, "4", 0.5).effective == 32 / 2.5


def test_promises_are_kept(small: Simulation) -> None:
    checks = small.checks()
    assert len(checks) == 8
    assert [check.title for check in checks if not check.kept] == []
    assert all(check.points >= 3 for check in checks)


def test_unclustered_intervals_are_too_narrow() -> None:
    rng = np.random.default_rng(2)
    design = Design(50, "4", 0.6)
    cell = paired_cell(rng, 1000, design, 0.3, 0.0, 0.02)
    assert cell.naive_covered < 0.82
    assert cell.covered == pytest.approx(0.955, abs=0.025)
    assert single_cell(rng, 1000, design, 0.75).naive_covered < 0.82


def test_rare_changes_are_why_not_t() -> None:
    """A loss of just the margin without any gain: t accepts it whenever luck hides most of it."""
    cell = paired_cell(np.random.default_rng(3), 1000, Design(150, "1", 0.0), 0.02, -0.02, 0.02)
    assert cell.accepted is not None
    assert cell.t_accepted is not None
    assert cell.t_accepted > 0.15
    assert cell.accepted < 0.075
    assert not cell.enough


def test_family_needs_the_correction() -> None:
    rng = np.random.default_rng(4)
    worse, as_good = false_worse(rng, 200, 0.3), false_as_good(rng, 200, 0.3, 0.02)
    assert worse.uncorrected > 0.3
    assert as_good.uncorrected > 0.5
    assert max(worse.benchmarks, as_good.benchmarks) < 0.1


def test_equal_seeds_equal_results() -> None:
    def cell(seed: int) -> Cell:
        return paired_cell(np.random.default_rng(seed), 3000, Design(20, "1-4", 0.3), 0.3, 0.0, 0.02)

    assert cell(1) == cell(1) != cell(2)


def test_broken_promise() -> None:
    check = Check("coverage", 0.93, 0.97, (0.93, 0.97), 10, 10_000)
    assert check.kept
    assert not replace(check, lowest=0.92).kept
    assert not replace(check, highest=0.98).kept
    assert replace(check, lowest=0.92, repeats=400).kept


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert required(["required", "difference=2", "discordant=10"]) == 0
    assert capsys.readouterr().out.startswith("1,960 independent items")
    assert main(["simulate", "repeats=100", "clusters=20"]) == 0
    out = capsys.readouterr().out
    assert "20     1-4        0.6" in out
    assert "BROKEN" not in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "judge|simulate"),
        (["simulate", "repeat=5"], "Did you mean repeats?"),
        (["simulate", "repeats=5"], "from 100 to"),
        (["simulate", "clusters=20,,50"], "clusters="),
        (["required"], "difference="),
        (["required", "difference=2"], "discordant="),
        (["required", "difference=nan", "discordant=10"], "difference=nan"),
        (["required", "difference=12", "discordant=10"], "cannot exceed"),
    ],
)
def test_wrong_requests(arguments: list[str], says: str) -> None:
    with pytest.raises(UserError) as raised:
        (required if arguments[:1] == ["required"] else main)(arguments)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
