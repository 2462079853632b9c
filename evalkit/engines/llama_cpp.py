"""llama.cpp as an engine: a GGUF file behind a child server with continuous batching.

The server is that of the xllamacpp wheel, or a llama-server binary. It keeps the prompt cache of each slot,
so a request says on which slot it belongs.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import time
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from evalkit.config.checks import Immaterial, Seconds, Whole
from evalkit.config.settings import ModelSettings
from evalkit.engines import Heard
from evalkit.engines.child import ChildEngine, ChildServer, Launch, given_template, require_template
from evalkit.engines.client import as_json
from evalkit.engines.llama_options import (
    DeploymentSettings,
    check_deployment,
    check_draft,
    deployment_arguments,
    deployment_identity,
    deployment_options,
    draft_arguments,
    draft_header,
    loading_words,
)
from evalkit.engines.measure import PeakMemory, Trial, measure_speed
from evalkit.engines.process import Limits, free_port, refuse_shared_port, require_free_port
from evalkit.files import install_extra
from evalkit.schema import Completion, EngineUnusable, GenerationSettings, Message, Speed, UserError
from evalkit.spawn import child_command, usable_cores
from evalkit.weights.fetch import Weights
from evalkit.weights.gguf import GGUFHeader

DEPLOYED_PORT = 8080
"""llama-server's own default, for command lines that people are given."""

_CONTEXT_STEP = 256  # llama.cpp pads the KV cache to this many tokens
_WATCHDOG = child_command("evalkit.children.watchdog")
# A server that only renders and tokenizes maps the weights and takes some 200 MB beside them. A chat
# template, which llama.cpp renders while it loads, can take all there is, or never end.
_SCOUT_MEMORY = 2 << 30
_SCOUT_CPU_SECONDS = 60.0
# An abort would else call gdb, if there is one, to print a backtrace; that takes its time and our output.
_QUIET = {"GGML_NO_BACKTRACE": "1"}
# llama.cpp's threads meet hundreds of times per token, and whoever comes first spins (libgomp: 300,000
# rounds). On a core that somebody else wants as well, that time is the other thread's: beside four busy
# processes on two cores the small model took 24 to 93 s for what took 4 to 7 s with 3,000 rounds; alone there
# was no difference to see.
_SPIN = {"GOMP_SPINCOUNT": "3000"}
_OF_OPENMP = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def llama_environment() -> dict[str, str]:
    """What every llama.cpp of ours finds in its environment; what the user says of OpenMP stays."""
    return _QUIET if any(name in os.environ for name in _OF_OPENMP) else _QUIET | _SPIN


def _switch(value: object) -> object:
    """YAML reads a bare off/on as a truth value."""
    return {False: "off", True: "on"}[value] if isinstance(value, bool) else value


class Settings(DeploymentSettings):
    """configs/backend/llama_cpp.yaml"""

    enforces_schemas: ClassVar[bool] = True

    kind: Literal["llama_cpp"]
    slots: Whole
    context: Whole | None
    threads: Immaterial[Whole | None]
    gpu_layers: Annotated[int, Field(ge=-1)]
    flash_attention: Annotated[Literal["off", "on", "auto"], BeforeValidator(_switch)]
    mmap: bool
    binary: str | None
    port: Immaterial[Annotated[int, Field(ge=1, le=65_535)] | None]
    timeout: Immaterial[Seconds]
    start_timeout: Immaterial[Seconds] = 3600.0

    @property
    def stops_loops(self) -> bool:
        return True

    @property
    def is_exact(self) -> bool:
        # Of several sequences in a batch, which ones share it decides how sums are rounded; and so does how
        # many proposals of a draft are in it.
        return self.slots == 1 and self.flash_attention == "off" and self.draft is None

    def for_worker(self, cpus: float) -> Settings:
        refuse_shared_port(self.port)
        if self.threads is None and cpus >= 1:
            return self.model_copy(update={"threads": int(cpus)})
        return self


class LlamaCpp(ChildEngine):
    """One GGUF file behind llama.cpp's server.

    Args:
        sha256: of the GGUF file; provenance: what run.json says of it; header: its own;
            draft: that of the draft model.
        template: the Jinja source of the chat template in force; template_given: it is not the file's own;
            template_file: where it was read then.
        max_tokens: the longest answer, in tokens, that the context must have room for.
        backend: how it is served.
        binary: a llama-server executable; None: the xllamacpp wheel.
        log: where the server's output goes.
    """

    def __init__(
        self,
        *,
        weights: Path,
        sha256: str,
        provenance: Mapping[str, Any],
        header: GGUFHeader,
        draft: GGUFHeader | None = None,
        template: str,
        template_given: bool,
        template_file: str | None = None,
        max_tokens: int,
        backend: Settings,
        binary: str | None,
        log: Path,
    ) -> None:
        super().__init__(ChildServer("llama.cpp", log, backend.timeout), backend.slots)
        self._sha256 = sha256
        self._size_bytes = header.file_size
        self._provenance = provenance
        self._template = template
        self._header = header
        self._draft = draft
        self._max_tokens = max_tokens
        self._backend = backend
        self._binary = binary
        self._template_file = template_file
        self._options = ServerOptions(
            model=str(weights),
            slots=self.slots,
            context=0,
            threads=backend.threads or usable_cores(),
            gpu_layers=backend.gpu_layers,
            flash_attention=backend.flash_attention,
            mmap=backend.mmap,
            chat_template=template if template_given else None,
            port=backend.port,
            key=self._server.key,
            deployment=deployment_options(backend),
        )

    def identity(self) -> dict[str, Any]:
        return {
            "engine": "llama.cpp",
            "build": engine_build(self._binary),
            "weights_sha256": self._sha256,
            "chat_template_sha256": hashlib.sha256(self._template.encode()).hexdigest(),
            "flash_attention": self._options.flash_attention,
            # A context chosen from the data always holds every prompt, so only a given one decides anything.
            "context": self._backend.context,
            **deployment_identity(self._backend),
        }

    def description(self) -> dict[str, Any]:
        return {
            "weights": dict(self._provenance),
            "slots": self.slots,
            "context_per_slot": self._options.context,
            "threads": self._options.threads,
            "gpu_layers": self._options.gpu_layers,
            "binary": self._binary,
            "load_seconds": round(self._server.load_seconds, 3),
            "predicted_memory": self._predicted_memory(),
        }

    def _predicted_memory(self) -> dict[str, int] | None:
        from evalkit.weights.memory import predicted_memory

        if not self._options.context:
            return None
        try:
            predicted = predicted_memory(
                self._header,
                context=self._options.context,
                slots=self.slots,
                flash_attention=self._options.flash_attention != "off",
                cache_types=self._backend.cache_types,
                draft=self._draft,
            )
        except UserError:  # a header without a geometry: llama.cpp may know the model all the same
            return None
        return asdict(predicted)

    async def tokenize(self, prompts: Sequence[Sequence[Message]]) -> list[array[int]] | None:
        """The tokens of each prompt as the chat template renders it.

        Asked before `start`, when the context to start with is not known yet, it uses a server of its own
        with a tiny context: the weights are mapped and not read, so that costs a fraction of a second.
        """
        if self._server.client is not None:
            return await self._tokens_of(prompts)
        tiny = replace(self._options, slots=1, context=_CONTEXT_STEP, mmap=True, repack=False, warmup=False)
        tiny = replace(tiny, deployment={**tiny.deployment, "draft": None})
        memory, self._server.memory = self._server.memory, PeakMemory()  # the tiny one's is not the model's
        try:
            memory_limit = _SCOUT_MEMORY + self._size_bytes
            limits = Limits(memory_limit, _SCOUT_CPU_SECONDS)
            await self._server.start(replace(self._how(tiny), limits=limits))
            return await self._tokens_of(prompts)
        finally:
            await self.stop()
            self._server.memory = memory

    async def _tokens(self, messages: Sequence[Message]) -> array[int]:
        rendered = await self._server.post("/apply-template", {"messages": as_json(messages)})
        body = {"content": rendered["prompt"], "add_special": True, "parse_special": True}
        return array("i", (await self._server.post("/tokenize", body))["tokens"])

    async def start(self, longest_prompt: int | None) -> None:
        self._options = replace(self._options, context=self._context(longest_prompt))
        await self._launch()

    def _context(self, longest_prompt: int | None) -> int:
        if self._backend.context:
            return self._backend.context
        wanted = (longest_prompt or 0) + self._max_tokens
        padded = -(-wanted // _CONTEXT_STEP) * _CONTEXT_STEP
        # More than the model was trained for is of no use.
        trained = self._header.n_ctx_train or padded
        return min(padded, int(trained * max(1.0, self._backend.rope.factor or 1.0)))

    async def _launch(self) -> None:
        await self._server.start(self._how(self._options))

    def _how(self, options: ServerOptions) -> Launch:
        """How a server with these options is started: by the binary if there is one, else by the wheel."""
        if self._binary is None:
            return wheel_launch(options, self._backend.start_timeout)
        port = options.port or free_port()
        template = {"LLAMA_ARG_CHAT_TEMPLATE": options.chat_template} if options.chat_template else {}
        return Launch(
            program="llama-server",
            command=[*_WATCHDOG, self._binary, *self._words(options, port)],
            address=f"http://127.0.0.1:{port}",
            env={"LLAMA_API_KEY": options.key, **template, **llama_environment()},
            seconds=self._backend.start_timeout,
        )

    def _words(self, options: ServerOptions, port: int) -> list[str]:
        """What llama-server is told."""
        words = arguments(options, port)
        if self._binary is not None:  # of another llama-server nobody knows in which words it takes this
            words += loading_words(self._binary, mmap=options.mmap)
        words += deployment_arguments(self._backend)
        if options.deployment["draft"]:
            words += draft_arguments(self._backend, options.gpu_layers, self._binary)
        return words

    async def complete(
        self, messages: Sequence[Message], sampling: GenerationSettings, slot: int
    ) -> Completion:
        return await self._chat(messages, sampling, {"id_slot": slot, **self._beyond(sampling)})

    async def stream(
        self, messages: Sequence[Message], sampling: GenerationSettings, heard: Heard
    ) -> Completion:
        return await self._chat(messages, sampling, self._beyond(sampling), heard)

    def _beyond(self, sampling: GenerationSettings) -> dict[str, Any]:
        """What a request says beyond OpenAI's protocol."""
        return {
            "cache_prompt": True,
            "top_k": sampling.top_k,
            "min_p": sampling.min_p,
            "repeat_penalty": sampling.repetition_penalty,
            # Over the whole context, as everybody but llama.cpp means it.
            "repeat_last_n": self._options.context,
            "typical_p": 1.0,
            "mirostat": 0,
            "dynatemp_range": 0.0,
            "xtc_probability": 0.0,
            "dry_multiplier": 0.0,
            "top_n_sigma": -1.0,
            "reasoning_format": "none",  # <think> stays in the text, where scoring looks for it
        }

    def server_command(self) -> list[str]:
        words = self._words(self._options, DEPLOYED_PORT)
        if self._template_file:
            words += ["--chat-template-file", self._template_file]
        return [self._binary or "llama-server", *words]

    async def probe(self) -> Speed | None:
        return await measure_speed(self._options.context, self._plain_tokens, self._trial)

    async def _plain_tokens(self, text: str) -> list[int]:
        tokens: list[int] = (await self._server.post("/tokenize", {"content": text, "add_special": True}))[
            "tokens"
        ]
        return tokens

    async def _trial(self, prompt: list[int], answer_tokens: int) -> Trial:
        """By the server's own timings; nothing is reused from its cache."""

        async def answer(prompt: list[int], size: int) -> dict[str, Any]:
            body = {
                "prompt": prompt,
                "n_predict": size,
                "ignore_eos": True,
                "cache_prompt": False,
                "temperature": 0.0,
                "id_slot": 0,
            }
            found: dict[str, Any] = (await self._server.post("/completion", body))["timings"]
            return found

        started = time.monotonic()
        prefill = await answer(prompt, 1)
        waited = time.monotonic() - started
        decode = await answer(prompt[:8], answer_tokens)
        return Trial(waited, prefill["prompt_per_second"], decode["predicted_per_second"])


def preflight(model: ModelSettings, backend: Settings, max_tokens: int) -> str | None:  # noqa: ARG001
    """The llama-server that is named, None for the wheel's; what takes no download to find wrong is found.

    Raises:
        UserError: no such server, a port in use, settings that exclude each other, a file that is not there.
    """
    from evalkit.weights.fetch import local_file

    binary = find_binary(backend.binary)
    check_deployment(backend, binary=binary, flash_attention=backend.flash_attention)
    if backend.port:
        require_free_port(backend.port)
    given_template(model)
    if model.path:
        local_file(model)
    return binary


def open_engine(model: ModelSettings, backend: Settings, max_tokens: int, log: Path) -> LlamaCpp:
    """The engine for a GGUF model: fetch the file, read its header, settle the chat template.

    Raises:
        UserError: the file cannot be had, is no complete GGUF, or has no chat template and none was given.
    """
    from evalkit.weights.fetch import resolve_weights

    binary = preflight(model, backend, max_tokens)
    given = given_template(model)
    weights = resolve_weights(model)
    header = _header(weights)
    draft = draft_header(backend)
    if draft is not None:
        check_draft(draft, header)
    return LlamaCpp(
        weights=weights.path,
        sha256=weights.sha256,
        provenance=weights_provenance(weights, header, model),
        header=header,
        draft=draft,
        template=require_template(given or header.chat_template, weights.path.name),
        template_given=bool(given),
        template_file=model.chat_template,
        max_tokens=max_tokens,
        backend=backend,
        binary=binary,
        log=log,
    )


def _header(weights: Weights) -> GGUFHeader:
    """The model's header. A download that is none, as an error page is, goes out of the cache."""
    from evalkit.files import discard
    from evalkit.weights.gguf import read_model

    try:
        return read_model(weights.path)
    except UserError as error:
        if not weights.origin.startswith("url:"):
            raise
        discard(weights.path)
        raise UserError(f"{error} {weights.path} was removed: the same command fetches it again.") from error


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What a server is started with. ``context`` is tokens per slot; ``deployment``: `deployment_options`."""

    model: str
    slots: int
    context: int
    threads: int
    gpu_layers: int
    flash_attention: str
    chat_template: str | None
    port: int | None
    key: str
    mmap: bool = False
    repack: bool = True
    warmup: bool = True
    deployment: Mapping[str, Any] = field(default_factory=dict)


def wheel_launch(options: ServerOptions, seconds: float | None = None) -> Launch:
    """How the wheel's server is started, and how long that may take."""
    # Through the pipe and not on the command line, where other users of the machine could read the key.
    line = json.dumps(asdict(options)).encode() + b"\n"
    command = child_command("evalkit.children.llama_cpp")
    return Launch("llama.cpp", command, first_line=line, env=llama_environment(), seconds=seconds)


def find_binary(configured: str | None) -> str | None:
    if not configured:
        if importlib.util.find_spec("xllamacpp") is None:
            raise UserError(
                f"the llama.cpp engine is not installed: {install_extra('gguf')}, or give backend.binary"
            )
        return None
    found = shutil.which(configured)
    if found is None:
        raise UserError(f"backend.binary: no executable '{configured}'")
    return found


def engine_build(binary: str | None) -> str:
    """The engine's build, as far as it tells: it is part of every generation's key."""
    if binary is None:
        return f"xllamacpp {importlib.metadata.version('xllamacpp')}"
    try:
        shown = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineUnusable(f"{binary} --version: {error}") from error
    lines = (shown.stdout + shown.stderr).splitlines()
    return next((line.strip() for line in lines if "version" in line), Path(binary).name)


def arguments(options: ServerOptions, port: int) -> list[str]:
    """llama-server's command line for our options; the key goes through the environment."""
    words = [
        *("--model", options.model),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--parallel", str(options.slots), "--ctx-size", str(options.context * options.slots)),
        *("--threads", str(options.threads), "--threads-batch", str(options.threads)),
        *("--flash-attn", options.flash_attention),
        *("--cache-ram", "0", "--reasoning-format", "none", "--jinja", "--no-context-shift", "--no-webui"),
    ]
    if options.gpu_layers >= 0:
        words += ["--n-gpu-layers", str(options.gpu_layers)]
    if not options.repack:
        words.append("--no-repack")
    if not options.warmup:
        words.append("--no-warmup")
    return words


def weights_provenance(weights: Weights, header: GGUFHeader, model: ModelSettings) -> dict[str, Any]:
    """Where the file came from, its hash, its header's figures, and its recipe as claimed and as found."""
    from evalkit.weights.fetch import size_finding
    from evalkit.weights.gguf import summary, tokenizer_sha256
    from evalkit.weights.recipe import contradictions, found_recipe

    claimed = model.recipe
    size = size_finding(model, weights.size_bytes)
    return {
        "path": str(weights.path),
        "origin": weights.origin,
        "sha256": weights.sha256,
        "size_bytes": weights.size_bytes,
        "requantized_from": weights.requantized_from,
        "tokenizer_sha256": tokenizer_sha256(header),
        "recipe": {
            "claimed": _words(claimed),
            "found": found_recipe(header).name,
            "warnings": contradictions(header, claimed, weights.path.name) + ([size] if size else []),
        },
        "gguf": summary(header),
    }


def _words(claimed: object) -> str | None:
    if isinstance(claimed, Mapping):
        return ", ".join(f"{part} {type_}" for part, type_ in claimed.items() if type_) or None
    return str(claimed) if claimed else None
