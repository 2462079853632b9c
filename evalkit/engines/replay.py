"""Outputs made elsewhere, read from a file, so that they can be scored here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from evalkit.config.settings import BackendSettings, ModelSettings
from evalkit.schema import Completion, Request, UserError, valid_text


class Settings(BackendSettings):
    """configs/backend/replay.yaml"""

    is_recorded: ClassVar[bool] = True

    kind: Literal["replay"]


def read_outputs(model: ModelSettings) -> Replay:
    """The outputs in the model's file. Raises UserError: see `read_replay`."""
    return read_replay(model.path)


@dataclass(frozen=True, slots=True)
class Replay:
    """Recorded outputs by (benchmark or None, id, turn, sample); ``sha256`` is of the file."""

    outputs: dict[tuple[str | None, str, int | None, int], Completion]
    sha256: str
    path: Path

    def __len__(self) -> int:
        return len(self.outputs)

    def identity(self) -> dict[str, Any]:
        return {"engine": "replay", "outputs_sha256": self.sha256}

    def find(self, request: Request) -> Completion | None:
        """The output for `request`. A line without a turn serves an item without one, and turn 0."""
        benchmark, id_, turn, sample = request.name
        turns = (turn, None) if turn == 0 else (turn, 0) if turn is None else (turn,)
        for of in (benchmark, None):
            for at in turns:
                if (of, id_, at, sample) in self.outputs:
                    return self.outputs[of, id_, at, sample]
        return None

    def unused(self, requests: Iterable[Request]) -> int:
        """How many outputs belong to none of `requests`."""
        return len(self.outputs) - sum(self.find(request) is not None for request in requests)


def read_replay(path: Path | str | None) -> Replay:
    """Read one JSON line per output: {"id", "text", "turn"?, "sample"?, "benchmark"?, "finish_reason"?}.

    Raises:
        UserError: no such file, or a line that is not an output, or a second one for the same item.
    """
    if not path:
        raise UserError("replay: give the file of recorded outputs: model.path=FILE")
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"replay: cannot read {path}: {error.strerror or error}") from error
    outputs: dict[tuple[str | None, str, int | None, int], Completion] = {}
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        name, completion = _parse(line, f"{path}: line {number}")
        if name in outputs:
            raise UserError(f"{path}: line {number}: a second output for {name[1]} turn {name[2]}")
        outputs[name] = completion
    return Replay(outputs, hashlib.sha256(content).hexdigest(), path)


def _parse(line: bytes, where: str) -> tuple[tuple[str | None, str, int | None, int], Completion]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not JSON") from error
    kinds: dict[str, tuple[type, ...]] = {
        "id": (str,),
        "text": (str,),
        "turn": (int, type(None)),
        "sample": (int, type(None)),
        "benchmark": (str, type(None)),
        "finish_reason": (str, type(None)),
    }
    for field, kind in kinds.items():
        value = fields.get(field) if isinstance(fields, dict) else None
        if not isinstance(value, kind):
            raise UserError(
                f"{where}: field {field}: expected {kind[0].__name__}, got {json.dumps(value)[:60]}"
            )
    name = (fields.get("benchmark"), fields["id"], fields.get("turn"), fields.get("sample") or 0)
    finish = valid_text(fields.get("finish_reason") or "stop")
    return name, Completion(valid_text(fields["text"]), finish[:40])
