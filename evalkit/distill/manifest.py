"""manifest.json: what a data set was made of and how, every count and hash.

It holds no times: the same inputs give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from evalkit.distill.answers import Check, reasoning_state
from evalkit.distill.contamination import EvaluationSplit
from evalkit.distill.errors import WrongShare
from evalkit.distill.sets import Balance, Counts
from evalkit.files import sha256_of
from evalkit.run.folder import Finished
from evalkit.run.generations import GENERATIONS
from evalkit.run.judgements import Ledger
from evalkit.schema import UserError

MANIFEST = "manifest.json"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Teacher:
    """A run whose answers were filtered. `answers_sha256` is of its generations.jsonl."""

    name: str
    title: str
    licence: str | None
    temperature: float
    top_p: float
    max_tokens: int
    samples: int
    system: str | None
    recorded: bool
    answers_sha256: str


@dataclass(frozen=True, slots=True)
class JudgeFacts:
    """The judge of a run. `mode`: criteria or holistic; None: it was not asked about reasoning."""

    name: str
    mode: str | None
    forced: bool


@dataclass(frozen=True, slots=True)
class JudgeOnSource:
    """What canaries say of a judge on one source, as fractions of 1; None where it had none.

    Canaries are answers: they say how it judges answers, and nothing of how it judges reasoning.
    """

    false_positive: float | None
    false_negative: float | None
    unfit: str | None


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """One source.

    `wrong_in_sft` is of each run whose answers are in the set. `card_records` is what Fin-R1's card counts
    of it, None if it is not one of the card's.
    """

    title: str
    split: str
    place: str | None
    licence: str | None
    data_sha256: str
    card_records: int | None
    reasoning: Check
    judge: JudgeOnSource | None
    counts: Counts
    wrong_in_sft: tuple[WrongShare, ...] = ()


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file of the data set."""

    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """All of it. `notices` is what a reader has to know before use, first of all whether nobody checked the
    reasoning; `unjudged` says that the set for fine-tuning was written although nobody had."""

    schema: int
    evalkit: str
    notices: tuple[str, ...]
    unjudged: bool
    seed: int
    validation: float
    teachers: tuple[Teacher, ...]
    judges: tuple[JudgeFacts, ...]
    against: tuple[EvaluationSplit, ...]
    sources: dict[str, SourceFacts]
    balance: Balance
    files: dict[str, FileFacts]

    def text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a data set.

    Raises:
        UserError: the folder has none, or it is not one.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Manifest).validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError) as error:
        raise UserError(
            f"{folder / MANIFEST} is no manifest of evalkit distill: {type(error).__name__}"
        ) from error


def teacher(finished: Finished) -> Teacher:
    """What is said of a run."""
    model, protocol = finished.settings.model, finished.settings.protocol
    return Teacher(
        name=model.name,
        title=model.title,
        licence=model.licence,
        temperature=float(protocol.temperature),
        top_p=float(protocol.top_p),
        max_tokens=finished.settings.max_tokens,
        samples=protocol.samples,
        system=protocol.system,
        recorded=finished.settings.backend.is_recorded,
        answers_sha256=sha256_of(finished.path / GENERATIONS),
    )


def judge_facts(ledger: Ledger) -> JudgeFacts:
    """What is said of a run's judge."""
    settings = ledger.summary.get("settings", {})
    return JudgeFacts(
        str(ledger.summary.get("judge", {}).get("name", "")),
        settings.get("reasoning"),
        bool(settings.get("force")),
    )


def on_source(ledger: Ledger | None, benchmark: str) -> JudgeOnSource | None:
    """What the canaries of one source say."""
    found = ledger.facts.benchmarks.get(benchmark) if ledger else None
    if found is None or found.canaries is None:
        return None
    canaries = found.canaries
    return JudgeOnSource(canaries.false_positive.rate, canaries.false_negative.rate, canaries.reason)


def worst_state(ledgers: Sequence[Ledger | None], benchmark: str) -> Check:
    """What was done about a source's reasoning in the run where least was."""
    order: tuple[Check, ...] = ("not done", "unfit", "forced", "done")
    return min((reasoning_state(ledger, benchmark) for ledger in ledgers), key=order.index)


def files_of(folder: Path, rows: Mapping[str, int]) -> dict[str, FileFacts]:
    """The files as they were written, by name."""
    return {
        name: FileFacts(count, (folder / name).stat().st_size, sha256_of(folder / name))
        for name, count in sorted(rows.items())
    }
