"""llama.cpp as an engine, on the real small model."""

from __future__ import annotations

import asyncio
import json
import socket
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from evalkit.config.settings import RunSettings, run_settings
from evalkit.engines import EngineDied
from evalkit.engines.llama_cpp import LlamaCpp, Settings, open_engine
from evalkit.schema import CONTEXT_OVERFLOW, GenerationSettings, Message, UserError

GREEDY = GenerationSettings(0.0, 1.0, 0, 0.0, 1.0, 12, 0)
QUESTION = (Message("user", "What is the capital of France?"),)


def config(*overrides: str) -> RunSettings:
    return run_settings(["+model=smollm2-135m", "data=sample", *overrides])


def engine(log: Path, *overrides: str) -> LlamaCpp:
    composed = config("backend.slots=2", *overrides)
    assert isinstance(composed.backend, Settings)
    opened = open_engine(composed.model, composed.backend, GREEDY.max_tokens, log)
    assert isinstance(opened, LlamaCpp)
    return opened


@asynccontextmanager
async def running(log: Path, *overrides: str) -> AsyncIterator[LlamaCpp]:
    opened = engine(log, *overrides)
    try:
        await opened.start(200)
        yield opened
    finally:
        await opened.stop()


def test_a_chat_is_answered_and_its_prefix_reused(tmp_path: Path) -> None:
    async def chat() -> None:
        async with running(tmp_path / "log") as llama:
            first = await llama.complete(QUESTION, GREEDY, 0)
            again = await llama.complete(QUESTION, GREEDY, 0)
            other_slot = await llama.complete(QUESTION, GREEDY, 1)
            tokens = await llama.tokenize([QUESTION])
        assert first.text
        assert first.text == again.text == other_slot.text
        assert tokens is not None
        assert first.prompt_tokens == len(tokens[0])
        assert first.cached_tokens == 0
        assert again.cached_tokens == len(tokens[0]) - 1
        assert other_slot.cached_tokens == 0
        assert first.completion_tokens is not None
        assert 0 < first.completion_tokens <= GREEDY.max_tokens
        assert (llama.peak_memory_bytes() or 0) > 50e6

    asyncio.run(chat())


def test_the_context_holds_the_longest_prompt_and_an_answer(tmp_path: Path) -> None:
    async def start() -> None:
        async with running(tmp_path / "log") as llama:
            assert llama.description()["context_per_slot"] == 256
        opened = engine(tmp_path / "log")
        await opened.start(10**6)
        assert opened.description()["context_per_slot"] == 8192, "no more than the model was trained for"
        await opened.stop()

    asyncio.run(start())


def test_a_prompt_that_does_not_fit_is_said_and_not_cut(tmp_path: Path) -> None:
    async def overflow() -> None:
        async with running(tmp_path / "log", "backend.context=256") as llama:
            long = (Message("user", "word " * 400),)
            completion = await llama.complete(long, GREEDY, 0)
            assert completion.error == CONTEXT_OVERFLOW
            assert completion.text is None
            assert (await llama.complete(QUESTION, GREEDY, 0)).text

    asyncio.run(overflow())


def test_tokens_are_those_of_the_chat_template(tmp_path: Path) -> None:
    async def tokenize() -> list[array[int]]:
        tokens = await engine(tmp_path / "log").tokenize(
            [QUESTION, (*QUESTION, Message("assistant", "Paris"))]
        )
        assert tokens is not None
        return tokens

    short, long = asyncio.run(tokenize())
    assert len(short) > 20, "the template's own system prompt is part of it"
    assert len(long) > len(short)


def test_a_killed_server_is_revived(tmp_path: Path) -> None:
    async def kill() -> None:
        async with running(tmp_path / "log") as llama:
            before = await llama.complete(QUESTION, GREEDY, 0)
            for child in psutil.Process().children(recursive=True):
                child.kill()
                child.wait(60)
            with pytest.raises(EngineDied):
                await llama.complete(QUESTION, GREEDY, 0)
            await llama.revive()
            assert (await llama.complete(QUESTION, GREEDY, 0)).text == before.text

    asyncio.run(kill())


def test_sampling_is_sent_and_not_left_to_the_servers_defaults(tmp_path: Path) -> None:
    async def sample() -> None:
        async with running(tmp_path / "log") as llama:
            hot = [
                (await llama.complete(QUESTION, GenerationSettings(2.0, 1.0, 0, 0.0, 1.0, 12, seed), 0)).text
                for seed in range(3)
            ]
            again = (await llama.complete(QUESTION, GenerationSettings(2.0, 1.0, 0, 0.0, 1.0, 12, 1), 0)).text
            cold = [
                (await llama.complete(QUESTION, GenerationSettings(2.0, 1.0, 1, 0.0, 1.0, 12, s), 0)).text
                for s in (0, 1)
            ]
        assert len(set(hot)) == 3
        assert hot[1] == again
        assert cold[0] == cold[1], "top_k 1 leaves no choice at any temperature"

    asyncio.run(sample())


def test_a_binary_instead_of_the_wheel(llama_server: Path, tmp_path: Path) -> None:
    async def chat() -> None:
        async with running(tmp_path / "log", f"backend.binary={llama_server}") as llama:
            by_binary = await llama.complete(QUESTION, GREEDY, 1)
            assert "version" in llama.identity()["build"]
            family = psutil.Process().children(recursive=True)
        assert len(family) >= 2, "the watchdog and the server"
        _, alive = psutil.wait_procs(family, timeout=60)
        assert not alive
        async with running(tmp_path / "log") as llama:
            by_wheel = await llama.complete(QUESTION, GREEDY, 1)
        assert by_binary.text == by_wheel.text

    asyncio.run(chat())


def test_a_broken_binary_is_quoted(tmp_path: Path) -> None:
    binary = tmp_path / "llama-server"
    binary.write_text("#!/bin/sh\necho 'error: no such GPU' >&2\nexit 1\n")
    binary.chmod(0o755)
    opened = engine(tmp_path / "log", f"backend.binary={binary}")
    with pytest.raises(UserError, match="no such GPU"):
        asyncio.run(opened.start(10))


def test_a_taken_port_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} is taken"):
            engine(tmp_path / "log", f"backend.port={port}")


def test_the_key_is_not_on_the_command_line(tmp_path: Path) -> None:
    async def look() -> None:
        async with running(tmp_path / "log") as llama:
            key = llama._options.key
            for child in psutil.Process().children(recursive=True):
                assert key not in json.dumps(child.cmdline())

    asyncio.run(look())


def test_a_server_ends_with_its_watchdog(llama_server: Path, tmp_path: Path) -> None:
    """Closing the pipe is all that a killed parent can still do."""

    async def let_go() -> None:
        async with running(tmp_path / "log", f"backend.binary={llama_server}") as llama:
            server = llama._server._process
            assert server is not None
            process = server._process
            assert process is not None
            assert process.stdin is not None
            family = psutil.Process(process.pid).children(recursive=True)
            assert family
            process.stdin.close()
            _, alive = await asyncio.to_thread(psutil.wait_procs, family, 60)
            assert not alive

    asyncio.run(let_go())
