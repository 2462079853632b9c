"""A `vllm` for tests: vLLM's command line and protocol, with a process below it as vLLM has its engine.

Its words: the last message backwards. A token is a word. FAIL in the environment makes it print that file and
end, SLOW makes it never answer.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

METRICS = 'vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="%d",num_cpu_blocks="None"} 1.0\n'


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--max-model-len", type=int, default=4096)
    for name in ("dtype", "max-num-seqs", "served-model-name", "generation-config", "load-format"):
        parser.add_argument(f"--{name}", required=True)
    return parser.parse_known_args()[0]


class Handler(BaseHTTPRequestHandler):
    given: argparse.Namespace
    shared: SharedMemory

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        models = {"data": [{"id": self.given.served_model_name, "max_model_len": self.given.max_model_len}]}
        pages = {
            "/health": b"",
            "/v1/models": json.dumps(models).encode(),
            "/metrics": (METRICS % 100).encode(),
        }
        kind = "application/json" if self.path == "/v1/models" else "text/plain"
        self.send(200 if self.path in pages else 404, pages.get(self.path, b""), kind)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != f"Bearer {os.environ['VLLM_API_KEY']}":
            return self.send(401, b"{}")
        if "prompt" in body and self.path == "/tokenize":
            return self.reply({"tokens": [len(word) for word in body["prompt"].split()]})
        if self.path == "/v1/completions":
            return self.stream(body)
        tokens = [len(word) for message in body["messages"] for word in message["content"].split()]
        if self.path == "/tokenize":
            return self.reply({"tokens": tokens, "count": len(tokens)})
        if len(tokens) + body["max_tokens"] > self.given.max_model_len:
            words = f"This model's maximum context length is {self.given.max_model_len} tokens."
            return self.reply({"error": {"message": words, "type": "BadRequestError", "code": 400}}, 400)
        answer = self.answer(body, len(tokens))
        return self.chunks(answer) if body.get("stream") else self.reply(answer)

    def answer(self, body: dict[str, Any], prompt_tokens: int) -> dict[str, Any]:
        words = body["messages"][-1]["content"].split()[::-1][: body["max_tokens"]]
        return {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": " ".join(words)},
                    "finish_reason": "stop",
                    "echo": {name: value for name, value in body.items() if name != "messages"},
                }
            ],
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": len(words),
                "total_tokens": prompt_tokens + len(words),
                "prompt_tokens_details": {"cached_tokens": prompt_tokens // 2},
            },
        }

    def chunks(self, answer: dict[str, Any]) -> None:
        """An answer word by word, and its usage at the end."""
        [choice] = answer["choices"]
        words = choice["message"]["content"].split()
        parts = [{"index": 0, "delta": {"content": f"{word} "}} for word in words]
        parts.append({"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]})
        head = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": answer["model"]}
        made = [{**head, "choices": [part]} for part in parts]
        made.append({**head, "choices": [], "usage": answer["usage"]})
        body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in made)
        self.send(200, body + b"data: [DONE]\n\n", "text/event-stream")

    def stream(self, body: dict[str, Any]) -> None:
        """An answer of `max_tokens` words, the first after 0.2 s and one more every 0.01 s."""
        assert body["stream"]
        assert body["ignore_eos"]
        assert body["cache_salt"]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        time.sleep(0.2)
        for _ in range(body["max_tokens"]):
            chunk = {"id": "1", "object": "text_completion", "created": 0, "model": "model"}
            choice = {"index": 0, "text": "x", "finish_reason": None}
            self.wfile.write(b"data: " + json.dumps({**chunk, "choices": [choice]}).encode() + b"\n\n")
            self.wfile.flush()
            time.sleep(0.01)
        self.wfile.write(b"data: [DONE]\n\n")

    def reply(self, content: dict[str, Any], status: int = 200) -> None:
        self.send(status, json.dumps(content).encode())

    def send(self, status: int, content: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main() -> int:
    if "--version" in sys.argv:
        print("0.0.test")  # noqa: T201
        return 0
    Handler.given = parse()
    print("(APIServer pid=1) INFO a line on standard output", flush=True)  # noqa: T201
    if fail := os.environ.get("FAIL"):
        sys.stderr.write(Path(fail).read_text())
        return 1
    if shared := os.environ.get("SHARED_MEMORY"):
        Handler.shared = SharedMemory(shared, create=True, size=4096)
    # As vLLM's engine does, it lives on when this process is killed.
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    if "SLOW" in os.environ:
        time.sleep(600)
    ThreadingHTTPServer((Handler.given.host, Handler.given.port), Handler).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
