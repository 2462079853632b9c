"""The generation record: one JSON line per answer, append-only, the expensive thing a run makes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.backends.engine import ENGINE_ERROR, Completion
from evalkit.errors import UserError
from evalkit.example import Message
from evalkit.runner.request import Name, Request


@dataclass(frozen=True, slots=True)
class Generation:
    """One line of generations.jsonl. Field meanings are those of `Completion`; times are seconds."""

    key: str
    benchmark: str
    id: str
    turn: int | None
    sample: int
    group: str
    messages: list[dict[str, str]]
    text: str | None
    finish_reason: str | None
    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    latency_s: float
    prefill_s: float | None
    decode_s: float | None
    error: str | None

    @property
    def name(self) -> Name:
        return (self.benchmark, self.id, self.turn, self.sample)

    @property
    def is_final(self) -> bool:
        """Whether trying again could not change it: all but the engine's own failures."""
        return not (self.error or "").startswith(ENGINE_ERROR)

    @property
    def computed_tokens(self) -> int:
        """Prompt tokens that the engine computed rather than found in its cache."""
        return (self.prompt_tokens or 0) - (self.cached_tokens or 0)

    def line(self) -> str:
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(fields, ensure_ascii=False) + "\n"


def generation(request: Request, key: str, messages: Sequence[Message], completion: Completion) -> Generation:
    """The record of one finished request."""
    example = request.example
    return Generation(
        key=key,
        benchmark=example.benchmark,
        id=example.id,
        turn=example.turn,
        sample=request.sample,
        group=example.group,
        messages=[{"role": m.role, "content": m.content} for m in messages],
        text=completion.text,
        finish_reason=completion.finish_reason,
        prompt_tokens=completion.prompt_tokens,
        cached_tokens=completion.cached_tokens,
        completion_tokens=completion.completion_tokens,
        latency_s=round(completion.latency_s, 4),
        prefill_s=completion.prefill_s,
        decode_s=completion.decode_s,
        error=completion.error,
    )


def read_generations(path: Path) -> list[Generation]:
    """The records of `path` in file order; none if there is no file.

    A last line without its end is what a kill leaves behind: it never counted, and is not returned.

    Raises:
        UserError: any other line is not a record.
    """
    if not path.exists():
        return []
    records = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                break
            try:
                records.append(_parse(json.loads(line)))
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(
                    f"{path}: line {number} is not a generation record ({error!r}): "
                    "mend or remove that line, or use another run_dir"
                ) from error
    return records


def _parse(fields: dict[str, Any]) -> Generation:
    record = Generation(**{name: fields[name] for name in Generation.__slots__})
    for name in ("key", "benchmark", "id", "group"):
        if not isinstance(getattr(record, name), str):
            raise TypeError(f"{name} is not a string")
    if not isinstance(record.text, str | None) or not isinstance(record.sample, int):
        raise TypeError("text or sample has a wrong type")
    return record


def rewrite(path: Path, records: Iterable[Generation]) -> None:
    """Replace `path` by these records, all or nothing."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.writelines(record.line() for record in records)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


class Writer:
    """Appends records; each is on disk when `append` returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")

    def append(self, records: Iterable[Generation]) -> None:
        self._file.write("".join(record.line() for record in records).encode())
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
