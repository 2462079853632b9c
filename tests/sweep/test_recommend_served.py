"""The file for so many users within so many seconds, from what was measured under load."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.commands.recommend import main
from evalkit.load.record import LoadResult, write_load
from evalkit.schema import UserError
from evalkit.sweep.recommend import Recommendation, Target, recommend
from evalkit.sweep.record import Member, Sweep, to_json
from tests.load.results import level, result
from tests.sweep.ladders import GIB
from tests.sweep.test_recommend import candidate, sweep_of

WAIT = Target(users=4, first_token=2.0)


def of_file(name: str) -> Member:
    """A member with a hash of its own, as good as the reference; later names decode faster."""
    made = candidate(name, 4, "as_good", decode=10.0 + ord(name))
    assert made.weights is not None
    return replace(made, weights=replace(made.weights, sha256=name * 64))


SWEEP: Sweep = sweep_of(of_file("a"), of_file("b"), of_file("c"))


def load(name: str, first: float, users: int = 4, peak: float = 3, **shape: int) -> LoadResult:
    levels = (level(1, 0.1), level(users, first, peak=round(peak * GIB)))
    return result(name, name * 64, levels, **shape)


def found(*loads: LoadResult, target: Target | None = WAIT, memory: float = 5) -> Recommendation:
    return recommend(SWEEP, round(memory * GIB), target=target, loads=loads)


def test_the_best_of_those_that_answer_in_time() -> None:
    said = found(load("a", 1.0), load("b", 1.5), load("c", 2.5))
    assert said.chosen is not None
    assert said.chosen.member.name == "b"  # c decodes faster, and is too slow with four users
    assert said.chosen.served is not None
    assert said.chosen.served.level.users == 4
    assert [each.member.name for each in said.too_slow] == ["c"]
    assert said.chosen.bytes == 3 * GIB  # what serving it so took


def test_what_was_not_measured_with_so_many_is_no_choice() -> None:
    said = found(load("a", 1.0), load("c", 0.5, users=2))
    assert said.chosen is not None
    assert said.chosen.member.name == "a"
    assert [each.member.name for each in said.unmeasured] == ["b", "c"]
    more = found(load("a", 1.0), load("c", 1.5, users=8))
    assert more.chosen is not None
    assert more.chosen.member.name == "c"  # more users waited no longer


def test_of_several_settings_the_one_that_meets_it_with_least_memory() -> None:
    large, small, slow = (
        load("a", 1.0, peak=4.5, slots=8),
        load("a", 1.9, peak=3.5, slots=4),
        load("a", 2.1, peak=2.0, slots=1),
    )
    said = found(large, small, slow)
    assert said.chosen is not None
    assert said.chosen.served is not None
    assert said.chosen.served.load.slots == 4
    with pytest.raises(UserError, match=r"a waits 2\.10 s for a first token \(p95\)$"):
        found(large, small, slow, memory=3.4)
    asked = recommend(SWEEP, 5 * GIB, target=WAIT, slots=8, loads=[large, small])
    assert asked.chosen is not None
    assert asked.chosen.served is not None
    assert asked.chosen.served.load is large


def test_the_wait_for_each_token_counts_where_it_is_said() -> None:
    one = [load("a", 1.0)]  # 0.05 s for a token
    assert recommend(SWEEP, 5 * GIB, target=Target(4, 2.0, 0.06), loads=one).chosen
    with pytest.raises(UserError, match="is known to answer 4 users in time"):
        recommend(SWEEP, 5 * GIB, target=Target(4, 2.0, 0.04), loads=one)


def test_without_a_target_only_the_asked_shape_has_a_command() -> None:
    assert _served(found(load("c", 9.0), target=None)) is not None
    assert _served(found(load("c", 9.0, slots=2), target=None)) is None
    assert _served(recommend(SWEEP, 5 * GIB, slots=2, loads=[load("c", 9.0, slots=2)])) is not None


def _served(said: Recommendation) -> object:
    assert said.chosen is not None
    assert said.chosen.member.name == "c"
    return said.chosen.served


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("results/load/b/0")
    folder.mkdir(parents=True)
    write_load(load("b", 1.5), folder)
    Path("sweep.json").write_text(to_json(SWEEP), encoding="utf-8")
    words = ["memory=5GiB", "sweep=sweep.json", "users=3", "p95=2"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "4 users at once, 95 % within: first token 1.5 s" in out
    assert "serve it: llama-server --model 'b 1.gguf' --parallel 4" in out
    assert "not measured under load" in out
    for wrong, why in (
        (words[:3], "belong together"),
        (["p95=0", *words[:3]], "p95=0: give a number above 0"),
    ):
        with pytest.raises(UserError, match=why):
            main(wrong)
