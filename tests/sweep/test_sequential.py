"""Sweeps whose members stop when their verdicts are there, on scripted services."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from evalkit.__main__ import main
from evalkit.config.overrides import compose
from evalkit.run.generations import Writer
from evalkit.schema import Answer, UserError
from evalkit.stats.sequential import PageBets, log_capital, most_lost
from evalkit.sweep.plan import plan
from evalkit.sweep.record import Looked, Sweep, read_sweep
from tests.backends.scripted_server import Reply, Request, ScriptedServer

QUESTIONS = 120


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-a-test")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two questions a page; a question's number is its answer."""
    path = tmp_path / "units.csv"
    rows = [f"u{n},What did unit {n} earn?,{n},page {n // 2}" for n in range(1000, 1000 + QUESTIONS)]
    path.write_text("\n".join(["id,question,answer,group", *rows]) + "\n")
    return path


def number(request: Request) -> int:
    found = re.search(r"unit (\d+)", request.text)
    assert found
    return int(found.group(1))


def right(request: Request) -> Reply:
    return Reply(f"\\boxed{{{number(request)}}}")


def wrong_on_a_third(request: Request) -> Reply:
    n = number(request)
    return Reply(f"\\boxed{{{2 * n if n % 3 == 0 else n}}}")


def words(table: Path, folder: Path, *services: ScriptedServer) -> list[str]:
    return [
        *("sweep", *(service.url for service in services), "reference=base", f"benchmark={table}"),
        *("data=sample", "stop=resolved", "sweep.margin=20", "sweep.noise=none", f"results_dir={folder}"),
        *("sweep.dir=" + str(folder / "sweep"), "backend=remote", "backend.slots=3"),
    ]


def questions(service: ScriptedServer) -> int:
    """How many of the table's questions it was asked; a probe is none."""
    return sum("earn" in request.text for request in service.requests)


def looked(sweep: Sweep, member: str) -> Looked:
    [found] = sweep.member(member).looks
    return found


def test_members_stop_when_their_verdicts_are_there(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as services:
        base, equal, worse = (
            services.enter_context(ScriptedServer(handler, models=[name]))
            for name, handler in (("base", right), ("equal", right), ("worse", wrong_on_a_third))
        )
        given = words(table, tmp_path / "results", equal, base, worse)
        assert main(given) == 0
        asked = [questions(service) for service in (base, equal, worse)]
        assert main(given) == 0, "what has stopped is complete"
        assert [questions(service) for service in (base, equal, worse)] == asked
    found = read_sweep(tmp_path / "results" / "sweep")
    verdicts = {m.name: c.verdict.kind for m in found.members for c in m.comparisons}
    assert verdicts == {"equal": "as_good", "worse": "worse"}
    assert asked[0] == QUESTIONS
    for name, count in (("equal", asked[1]), ("worse", asked[2])):
        look = looked(found, name)
        assert look.items_of == QUESTIONS
        assert look.items < 0.8 * QUESTIONS
        assert look.items <= count <= look.items + 6, "no more than what was in flight"
    worse_by = found.member("worse").comparisons[0].difference
    assert worse_by.low <= -1 / 3 <= worse_by.high < 0
    assert "saved" in capsys.readouterr().out
    ended = {m.name: next(b for b in m.behaviours if b.name.startswith("ended")) for m in found.members}
    assert ended["base"].difference is None
    assert ended["base"].candidate is not None
    assert ended["base"].candidate.n == QUESTIONS
    difference = ended["worse"].difference
    assert difference is not None
    assert difference.n == looked(found, "worse").items
    report = (tmp_path / "results" / "sweep" / "report.md").read_text()
    assert "## Stopped when resolved" in report


def test_the_references_other_answers_are_used(table: Path, tmp_path: Path) -> None:
    def mostly_right(request: Request) -> Reply:
        return right(request) if number(request) % 5 > 1 else Reply("\\boxed{0}")

    def mostly_wrong(request: Request) -> Reply:
        return right(request) if number(request) % 5 == 0 else Reply("\\boxed{0}")

    with (
        ScriptedServer(mostly_right, models=["base"]) as base,
        ScriptedServer(mostly_wrong, models=["other"]) as other,
    ):
        assert main(words(table, tmp_path / "results", base, other)) == 0
    look = looked(read_sweep(tmp_path / "results" / "sweep"), "other")
    made, fixed = look.controlled, look.fixed.difference
    assert made is not None
    assert (made.others, made.difference.n) == (QUESTIONS - look.items, look.items)
    assert made.weight > 0
    assert made.difference.high - made.difference.low < fixed.high - fixed.low
    report = (tmp_path / "results" / "sweep" / "report.md").read_text()
    assert "And by the reference's others" in report
    assert "No verdict rests on it" in report


def test_killed_and_resumed_it_stops_at_the_same_page(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, append = 0, Writer.append

    def interrupted(writer: Writer, records: Sequence[Answer]) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt
        append(writer, records)

    monkeypatch.setattr(Writer, "append", interrupted)
    with (
        ScriptedServer(right, models=["base"]) as base,
        ScriptedServer(wrong_on_a_third, models=["other"]) as other,
    ):
        assert main(words(table, tmp_path / "whole", base, other)) == 0
        given = words(table, tmp_path / "killed", base, other)
        left = QUESTIONS + 20
        assert [main(given), main(given)] == [130, 0]
    found = [read_sweep(tmp_path / name / "sweep") for name in ("whole", "killed")]
    whole, killed = (looked(each, "other") for each in found)
    assert 0 < whole.items < QUESTIONS
    assert whole == killed
    assert found[0].member("other").comparisons == found[1].member("other").comparisons


def test_a_budget_ends_a_member(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter(range(1_000_000))
    late = SimpleNamespace(monotonic=lambda: time.monotonic() + 600 * next(looks))  # ten minutes a look
    monkeypatch.setattr("evalkit.sweep.sequential.time", late)
    with ScriptedServer(right, models=["base"]) as base, ScriptedServer(right, models=["other"]) as other:
        assert main([*words(table, tmp_path / "results", base, other), "budget=22h"]) == 0
    sweep = read_sweep(tmp_path / "results" / "sweep")
    assert 0 < looked(sweep, "other").items < 60
    [found] = sweep.member("other").comparisons
    assert found.verdict.kind == "unresolved"


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["stop=resolved"], "give reference=NAME"),
        (["stop=resolved", "reference=smollm2-135m", "executor=ray"], "not with Ray"),
        (["budget=8h"], "give stop=resolved"),
        (["stop=soon"], "stop"),
        (["stop=resolved", "budget=soon"], "8h, 90min"),
    ],
)
def test_what_is_refused(more: list[str], what: str) -> None:
    with pytest.raises(UserError, match=what):
        plan(["smollm2-135m", "fin-r1-q4_k", "data=sample", *more])


def test_a_budget_is_read_in_hours_and_minutes() -> None:
    words = ["smollm2-135m", "fin-r1-q4_k", "data=sample", "reference=smollm2-135m", "stop=resolved"]
    seconds = {text: plan([*words, f"budget={text}"]).settings.budget for text in ("8h", "90min", "1h30min")}
    assert seconds == {"8h": 28_800, "90min": 5_400, "1h30min": 5_400}


def test_bets_are_those_of_the_formula() -> None:
    rng = np.random.default_rng(1)
    sizes = rng.integers(1, 4, 60).astype(float)
    sums = np.array([rng.choice([-1, 0, 1], int(size), p=[0.3, 0.6, 0.1]).sum() for size in sizes])
    right = np.array([rng.integers(max(0, -s), n - max(0, s) + 1) for s, n in zip(sums, sizes, strict=True)])
    wrong = sizes - right
    bets = PageBets(right.tolist(), wrong.tolist(), 0.02)
    for gain, size in zip(sums, sizes, strict=True):
        bets.add(float(gain), int(size))
    up, down = (log_capital(sums[None], right, wrong, 0.0, sign) for sign in (1, -1))
    largest = np.logaddexp(up, down).max() - np.log(2)
    assert bets.p_difference == pytest.approx(min(1.0, np.exp(-largest)))
    other = log_capital(sums[None], right, wrong, -0.02, 1).max()
    assert bets.p_non_inferior == pytest.approx(min(1.0, np.exp(-other)))
    low, high = bets.limits()
    assert bets.difference == pytest.approx(sums.sum() / sizes.sum())
    assert low < bets.difference < high < 0


def test_one_slow_bet_by_hand() -> None:
    """One item lost: capital of each bet is 1 - λ or 1 + λ, of the mean over the grid of bets."""
    bets = PageBets([1], [1], 0.5)
    bets.add(-1.0, 1)
    fractions = np.geomspace(0.01, 0.95, 24)
    # Against "a loss of one half", bets are fractions / (1 - 1/2), and the outcome is -1 + 1/2.
    assert bets.p_non_inferior == 1.0
    assert bets.p_difference == pytest.approx(1.0)
    bets.add(-1.0, 1)
    capital = ((1 + fractions) ** 2 + (1 - fractions) ** 2).mean() / 2
    assert bets.p_difference == pytest.approx(1 / capital)


def test_a_page_loses_no_more_than_the_reference_has_right() -> None:
    right, wrong = np.array([2.0, 5.0, 1.0]), np.array([8.0, 1.0, 2.0])
    assert most_lost(right, wrong, 0.0, 1) == 5
    assert most_lost(right, wrong, 0.0, -1) == 8
    assert most_lost(right, wrong, -0.2, 1) == pytest.approx(5 * 0.8), "the wrong ones may all have failed"
    assert most_lost(right, wrong, -0.2, -1) == pytest.approx(8 * 1.2 + 2 * 0.2)
    assert most_lost(right, wrong, 0.2, 1) == pytest.approx(max(2 * 1.2 + 8 * 0.2, 5 * 1.2 + 0.2))
    assert most_lost(np.zeros(3), wrong, 0.0, 1) == 1, "no bet is beyond all bounds"
    whole, known = PageBets([10] * 3, [10] * 3, 0.02), PageBets([2] * 3, [8] * 3, 0.02)
    for bets in (whole, known):
        for _ in range(30):
            bets.add(1.0, 10)
    assert known.p_non_inferior < whole.p_non_inferior / 10


@pytest.mark.parametrize(("gain", "items"), [(2.0, 1), (0.0, 4), (-1.5, 1), (1.5, 2), (-2.5, 3)])
def test_pages_that_cannot_be(gain: float, items: int) -> None:
    with pytest.raises(ValueError, match="items"):
        PageBets([1, 0, 2], [0, 1, 1], 0.02).add(gain, items)


def test_looking_after_every_page_claims_no_more_than_promised() -> None:
    from bench.sequential import looks
    from bench.statistics import Design

    design, repeats = Design(150, "1-4", 0.3), 200
    found = looks(np.random.default_rng(3), repeats, design, 0.3, 0.0)
    assert found.changed <= 0.05 + 3 * (0.05 * 0.95 / repeats) ** 0.5
    assert looks(np.random.default_rng(3), repeats, design, 0.3, -0.25).changed > 0.9


def test_the_settings_have_a_place() -> None:
    block = compose(["+sweep=custom", "data=sample"])["sweep"]
    assert (block["stop"], block["budget"]) == (None, None)
