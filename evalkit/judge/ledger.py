"""What a judge has said of a run, in the run's folder: judgements.jsonl line by line, judge.json in sum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import UserError
from evalkit.judge.case import ErrorKind, Judgement, Task
from evalkit.runner.folder import read_json, write_atomically
from evalkit.runner.record import Generation
from evalkit.runner.request import Name

JUDGEMENTS = "judgements.jsonl"
SUMMARY = "judge.json"
SCHEMA = 1

_REPLY_CHARS = 2_000  # of a reply's end: its verdict stands there


@dataclass(frozen=True, slots=True)
class Entry:
    """One judged answer, or one canary.

    ``key`` is that of the verdict's cache, ``generation`` that of the judged answer; ``canary`` its kind, and
    ``expected`` the verdict that it ought to get. ``score`` and ``correct`` are None where ``error`` says
    why; ``criteria`` are those of a reasoning check. Tokens and cost are those that the verdict took when it
    was made.
    """

    key: str
    benchmark: str
    id: str
    turn: int | None
    sample: int
    generation: str | None
    task: Task
    canary: str | None
    expected: bool | None
    score: float | None
    correct: bool | None
    error: ErrorKind | None
    detail: str
    reply: str
    prompt_tokens: int
    completion_tokens: int
    cost: float
    criteria: dict[str, bool] | None = None

    @property
    def is_answer(self) -> bool:
        """Whether it is a verdict on an answer: no canary, and not on how the answer was reached."""
        return self.canary is None and not self.task.startswith("reasoning")

    @property
    def name(self) -> Name:
        return (self.benchmark, self.id, self.turn, self.sample)


def verdict_fields(judgement: Judgement, threshold: float) -> dict[str, Any]:
    """The fields of an entry that come from the judge. A grade counts as right from `threshold` on."""
    score = None if judgement.ruling is None else judgement.ruling.score
    return {
        "key": judgement.key,
        "score": score,
        "correct": None if score is None else score >= threshold,
        "error": judgement.error,
        "detail": judgement.detail,
        "reply": judgement.reply[-_REPLY_CHARS:],
        "prompt_tokens": judgement.prompt_tokens,
        "completion_tokens": judgement.completion_tokens,
        "cost": judgement.cost,
        "criteria": (judgement.ruling.criteria or None) if judgement.ruling else None,
    }


@dataclass(frozen=True, slots=True)
class Ledger:
    """A judged run: its answers' entries by name, and the content of judge.json."""

    entries: Mapping[Name, Entry]
    summary: dict[str, Any]

    def shows(self, benchmark: str) -> bool:
        """Whether scores under `judged` are shown: the judge decided something, and is fit or forced."""
        return self.of(benchmark).get("shown") in ("fit", "forced")

    def of(self, benchmark: str) -> dict[str, Any]:
        """What judge.json says of a benchmark; {} if nothing."""
        found: dict[str, Any] = self.summary["benchmarks"].get(benchmark, {})
        return found

    def entry(self, record: Generation) -> Entry | None:
        """The entry of this very answer: not of an earlier one of the same name."""
        found = self.entries.get(record.name)
        return found if found is not None and found.generation == record.key else None

    @property
    def errors(self) -> dict[str, int]:
        """How many answers got no verdict, by kind of error."""
        found: dict[str, int] = {}
        for entry in self.entries.values():
            if entry.error:
                found[entry.error] = found.get(entry.error, 0) + 1
        return dict(sorted(found.items()))


def write_ledger(folder: Path, entries: Iterable[Entry], summary: Mapping[str, Any]) -> None:
    """Write both files; the summary, which vouches for the other by its hash, last."""
    lines = "".join(json.dumps(asdict(entry), ensure_ascii=False) + "\n" for entry in entries)
    write_atomically(folder / JUDGEMENTS, lines)
    content = {"schema": SCHEMA, **summary, "judgements_sha256": _sha256(lines.encode())}
    write_atomically(folder / SUMMARY, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def read_ledger(folder: Path) -> Ledger | None:
    """What a judge has said of the run in `folder`; None if it was not judged.

    Raises:
        UserError: the files cannot be read, or do not belong together.
    """
    from pydantic import TypeAdapter, ValidationError

    summary = read_json(folder / SUMMARY)
    if not summary:
        return None
    again = "judge the run again (`evalkit judge run`), or remove both files"
    try:
        content = (folder / JUDGEMENTS).read_bytes()
        if summary.get("schema") != SCHEMA or summary.get("judgements_sha256") != _sha256(content):
            raise UserError(f"{folder}: {JUDGEMENTS} and {SUMMARY} do not belong together: {again}")
        adapter = TypeAdapter(Entry)
        entries = [adapter.validate_json(line) for line in content.splitlines()]
        TypeAdapter(dict[str, dict[str, Any]]).validate_python(summary.get("benchmarks"))
    except (OSError, ValidationError) as error:
        raise UserError(f"{folder}: {JUDGEMENTS} or {SUMMARY} cannot be read: {again}") from error
    return Ledger({entry.name: entry for entry in entries if entry.is_answer}, summary)


def totals(entries: Sequence[Entry]) -> dict[str, Any]:
    """Tokens and cost of all verdicts, each question once."""
    each = {entry.key: entry for entry in entries}.values()
    return {
        "verdicts": len(each),
        "prompt_tokens": sum(entry.prompt_tokens for entry in each),
        "completion_tokens": sum(entry.completion_tokens for entry in each),
        "cost": round(sum(entry.cost for entry in each), 6),
    }


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
