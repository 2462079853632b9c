"""Proven repetitions: which answers are one, and how a streamed answer ends where it is."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, cycle, islice
from typing import Any

import pytest

from evalkit.config.settings import run_settings
from evalkit.engines import Heard
from evalkit.engines.client import Refused, Transient, connect, parameters
from evalkit.engines.loops import BLOCK, LoopDetector, loop_end, streamed_chat
from evalkit.run.folder import run_id
from evalkit.schema import (
    CONTEXT_OVERFLOW,
    Completion,
    GenerationSettings,
    Message,
    Request,
    generation_key,
    is_cut_off,
)
from tests.runner.toy import example

GREEDY = GenerationSettings(0.0, 1.0, 0, 0.0, 1.0, 4096, 0, stop_loops=True)


def proven(block: int, times: int, before: int = 0, after: int = 0) -> int | None:
    """Where an answer is a proven loop: `before` tokens, a block so many times, `after` tokens."""
    fresh = count(1_000_000)
    return loop_end([*islice(fresh, before), *list(range(block)) * times, *islice(fresh, after)])


@pytest.mark.parametrize(
    ("block", "times", "end"),
    [
        (1, 300, 300),  # one token: 300 of them
        (1, 299, None),
        (49, 7, 300),  # 6 x 49 is 294
        (49, 6, None),
        (50, 6, 300),
        (51, 6, 306),
        (200, 6, 1200),
        (200, 5, None),
        (201, 20, None),  # too long a block
        (BLOCK, 100, 6 * BLOCK),
    ],
)
def test_what_is_proven(block: int, times: int, end: int | None) -> None:
    assert proven(block, times) == end
    assert proven(block, times, before=777) == (None if end is None else 777 + end)


def test_what_goes_on_is_no_loop() -> None:
    assert proven(50, 5, before=10, after=1000) is None
    numbers = [token for step in range(400) for token in ("Step", str(step), ":", "add", "1", "\n")]
    assert loop_end(numbers) is None  # a list that counts repeats no block
    rng = random.Random(5)
    assert loop_end([rng.randrange(50) for _ in range(20_000)]) is None
    table = ["|", " ---", " "] * 60  # of sixty columns
    assert loop_end([*table, *(str(n) for n in range(500)), *table]) is None


def test_a_loop_within_a_block_is_a_loop_of_the_block() -> None:
    """A block with repetitions of its own: a a a b, again and again."""
    assert loop_end(list("aaab") * 200) == 300


def test_reading_is_fast_enough_for_any_engine() -> None:
    detector, started = LoopDetector(), time.perf_counter()
    for token in islice(cycle(range(201)), 20_000):
        assert not detector.add(token)
    for piece in islice(cycle(["a", "b"]), 250):
        assert not detector.add(piece)
    assert time.perf_counter() - started < 2  # 20,250 tokens


def test_part_of_a_run_only_where_it_can_matter() -> None:
    def settings(*more: str) -> Any:
        return run_settings(["+model=fin-r1-q4_k", "data=sample", "benchmark=[tfns]", *more])

    def key(generation: GenerationSettings) -> str:
        request = Request(example("a"), 0)
        return generation_key({}, (Message("user", "x"),), generation, request.sample)

    on, off = settings(), settings("protocol.stop_loops=false")
    assert (on.generation.stop_loops, off.generation.stop_loops) == (True, False)
    assert "stop_loops" not in off.generation.as_dict()
    assert "stop_loops" not in off.protocol.model_dump()
    assert key(on.generation) != key(off.generation)
    assert run_id(on) != run_id(off)
    # Neither a short answer nor another engine ends a loop; a sampled protocol does not ask for it.
    for same in (
        ["protocol.max_tokens=300"],
        ["model.max_tokens=256"],
        ["backend=remote", "backend.base_url=http://127.0.0.1:9/v1"],
        ["protocol=fin-r1-paper"],
    ):
        assert not settings(*same).generation.stop_loops
        assert run_id(settings(*same)) == run_id(settings(*same, "protocol.stop_loops=false"))
        assert key(settings(*same).generation) == key(settings(*same, "protocol.stop_loops=false").generation)
    assert settings("protocol.max_tokens=301").generation.stop_loops


def test_both_ends_count_as_cut_off() -> None:
    assert [is_cut_off(reason) for reason in ("length", "loop", "stop", None)] == [True, True, False, False]


Script = Callable[["Handler"], None]
DONE = b"data: [DONE]\n\n"


def event(delta: dict[str, str] | None, finish: str | None = None, **more: object) -> bytes:
    """One chunk of an answer; without a delta it has no choice."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    head = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    return f"data: {json.dumps({**head, 'choices': choices, **more})}\n\n".encode()


class Handler(BaseHTTPRequestHandler):
    """Streams what `script` says; `closed` is set when the client goes away."""

    script: Script
    sent: int
    body: dict[str, Any]

    def do_POST(self) -> None:
        type(self).body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).sent = 0
        type(self).script(self)

    def begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()

    def piece(
        self, text: str | None, finish: str | None = None, *, took: dict[str, float] | None = None
    ) -> None:
        more = {"timings": took} if took else {}
        self.wfile.write(event({"content": text} if text else {}, finish, **more))
        self.wfile.flush()
        type(self).sent += 1

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def server(script: Script) -> Iterator[str]:
    made = type("Made", (Handler,), {"script": script})
    running = ThreadingHTTPServer(("127.0.0.1", 0), made)
    running.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=running.serve_forever, daemon=True).start()
    server.made = made  # type: ignore[attr-defined]
    yield f"http://127.0.0.1:{running.server_address[1]}/v1"
    running.shutdown()
    running.server_close()


def asked(url: str, timeout: float = 20, heard: Heard | None = None) -> Completion:
    async def ask() -> Completion:
        async with connect(url, "key", 20) as client:
            body = {**parameters(GREEDY), "id_slot": 3}
            return await streamed_chat(client, "m", [Message("user", "Hello")], body, timeout, heard)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 4}, (9, 4, 2)),
        ({"prompt_tokens": "many", "completion_tokens": -2}, (None, None, None)),
        ({"prompt_tokens": 9, "completion_tokens": 0, "prompt_tokens_details": [1]}, (9, None, None)),
    ],
)
def test_a_service_that_counts_at_the_end_may_count_anything(
    usage: dict[str, Any], counted: tuple[int | None, ...]
) -> None:
    def script(handler: Handler) -> None:
        handler.begin()
        handler.piece("up 4", "stop")
        handler.wfile.write(event(None, usage=usage) + DONE)

    with server(script) as url:
        found = asked(url)
    assert (found.prompt_tokens, found.cached_tokens, found.completion_tokens) == counted


def test_a_server_that_hangs_up_after_an_answer_without_a_word_is_called_anew() -> None:
    """As llama.cpp's does after a streamed answer: the next question on that connection would get none."""

    def script(handler: Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        answer = event({"content": "up"}, "stop") + DONE
        handler.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(answer), answer))
        handler.wfile.flush()
        handler.close_connection = True
        handler.rfile.readline()  # the next question on this connection, if there is one, and no answer to it

    async def ask(url: str) -> list[str | None]:
        async with connect(url, "key", 20) as client:
            body, hello = parameters(GREEDY), [Message("user", "Hello")]
            return [(await streamed_chat(client, "m", hello, body, 20)).text for _ in range(3)]

    with server(script) as url:
        assert asyncio.run(ask(url)) == ["up"] * 3


def test_reasoning_in_a_field_of_its_own_is_heard_and_is_no_text() -> None:
    """The first token of a service that streams so is that of its reasoning."""

    def script(handler: Handler) -> None:
        handler.begin()
        said = {"role": "assistant"}, {"reasoning_content": "So"}, {"reasoning": "4"}, {"content": "4"}
        handler.wfile.write(b"".join(map(event, said)))
        handler.piece(None, "stop")
        handler.wfile.write(DONE)

    heard = list[Any]()
    with server(script) as url:
        assert asked(url, heard=heard.append).text == "4"
    assert len(heard) == 3


def timings(number: int) -> dict[str, float]:
    return {"prompt_n": 7, "cache_n": 5, "prompt_ms": 500, "predicted_n": number, "predicted_ms": 10 * number}


def test_an_answer_that_ends_is_whole() -> None:
    def script(handler: Handler) -> None:
        handler.begin()
        for number, text in enumerate(("<think>", "é", "\ud800 4"), 1):
            handler.piece(text, took=timings(number))
        handler.piece(None, "stop", took=timings(4))
        handler.wfile.write(DONE)

    with server(script) as url:
        found = asked(url)
        body = server.made.body  # type: ignore[attr-defined]
    assert (found.text, found.finish_reason, found.error) == ("<think>é? 4", "stop", None)
    assert (found.prompt_tokens, found.cached_tokens, found.completion_tokens) == (12, 5, 4)
    assert (found.prefill_s, found.decode_s) == (0.5, 0.04)
    assert (body["id_slot"], body["stream"], body["max_tokens"], body["seed"]) == (3, True, 4096, 0)


def test_a_loop_is_ended_and_the_server_told_by_the_closed_connection() -> None:
    gone = threading.Event()

    def script(handler: Handler) -> None:
        handler.begin()
        handler.piece("So: ", took=timings(1))
        try:
            for number in range(2, 4096):
                handler.piece("again " if number % 2 else "and ", took=timings(number))
                time.sleep(0.0005)
        except OSError:
            gone.set()

    with server(script) as url:
        found = asked(url)
        assert gone.wait(60)
        assert server.made.sent < 4000  # type: ignore[attr-defined]
    assert (found.finish_reason, found.completion_tokens) == ("loop", 301)
    assert found.text == "So: " + "and again " * 150


@pytest.mark.parametrize("ending", ["cut", "silent", "error", "rubbish"])
def test_a_broken_stream_is_a_dead_engine(ending: str) -> None:
    def script(handler: Handler) -> None:
        handler.begin()
        handler.piece("one", took=timings(1))
        if ending == "silent":
            time.sleep(3)
        elif ending == "error":
            handler.wfile.write(b'data: {"error": {"message": "out of memory", "code": 500}}\n\n')
        elif ending == "rubbish":
            handler.wfile.write(b"data: {not json\n\n")

    with server(script) as url, pytest.raises(Transient) as broken:
        asked(url, timeout=1)
    assert "\n" not in str(broken.value)


def refusal(status: int, kind: str) -> Script:
    def script(handler: Handler) -> None:
        body = json.dumps({"error": {"message": "no", "type": kind}}).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return script


def test_a_refusal_is_what_it_is_without_streaming() -> None:
    with server(refusal(400, "exceed_context_size_error")) as url:
        found = asked(url)
    assert (found.text, found.error) == (None, CONTEXT_OVERFLOW)
    with server(refusal(404, "not_found")) as url, pytest.raises(Refused, match="HTTP 404"):
        asked(url)
