"""vLLM as an engine, with a stand-in that speaks vLLM's command line and protocol."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from evalkit.engines import EngineDied
from evalkit.engines.vllm import Vllm
from evalkit.schema import CONTEXT_OVERFLOW, Message, UserError
from tests.vllm.conftest import GREEDY, engine

QUESTION = (Message("user", "one two three"),)


@asynccontextmanager
async def running(
    checkpoint: Path, executable: Path, log: Path, *overrides: str
) -> AsyncIterator[tuple[Vllm, list[psutil.Process]]]:
    """A started engine and the processes below us; nothing of them may be left afterwards."""
    before = set(children())  # other tests' (a browser), which may start processes of their own meanwhile
    opened = engine(checkpoint, executable, log, *overrides)
    try:
        await opened.start(100)
        family = [child for child in children() if not {child, *child.parents()} & before]
        yield opened, family
    finally:
        await opened.stop()
    assert all_gone(family)


def children() -> list[psutil.Process]:
    """The processes below us."""
    return psutil.Process().children(recursive=True)


def all_gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=60)
    return not alive


def test_a_chat_is_answered_and_counted(checkpoint: Path, executable: Path, tmp_path: Path) -> None:
    async def chat() -> None:
        async with running(checkpoint, executable, tmp_path / "log") as (vllm, family):
            assert len(family) >= 3, "the watchdog, the server and its engine"
            answer = await vllm.complete(QUESTION, GREEDY, 0)
            assert (answer.text, answer.finish_reason) == ("three two one", "stop")
            assert (answer.prompt_tokens, answer.cached_tokens, answer.completion_tokens) == (3, 1, 3)
            pieces: list[object] = []
            streamed = await vllm.stream(QUESTION, GREEDY, pieces.append)
            assert (streamed.text, len(pieces)) == ("three two one ", 3)
            assert (streamed.prompt_tokens, streamed.cached_tokens, streamed.completion_tokens) == (3, 1, 3)
            assert vllm.server_command()[:3] == ["vllm", "serve", str(checkpoint)]
            tokens = await vllm.tokenize([QUESTION])
            assert tokens is not None
            assert [list(found) for found in tokens] == [[3, 3, 5]]
            assert vllm.description()["kv_cache_tokens"] == 1600
            assert vllm.description()["context_per_slot"] == 112, "the longest prompt and the answer"

    asyncio.run(chat())


def test_tokenizing_first_leaves_room_for_the_longest_prompt(
    checkpoint: Path, executable: Path, tmp_path: Path
) -> None:
    async def tokenize() -> None:
        vllm = engine(checkpoint, executable, tmp_path / "log")
        try:
            await vllm.tokenize([QUESTION, (Message("user", "数 " * 100), Message("assistant", ""))])
            await vllm.start(100)
            # template, bytes, an answer still to come, the answer
            assert vllm.description()["context_per_slot"] == 512 + 400 + 512 + GREEDY.max_tokens
        finally:
            await vllm.stop()

    asyncio.run(tokenize())


def test_as_many_in_flight_as_the_cache_holds(checkpoint: Path, executable: Path, tmp_path: Path) -> None:
    async def slots(words: int, *overrides: str) -> int:
        vllm = engine(checkpoint, executable, tmp_path / "log", *overrides)
        try:
            await vllm.tokenize([(Message("user", "word " * words),)])
            await vllm.start(words)
            return vllm.slots
        finally:
            await vllm.stop()

    assert asyncio.run(slots(197)) == 1600 // (197 + GREEDY.max_tokens // 4)
    assert asyncio.run(slots(197, "backend.max_num_seqs=5")) == 5
    assert asyncio.run(slots(1700)) == 1


def test_an_answer_gets_what_room_there_is(checkpoint: Path, executable: Path, tmp_path: Path) -> None:
    async def overflow() -> None:
        async with running(checkpoint, executable, tmp_path / "log", "backend.max_model_len=20") as (vllm, _):
            long = await vllm.complete((Message("user", "word " * 15),), GREEDY, 0)
            assert long.completion_tokens == 5
            full = await vllm.complete((Message("user", "word " * 20),), GREEDY, 0)
            assert full.error == CONTEXT_OVERFLOW

    asyncio.run(overflow())


def test_sampling_is_sent_in_full(checkpoint: Path, executable: Path, tmp_path: Path) -> None:
    sampling = replace(
        GREEDY, temperature=0.6, top_p=0.9, top_k=7, min_p=0.1, repetition_penalty=1.05, seed=3
    )

    async def look() -> None:
        async with running(checkpoint, executable, tmp_path / "log") as (vllm, _):
            assert vllm._server.client is not None
            sent: list[dict[str, object]] = []
            vllm._server.client._client.event_hooks["request"] = [
                lambda request: _keep(sent, json.loads(request.content))
            ]
            await vllm.complete(QUESTION, sampling, 0)
        expected = {
            "temperature": 0.6,
            "top_p": 0.9,
            "top_k": 7,
            "min_p": 0.1,
            "repetition_penalty": 1.05,
            "seed": 3,
            "max_tokens": 12,
        }
        assert sent
        assert expected.items() <= sent[0].items()

    asyncio.run(look())


async def _keep(sent: list[dict[str, object]], body: dict[str, object]) -> None:
    sent.append(body)


def test_identity_is_of_all_files(checkpoint: Path, executable: Path, tmp_path: Path) -> None:
    first = engine(checkpoint, executable, tmp_path / "log").identity()
    assert first == engine(checkpoint, executable, tmp_path / "log", "backend.max_num_seqs=9").identity()
    assert first["build"] == "vllm 0.0.test"
    assert first["max_model_len"] is None
    (checkpoint / "generation_config.json").write_text('{"eos_token_id": 2}')
    assert engine(checkpoint, executable, tmp_path / "log").identity() != first


def test_the_key_is_not_on_the_command_line_nor_in_the_log(
    checkpoint: Path, executable: Path, tmp_path: Path
) -> None:
    async def look() -> None:
        async with running(checkpoint, executable, tmp_path / "log") as (vllm, family):
            key = vllm._server.key
            assert all(key not in json.dumps(process.cmdline()) for process in family)
        assert key not in (tmp_path / "log").read_text()

    asyncio.run(look())


def test_a_killed_server_is_revived_and_its_engine_does_not_stay(
    checkpoint: Path, executable: Path, tmp_path: Path
) -> None:
    before = children()

    async def kill() -> None:
        async with running(checkpoint, executable, tmp_path / "log") as (vllm, family):
            server = next(
                p for p in family if "serve" in p.cmdline() and "stand_in" in json.dumps(p.cmdline())
            )
            server.kill()
            assert await asyncio.to_thread(all_gone, family), "the engine outlived its server"
            with pytest.raises(EngineDied):
                await vllm.complete(QUESTION, GREEDY, 0)
            await vllm.revive()
            assert (await vllm.complete(QUESTION, GREEDY, 0)).text == "three two one"
            family += [child for child in children() if child not in before]

    asyncio.run(kill())


OWNER = """
import asyncio, sys, pathlib
from tests.vllm.conftest import engine
checkpoint, executable, log = map(pathlib.Path, sys.argv[1:])
async def main():
    await engine(checkpoint, executable, log).start(10)
    print("ready", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stand-in's shared memory shows; its temporary files go below `tmp_path`."""
    name = f"evalkit-test-{os.getpid()}-{tmp_path.name}"
    monkeypatch.setenv("SHARED_MEMORY", name)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return Path("/dev/shm", name)


@pytest.mark.skipif(sys.platform != "linux", reason="shared memory shows as a file on Linux only")
def test_no_shared_memory_or_temporary_file_is_left(
    checkpoint: Path, executable: Path, tmp_path: Path, shared: Path
) -> None:
    async def start() -> None:
        async with running(checkpoint, executable, tmp_path / "log"):
            assert shared.exists()
            assert list(tmp_path.glob("evalkit-vllm-*"))

    asyncio.run(start())
    assert not shared.exists()
    assert not list(tmp_path.glob("evalkit-vllm-*"))


def test_nothing_outlives_a_killed_parent(
    checkpoint: Path, executable: Path, tmp_path: Path, shared: Path
) -> None:
    words = [sys.executable, "-c", OWNER, *map(str, (checkpoint, executable, tmp_path / "log"))]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        family = psutil.Process(owner.pid).children(recursive=True)
        assert len(family) >= 3
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        assert all_gone(family)
    assert not shared.exists()
    assert not list(tmp_path.glob("evalkit-vllm-*"))


def test_the_reason_of_a_failed_start_is_quoted(
    checkpoint: Path, executable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = tmp_path / "failure"
    failure.write_text("Traceback (most recent call last):\n  File x\nValueError: no such dtype\n")
    monkeypatch.setenv("FAIL", str(failure))
    with pytest.raises(UserError, match="cannot serve this model: ValueError: no such dtype"):
        asyncio.run(engine(checkpoint, executable, tmp_path / "log").start(10))


def test_a_server_that_never_answers_has_a_deadline(
    checkpoint: Path, executable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLOW", "1")

    before = children()

    async def start() -> None:
        vllm = engine(checkpoint, executable, tmp_path / "log", "backend.start_timeout=1")
        try:
            with pytest.raises(
                UserError, match=r"not serve after 1 s: give it longer with backend\.start_timeout"
            ):
                await vllm.start(10)
        finally:
            family = [child for child in children() if child not in before]
            await vllm.stop()
        assert await asyncio.to_thread(all_gone, family)

    asyncio.run(start())


def test_a_taken_port_is_said_before_anything_starts(
    checkpoint: Path, executable: Path, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} is taken"):
            engine(checkpoint, executable, tmp_path / "log", f"backend.port={port}")


def test_output_does_not_fill_a_pipe(checkpoint: Path, executable: Path, tmp_path: Path) -> None:
    async def start() -> None:
        async with running(checkpoint, executable, tmp_path / "log"):
            pass

    asyncio.run(start())
    assert "a line on standard output" in (tmp_path / "log").read_text()


def test_the_speed_of_streamed_answers(checkpoint: Path, executable: Path, tmp_path: Path) -> None:
    async def probe() -> None:
        async with running(checkpoint, executable, tmp_path / "log", "backend.max_model_len=1000") as (
            vllm,
            _,
        ):
            speed = await vllm.probe()
        assert speed is not None
        assert (speed.prompt_tokens, speed.answer_tokens) == (512, 64)
        # The stand-in waits as long before its first token, and a busy machine adds to that.
        assert speed.first_token_seconds > 0.2
        assert speed.prefill_tokens_per_second == pytest.approx(512 / speed.first_token_seconds)
        assert speed.decode_tokens_per_second > 0

    asyncio.run(probe())


def test_no_speed_from_a_short_context(checkpoint: Path, executable: Path, tmp_path: Path) -> None:
    async def probe() -> None:
        async with running(checkpoint, executable, tmp_path / "log", "backend.max_model_len=20") as (vllm, _):
            assert await vllm.probe() is None

    asyncio.run(probe())
