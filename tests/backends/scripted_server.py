"""A scripted OpenAI-compatible server for tests: a function decides every answer, faults included.

with ScriptedServer(lambda request: Reply("42")) as server:
    ...  # talk to server.url
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

_DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Request:
    """One chat request. Header names are in lower case; `number` counts from 0 in order of arrival."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    number: int

    @property
    def text(self) -> str:
        """All message contents, one after the other."""
        return "\n".join(str(message["content"]) for message in self.body["messages"])


@dataclass(frozen=True)
class Reply:
    """What the server does with a request.

    Args:
        usage: (prompt, completion) tokens; None: the answer states no usage. A prompt of more words has as
            many tokens, as with every tokenizer.
        exact: the usage is stated as it is, whatever the prompt.
        cached: how many of the prompt tokens were cached.
        reasoning: put beside the text as `reasoning_content`.
        delay: seconds before anything is sent.
        body: raw bytes instead of an answer made from the above.
        cut: send only this many bytes of the body, then close.
        reset: close without a reply.
    """

    text: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    usage: tuple[int, int] | None = (10, 5)
    exact: bool = False
    cached: int = 0
    reasoning: str | None = None
    finish_reason: str = "stop"
    body: bytes | None = None
    cut: int | None = None
    reset: bool = False

    def content(self, request: Request) -> bytes:
        """The bytes of the answer's body."""
        if self.body is not None:
            return self.body
        if self.status != 200:
            return json.dumps({"error": {"message": self.text, "type": "scripted", "code": None}}).encode()
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self.reasoning is not None:
            message["reasoning_content"] = self.reasoning
        answer: dict[str, Any] = {
            "id": f"chatcmpl-{request.number}",
            "object": "chat.completion",
            "created": 0,
            "model": request.body.get("model"),
            "choices": [{"index": 0, "message": message, "finish_reason": self.finish_reason}],
        }
        if self.usage is not None:
            answer["usage"] = self._usage(request, self.usage)
        return json.dumps(answer).encode()

    def _usage(self, request: Request, usage: tuple[int, int]) -> dict[str, Any]:
        prompt, completion = usage
        prompt = max(prompt, len(request.text.split())) if prompt and not self.exact else prompt
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
        }

    def events(self, request: Request) -> bytes:
        """The same as a stream, a word at a time; usage stands at its end if it was asked for."""
        head = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "scripted"}
        choices = [{"index": 0, "delta": {"content": f"{word} "}} for word in self.text.split()]
        choices.append({"index": 0, "delta": {}, "finish_reason": self.finish_reason})
        chunks: list[dict[str, Any]] = [{**head, "choices": [choice]} for choice in choices]
        if self.usage is not None and request.body.get("stream_options") == {"include_usage": True}:
            chunks.append({**head, "choices": [], "usage": self._usage(request, self.usage)})
        return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + _DONE


class ScriptedServer:
    """`/v1/models` and `/v1/chat/completions` on a free loopback port, each request on a thread of its own.

    An exception in `handler` is answered with 500 and raised again when the `with` block ends.

    Args:
        handler: decides what happens to each chat request.
        models: what `/v1/models` lists; None: there is no such path (404).
        key: the API key that every request must bear (401 otherwise); None: any will do.
        facts: what `/v1/models` says of each model beyond its id.
        root: the path below which the API lies.
    """

    def __init__(
        self,
        handler: Callable[[Request], Reply],
        models: Sequence[str] | None = ("scripted",),
        key: str | None = None,
        facts: Mapping[str, Any] | None = None,
        root: str = "/v1",
    ) -> None:
        self.requests: list[Request] = []
        self.model_requests = 0
        self.requests_in_flight_peak = 0
        self.handler = handler
        self.models = models
        self.key = key
        self.facts = {"object": "model", "created": 1_700_000_000, "owned_by": "tests", **(facts or {})}
        self._root = root
        self._lock = threading.Lock()
        self._in_flight = 0
        self._failures: list[Exception] = []
        self._over = threading.Event()
        self._connections: set[socket.socket] = set()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{self._root}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.die()
        if error is None and self._failures:
            raise self._failures[0]

    def die(self) -> None:
        """Go away at once: the port is closed and every open connection reset. Once is enough."""
        if self._over.is_set():
            return
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            _reset(connection)
        self._thread.join()

    def listing(self) -> bytes:
        """The body of `/v1/models`."""
        rows = [{"id": name, **self.facts} for name in self.models or ()]
        return json.dumps({"object": "list", "data": rows}).encode()

    def _arrived(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Request:
        with self._lock:
            request = Request(path, headers, body, len(self.requests))
            self.requests.append(request)
            self._in_flight += 1
            self.requests_in_flight_peak = max(self.requests_in_flight_peak, self._in_flight)
        return request

    def _left(self) -> None:
        with self._lock:
            self._in_flight -= 1

    def _reply(self, request: Request) -> Reply:
        try:
            return self.handler(request)
        except Exception as error:
            self._failures.append(error)
            return Reply("the script raised an exception", status=500)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A service's port is part of what it is: a later server of a test stands where the first one stood.
    usual_port = 0
    block_on_close = False
    request_queue_size = 128

    def __init__(self, script: ScriptedServer) -> None:
        self.script = script
        try:
            super().__init__(("127.0.0.1", _Server.usual_port), _Handler)
        except OSError:  # it still stands there, too
            super().__init__(("127.0.0.1", 0), _Handler)
        if not _Server.usual_port:
            _Server.usual_port = self.server_port

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the play."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.script = self.server.script
        with self.script._lock:
            self.script._connections.add(self.connection)

    def finish(self) -> None:
        with self.script._lock:
            self.script._connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Silence: what matters is in `ScriptedServer.requests`."""

    def do_GET(self) -> None:
        script = self.script
        if self.path == f"{script._root}/models":
            script.model_requests += 1
            if self._refused():
                return
            if script.models is not None:
                self._send(200, script.listing())
                return
        self._error(404, "no such path")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self._refused():
            return
        if self.path != f"{self.script._root}/chat/completions":
            self._error(404, "no such path")
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = self.script._arrived(self.path, headers, json.loads(body))
        try:
            self._play(request, self.script._reply(request))
        finally:
            self.script._left()

    def _play(self, request: Request, reply: Reply) -> None:
        self.script._over.wait(reply.delay)
        if reply.reset or self.script._over.is_set():
            _reset(self.connection)
            self.close_connection = True
            return
        headers, content = reply.headers, reply.content(request)
        if request.body.get("stream") and reply.status == 200:
            headers, content = {**headers, "Content-Type": "text/event-stream"}, reply.events(request)
        self._send(reply.status, content, headers, reply.cut)

    def _refused(self) -> bool:
        if self.script.key is None or self.headers.get("Authorization") == f"Bearer {self.script.key}":
            return False
        self._error(401, f"Incorrect API key provided: {self.headers.get('Authorization')}")
        return True

    def _error(self, status: int, message: str) -> None:
        self._send(status, json.dumps({"error": {"message": message, "type": "scripted"}}).encode())

    def _send(
        self, status: int, body: bytes, headers: Mapping[str, str] | None = None, cut: int | None = None
    ) -> None:
        self.send_response_only(status)
        usual = {"Date": self.date_time_string(), "Content-Type": "application/json"}
        for name, value in {**usual, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        if cut is not None:
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body[:cut])


def _reset(connection: socket.socket) -> None:
    """Close so that the other side gets a reset instead of an orderly end."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
