"""load.json: what was measured of one file under its settings, with more and more users.

The file may be anybody's: what is read back is checked.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evalkit.config.checks import identity
from evalkit.config.settings import RunSettings
from evalkit.files import write_atomically
from evalkit.run.info import together
from evalkit.schema import UserError
from evalkit.text import first_fault

SCHEMA = 1
FILE = "load.json"
_LARGEST = 1 << 24  # bytes of a record; one has some thousand


@dataclass(frozen=True, slots=True)
class Waits:
    """Percentiles of `n` waits, in seconds, by nearest rank: so many per cent waited no longer.

    Of fewer than 100 the 99th is the longest.
    """

    p50: float
    p95: float
    p99: float
    n: int


def waits(seconds: Iterable[float]) -> Waits | None:
    """Their percentiles; None if there are none."""
    ordered = sorted(seconds)
    if not ordered:
        return None
    p50, p95, p99 = (ordered[math.ceil(share * len(ordered) / 100) - 1] for share in (50, 95, 99))
    return Waits(p50, p95, p99, len(ordered))


@dataclass(frozen=True, slots=True)
class Level:
    """What `users` saw who asked all at once, each one question after the other.

    Of `asked` requests `done` have an answer, `failed` none, and `unfinished` were given up when time was
    over. `first_token`: from asking to the first piece of the answer, waiting for a slot included; of those
    that were given up before, until then, which is too little. All else is of those that are done.
    `per_token`: of one answer, its time after the first piece over its tokens after the first. `pause`:
    between two pieces of an answer. `answer`: from asking to its end. `tokens_per_second`: of all answers,
    over `seconds`, from the first question to the last answer. `cached_tokens` of the `prompt_tokens` were in
    the server's cache. `draft_tokens` were proposed by a draft model and `draft_accepted` taken. Memory in
    bytes: the highest of the server's processes so far.
    """

    users: int
    asked: int
    done: int
    failed: int
    unfinished: int
    seconds: float
    first_token: Waits | None
    per_token: Waits | None
    pause: Waits | None
    answer: Waits | None
    tokens_per_second: float
    prompt_tokens: int
    cached_tokens: int
    answer_tokens: int
    draft_tokens: int | None
    draft_accepted: int | None
    peak_memory_bytes: int | None
    peak_gpu_memory_bytes: int | None
    reason: str | None = None  # of the first failure

    @property
    def memory_bytes(self) -> int | None:
        """The peak on the host and on GPUs together; None if it was not measured."""
        return together(self.peak_memory_bytes, self.peak_gpu_memory_bytes)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """One file under one set of settings, on one machine.

    `context` is tokens per slot. `command` is the command line that serves the file with these settings, by
    llama.cpp's own server or vLLM. `sha256` is the file's. Of a service there are none of them, and `file` is
    its address. `questions` says which prompts were asked, `max_tokens` how long an answer could be.
    """

    name: str
    title: str
    file: str
    sha256: str | None
    build: str
    command: tuple[str, ...]
    context: int | None
    slots: int
    backend: dict[str, Any]
    questions: dict[str, Any]
    max_tokens: int
    load_seconds: float | None
    machine: dict[str, Any]
    made: str
    levels: tuple[Level, ...]
    complete: bool
    schema: Literal[1] = 1

    def level(self, users: int) -> Level | None:
        """That of the fewest users who are no fewer than `users`; None if there were not so many."""
        enough = [level for level in self.levels if level.users >= users and level.first_token is not None]
        return min(enough, key=lambda level: level.users, default=None)

    @property
    def peak_bytes(self) -> int | None:
        """The most memory that serving took, with the GPU's; None if it was not measured."""
        peaks = [level.memory_bytes for level in self.levels if level.memory_bytes is not None]
        return max(peaks, default=None)


def folder_of(settings: RunSettings, users: Sequence[int], threads: int | None) -> Path:
    """Where the load of these settings is kept: the same command finds it, any other another one."""
    said = json.dumps([identity(settings), list(users), threads], sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(said.encode()).hexdigest()[:8]
    return Path(settings.results_dir) / "load" / settings.model.name / digest


def write_load(found: LoadResult, folder: Path) -> None:
    """Keep it, as it is so far."""
    from pydantic import TypeAdapter

    text = TypeAdapter(LoadResult).dump_json(found, indent=2).decode() + "\n"
    write_atomically(folder / FILE, text)


def read_load(path: Path) -> LoadResult:
    """A result read back.

    Raises:
        UserError: it cannot be read, or is none.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        if path.stat().st_size > _LARGEST:
            raise UserError(f"{path} is too large for a load's record: remove it")
        return TypeAdapter(LoadResult).validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        reason = first_fault(error)
        raise UserError(f"{path} is not a load's record: {reason}: remove it, or measure again") from error


def loads_in(results: Path) -> list[LoadResult]:
    """All results below a results folder, in the order of their paths.

    Raises:
        UserError: one of them cannot be read.
    """
    return [read_load(path) for path in sorted((results / "load").glob(f"*/*/{FILE}"))]
