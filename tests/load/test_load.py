"""Users of a toy engine, percentiles, and the record."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalkit.__main__ import main
from evalkit.engines import EngineDied, Heard
from evalkit.load.measure import Extent, Question, measure, questions_of
from evalkit.load.record import FILE, Level, LoadResult, Waits, loads_in, read_load, waits, write_load
from evalkit.report.load import level_row, load_lines
from evalkit.schema import Completion, EngineUnusable, GenerationSettings, Loaded, Message, UserError
from tests.backends.scripted_server import Reply, ScriptedServer
from tests.load.results import level, result
from tests.runner.test_schedule import SAMPLING, ToyEngine
from tests.runner.toy import dialogue, example

LONG = Extent(requests=4, seconds=600)


class Streaming(ToyEngine):
    """Says three pieces. ``most`` is how many requests it had at once; `what` decides about each question."""

    def __init__(self, what: Mapping[str, str] | None = None) -> None:
        super().__init__(slots=2)
        self.asked: list[str] = []
        self.most = self._now = 0
        self._what = what or {}
        self.stopped = False

    def server_command(self) -> list[str]:
        return ["serve"]

    async def stop(self) -> None:
        self.stopped = True

    async def stream(
        self, messages: Sequence[Message], sampling: GenerationSettings, heard: Heard
    ) -> Completion:
        name = messages[-1].content
        self.asked.append(name)
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            return await self._answer(self._what.get(name, ""), heard)
        finally:
            self._now -= 1

    async def _answer(self, what: str, heard: Heard) -> Completion:
        if what == "dies":
            raise EngineDied("killed")
        if what == "fails":
            return Completion(None, None, error="engine_error: no")
        for number in range(3):
            await asyncio.sleep(0)
            heard({"draft_n": 4 * number, "draft_n_accepted": 3 * number})
            if what == "hangs":
                await asyncio.Event().wait()
        return Completion("a b c", "stop", prompt_tokens=10, cached_tokens=4, completion_tokens=3)


def questions(count: int) -> list[Question]:
    return [Question((Message("user", f"q{number}"),), SAMPLING) for number in range(count)]


def levels(engine: Streaming, users: Sequence[int], asked: int, extent: Extent = LONG) -> list[Level]:
    found: list[Level] = []
    asyncio.run(measure(engine, questions(asked), users, extent, found.append))
    return found


def test_percentiles_are_waits_that_were_seen() -> None:
    assert waits(float(n) for n in range(200, 0, -1)) == Waits(100.0, 190.0, 198.0, 200)
    assert waits([0.5]) == Waits(0.5, 0.5, 0.5, 1)
    assert waits([]) is None


def test_so_many_users_ask_at_once_and_no_level_repeats_another() -> None:
    engine = Streaming()
    one, three = levels(engine, [1, 3], asked=16)
    assert (one.done, three.done) == (4, 12)
    assert sorted(engine.asked) == sorted(f"q{n}" for n in range(16))
    assert engine.most == 3
    assert engine.stopped
    assert (three.prompt_tokens, three.cached_tokens, three.answer_tokens) == (120, 48, 36)
    assert (three.draft_tokens, three.draft_accepted) == (96, 72)
    assert three.first_token is not None
    assert three.pause is not None
    assert (three.first_token.n, three.pause.n) == (12, 24)


def test_what_failed_counts_in_no_wait() -> None:
    [found] = levels(Streaming({"q1": "fails"}), [2], asked=8)
    assert (found.asked, found.done, found.failed, found.unfinished) == (8, 7, 1, 0)
    assert found.first_token is not None
    assert found.first_token.n == 7
    assert found.reason == "engine_error: no"


def test_time_ends_a_level_and_what_is_under_way_is_said() -> None:
    [found] = levels(Streaming({"q0": "hangs"}), [1], asked=4, extent=Extent(4, 0.05))
    assert (found.asked, found.done, found.unfinished) == (1, 0, 1)
    assert found.first_token is not None  # its first piece had come
    assert found.answer is None
    assert any("1 of 1 were given up" in line for line in load_lines(replace(result(), levels=(found,))))


def test_a_server_that_ends_leaves_the_levels_before() -> None:
    found: list[Level] = []
    engine = Streaming({"q4": "dies"})
    with pytest.raises(EngineUnusable, match="failed under 2 users: killed"):
        asyncio.run(measure(engine, questions(12), [1, 2], LONG, found.append))
    assert [each.users for each in found] == [1]
    assert engine.stopped


def test_questions_of_each_benchmark_in_turn() -> None:
    data = {
        "a": Loaded([example("a1"), example("a2"), example("a3")], {}),
        "b": Loaded([example("b1"), *dialogue("b2", 2)], {}),
    }
    found = questions_of(data, SAMPLING, "Be brief.", 4)
    assert len(found) == 4
    assert all(each.messages[0] == Message("system", "Be brief.") for each in found)
    assert len({each.sampling.seed for each in found}) == 4


def test_the_record_comes_back_and_another_file_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "load" / "m" / "0"
    folder.mkdir(parents=True)
    write_load(result(), folder)
    assert loads_in(tmp_path) == [result()]
    assert level_row(result().levels[0])[:3] == ("1", "20", "0.50 / 0.90 / 0.95")
    text = (folder / FILE).read_text(encoding="utf-8")
    for wrong in (
        text.replace('"schema": 1', '"schema": 2'),
        text.replace('"users": 1', '"users": "x"'),
        "{",
    ):
        (folder / FILE).write_text(wrong, encoding="utf-8")
        with pytest.raises(UserError, match=r"is not a load's record: .*measure again"):
            read_load(folder / FILE)


def test_the_level_of_so_many_users_or_more() -> None:
    found = result(levels=(level(1), level(4), level(16)))
    by_users: dict[int, Any] = {users: found.level(users) for users in (1, 2, 16, 17)}
    assert [each and each.users for each in by_users.values()] == [1, 4, 16, None]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["m.gguf", "users=0"], "load: users=0: give a whole number of at least 1"),
        (["m.gguf", "users=1,2000"], "load: users=1,2000: at most 1024"),
        (["m.gguf", "seconds=0"], "load: seconds=0: give a number above 0"),
        (["users=1"], "no model given"),
        (
            ["model=replay", "model.path=x.jsonl", "data=sample"],
            "serves nobody: give a GGUF file, or a service",
        ),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["load", *words]) == 2
    error = capsys.readouterr().err
    assert said in " ".join(error.split())


def remote_load(tmp_path: Path, server: ScriptedServer, *more: str) -> tuple[int, list[LoadResult]]:
    words = ["load", "model=endpoint", f"backend.base_url={server.url}", "data=sample", "benchmark=tfns"]
    given = ["users=1,2", "requests=2", f"results_dir={tmp_path}", *more]
    return main([*words, *given]), loads_in(tmp_path)


def test_a_service_is_asked_once_and_its_own_counts_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-only-in-the-environment")
    with ScriptedServer(lambda _: Reply("it is neutral", usage=(300, 3), cached=30)) as server:
        code, [found] = remote_load(tmp_path, server)
        assert all(request.body["stream"] for request in server.requests)
    assert code == 0
    assert [(level.done, level.answer_tokens) for level in found.levels] == [(2, 6), (4, 12)]
    assert found.levels[0].cached_tokens == 60
    assert (found.sha256, found.context, found.command) == (None, None, ())
    assert found.file.startswith("127.0.0.1")
    shown = capsys.readouterr().out
    assert "10 %" in shown, "of the prompt was cached"
    assert "served so" not in shown
    assert "slots" not in shown


def test_what_a_service_refuses_is_counted_and_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-only-in-the-environment")
    with ScriptedServer(lambda _: Reply("slow down", status=429)) as server:
        code, [found] = remote_load(tmp_path, server)
        assert len(server.requests) == 6
    assert code == 1
    assert [(level.asked, level.failed) for level in found.levels] == [(2, 2), (4, 4)]
    assert found.levels[0].reason is not None
    assert "429" in found.levels[0].reason
    assert "2 of 2 failed" in capsys.readouterr().out
