"""llama.cpp's quantizer as a child process: the library of llama-cpp-python, or a `llama-quantize` binary.

A child, because llama.cpp ends its process where it finds a tensor it cannot handle (GGML_ASSERT).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from evalkit.errors import UserError

_LOG_TAIL = 1 << 20  # bytes of a log that are searched for the reason of a failure
_WHY = "failed to quantize:"
_TELLING = ("GGML_ASSERT", _WHY, "error", "ERROR")
_DISK = ("basic_ios::clear: iostream error", "it cannot write its file; is the disk full?")


class QuantizeFailed(Exception):
    """A file could not be made, in one line; nothing of it is left but its log."""


@dataclass(frozen=True, slots=True)
class Job:
    """One call of the quantizer. `mix` and tensor types are llama.cpp's names, paths are absolute."""

    source: str
    target: str
    mix: str
    embeddings: str | None
    output: str | None
    pure: bool
    allow_requantize: bool
    imatrix: str | None
    threads: int


def find_quantizer(given: str | None) -> str | None:
    """The `llama-quantize` binary to use; None: the library.

    Args:
        given: `library`, a binary's path or name, or None for the library and else a binary on PATH.

    Raises:
        UserError: it is not there.
    """
    library = importlib.util.find_spec("llama_cpp") is not None
    if given in (None, "library") and library:
        return None
    binary = shutil.which("llama-quantize" if given is None else given) if given != "library" else None
    if binary:
        return str(Path(binary).absolute())
    if given in (None, "library"):
        raise UserError(
            "no quantizer is installed: pip install 'evalkit[quantize]', "
            "or give quantizer=PATH to llama-quantize"
        )
    raise UserError(
        f"quantizer: no executable '{given}'; give the path of llama-quantize, or quantizer=library"
    )


def command(binary: str | None, job: Job) -> list[str]:
    """The child's command line."""
    if binary is None:
        return [sys.executable, "-m", "evalkit.quantize.library", json.dumps(asdict(job))]
    return [
        binary,
        *(["--allow-requantize"] if job.allow_requantize else []),
        *(["--pure"] if job.pure else []),
        *(["--imatrix", job.imatrix] if job.imatrix else []),
        *(["--output-tensor-type", job.output.lower()] if job.output else []),
        *(["--token-embedding-type", job.embeddings.lower()] if job.embeddings else []),
        *(job.source, job.target, job.mix, str(job.threads)),
    ]


def run(binary: str | None, job: Job, log: Path) -> str:
    """Quantize in a child that dies with us, its output in `log`; returns the quantizer's name and version.

    Raises:
        UserError: the mix needs an importance matrix for this model and none was given.
        QuantizeFailed: the quantizer failed or crashed.
    """
    words = [sys.executable, "-m", "evalkit.backends.leash", *command(binary, job)]
    with log.open("wb") as output:
        # A Ctrl-C in the terminal is for us alone, and the leash ends its child when we go.
        child = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = child.wait()
        except BaseException:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
        finally:
            assert child.stdin is not None
            child.stdin.close()
    text = _tail(log)
    if code == 0:
        return _identity(binary, text)
    reason = _reason(text)
    if not job.imatrix and any(sign in reason for sign in ("imatrix", "importance matrix")):
        raise UserError(
            f"{job.mix} needs an importance matrix for this model: give imatrix=FILE, or leave the recipe out"
        )
    raise QuantizeFailed(f"llama.cpp's quantizer {_ending(code)}: {reason} (log: {log})")


def _identity(binary: str | None, text: str) -> str:
    if binary is None:
        return f"llama-cpp-python {importlib.metadata.version('llama-cpp-python')}"
    # llama-quantize has no --version; at work it says "main: build = 9 (abc)" or "version: 1.2 (build 9, …)".
    line = next((line for line in text.splitlines() if "build" in line and "built" not in line), "")
    build = line.partition(":")[2].strip()[:100] or "of an unknown build"
    return f"{Path(binary).name} {build}"


def _ending(code: int) -> str:
    """How a child of the leash ended: the leash passes a signal on as 256 minus its number."""
    number = 256 - code if code > 192 else -code if code < 0 else 0
    with suppress(ValueError):
        if number:
            return f"was ended by {signal.Signals(number).name}"
    return f"failed with exit code {code}"


def _tail(log: Path) -> str:
    with log.open("rb") as handle:
        handle.seek(max(0, log.stat().st_size - _LOG_TAIL))
        return handle.read().decode(errors="replace")


def _reason(text: str) -> str:
    """The most telling line of a log, by the order of `_TELLING`, or else the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for sign in _TELLING:
        telling = [line for line in lines if sign in line]
        if telling and sign == _WHY:
            return telling[-1].partition(_WHY)[2].strip()[:300].replace(*_DISK)
        if telling:
            return telling[-1][-300:]
    return lines[-1][-300:] if lines else "it said nothing"
