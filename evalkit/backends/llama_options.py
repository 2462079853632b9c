"""What a llama.cpp server is started with, and which one it is: the wheel or a binary."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from evalkit.backends.engine import EngineUnusable
from evalkit.errors import UserError


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What a server is started with. ``context`` is tokens per slot."""

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


def find_binary(configured: str | None) -> str | None:
    if not configured:
        if importlib.util.find_spec("xllamacpp") is None:
            raise UserError(
                "the llama.cpp engine is not installed: pip install 'evalkit[gguf]', or give backend.binary"
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
    if not options.mmap:
        words.append("--no-mmap")
    if not options.repack:
        words.append("--no-repack")
    if not options.warmup:
        words.append("--no-warmup")
    return words
