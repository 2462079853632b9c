"""Replies of judges, kept: each is on disk before it counts, so that nothing is judged twice after a kill."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from evalkit.backends.engine import Sampling
from evalkit.errors import UserError
from evalkit.example import Message
from evalkit.paths import cache_dir

_PATIENCE = 60.0  # seconds to wait for another process that is writing
_TABLE = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, reply TEXT NOT NULL, attempts INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cost REAL NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A well-formed reply, raw, and what it took: requests, tokens and cost of all attempts."""

    reply: str
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    cost: float


def verdict_key(identity: Mapping[str, Any], messages: Sequence[Message], sampling: Sampling) -> str:
    """A hash of everything that decides a verdict: the judge, its templates, the prompt and the sampling."""
    content = {
        "identity": identity,
        "messages": [[m.role, m.content] for m in messages],
        "sampling": sampling.as_dict(),
    }
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "replace")).hexdigest()[:32]


def default_path() -> Path:
    """`judge/replies.sqlite` in evalkit's cache folder."""
    return cache_dir() / "judge" / "replies.sqlite"


class VerdictCache:
    """Replies by `verdict_key`. Several processes may use the same file at once.

    Raises:
        UserError: the file cannot be used, here or later.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            # WAL alone may lose the last commits when the machine, and not only the process, goes down.
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute(_TABLE)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def get(self, key: str) -> Kept | None:
        try:
            row = self._connection.execute(
                "SELECT reply, attempts, prompt_tokens, completion_tokens, cost FROM replies WHERE key = ?",
                (key,),
            ).fetchone()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return Kept(*row) if row else None

    def put(self, key: str, kept: Kept) -> None:
        """On disk when this returns. What another process has put there first stays."""
        values = (kept.reply, kept.attempts, kept.prompt_tokens, kept.completion_tokens, kept.cost)
        try:
            self._connection.execute(
                "INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?)", (key, *values)
            )
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> UserError:
        return UserError(
            f"the judge's cache {self._path} cannot be used ({error}): remove it or set another EVALKIT_CACHE"
        )

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
