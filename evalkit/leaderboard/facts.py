"""What the leaderboard reads of a record, checked: a record's file may be anybody's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from evalkit.errors import UserError
from evalkit.judge.facts import CalibrationFacts, JudgeFacts
from evalkit.records.record import Record
from evalkit.scorers import DEFAULT

Name = Annotated[str, Field(min_length=1, max_length=500)]
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Speed = Annotated[float, Field(ge=0, allow_inf_nan=False)]

# What a benchmark's config says for readers, or what came of it: not what was asked.
_DESCRIPTION = ("title", "licence", "source", "records", "items", "rule", "covered")


@dataclass(frozen=True, slots=True)
class Model:
    """Fields as in configs/model/."""

    name: Name
    title: Name
    family: Name | None = None
    parameters: Count | None = None
    size_bytes: Count | None = None


@dataclass(frozen=True, slots=True)
class Protocol:
    """`samples`: answers per example."""

    name: Name
    samples: Annotated[int, Field(ge=1, le=10_000)] = 1


@dataclass(frozen=True, slots=True)
class Benchmark:
    """`covered`: examples that were asked for."""

    title: Name
    covered: Count


@dataclass(frozen=True, slots=True)
class Data:
    """`source`: the name in configs/data/."""

    source: Name


@dataclass(frozen=True, slots=True)
class Recipe:
    """`warnings`: where the tensors contradict the claimed recipe."""

    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gguf:
    """Of the tensor data."""

    bits_per_weight: Speed | None = None


@dataclass(frozen=True, slots=True)
class Weights:
    """A file of weights, as in run.json."""

    size_bytes: Count | None = None
    requantized_from: str | None = None
    recipe: Recipe = field(default_factory=Recipe)
    gguf: Gguf = field(default_factory=Gguf)


@dataclass(frozen=True, slots=True)
class Engine:
    """`weights` is None for an engine that serves no file of ours."""

    weights: Weights | None = None
    weights_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """One request alone."""

    decode_tokens_per_second: Speed | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """`measured` of run.json."""

    peak_memory_bytes: Count | None = None
    probe: Probe | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """The parts of a record's head that the leaderboard shows or decides by."""

    run_id: Name
    model: Model
    protocol: Protocol
    benchmarks: Annotated[dict[Key, Benchmark], Field(min_length=1)]
    data: dict[str, Data]
    engine: Engine
    measured: Cost
    judge: JudgeFacts | None = None
    calibration: CalibrationFacts | None = None


_FACTS = TypeAdapter(Facts)


def facts_of(record: Record) -> Facts:
    """The head's facts.

    Raises:
        UserError: something is missing, or is not what it should be.
    """
    head = record.head
    blocks = {name: getattr(head, name) for name in Facts.__slots__}
    try:
        facts = _FACTS.validate_python(blocks)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"is not a run's record: {where}: {first['msg']}") from error
    without = [name for name in facts.benchmarks if name not in facts.data]
    if without:
        raise UserError(f"is not a run's record: data: nothing of {without[0]!a:.80}")
    return facts


def check_rows(record: Record) -> None:
    """That every row is an answer to one of the head's benchmarks, there once, with scores from 0 to 1.

    Raises:
        UserError: the first one that is not.
    """
    for number, row in enumerate(record.rows, 2):  # the head is line 1
        if row.benchmark not in record.head.benchmarks:
            raise UserError(
                f"is not a run's record: line {number}: no benchmark {row.benchmark!a:.80} in its head"
            )
        for verdict in row.verdicts.values():
            if verdict.score is not None and not 0 <= verdict.score <= 1:
                raise UserError(f"is not a run's record: line {number}: a score of {verdict.score:g}")
    twice = next((key for key, count in Counter(row.key for row in record.rows).items() if count > 1), None)
    if twice:
        raise UserError(f"is not a run's record: {twice[0]} {twice[1]!a:.80} is there more than once")


def asked(record: Record) -> dict[str, str]:
    """By benchmark: a text that is the same for the same questions, in the same words, of the same data."""
    head = record.head
    return {
        name: _canonical([{k: v for k, v in config.items() if k not in _DESCRIPTION}, head.data.get(name)])
        for name, config in head.benchmarks.items()
    }


def answering(record: Record) -> str:
    """A text that is the same for the same model and weights under the same protocol and settings."""
    head, facts = record.head, facts_of(record)
    weights = facts.engine.weights_sha256
    return _canonical([facts.model.name, weights, head.protocol, head.sampling, head.settings])


def scored_rows(record: Record) -> int:
    """How many answers have a score under the default rule."""
    return sum(
        verdict.score is not None for row in record.rows if (verdict := row.verdicts.get(DEFAULT)) is not None
    )


def missing_answers(record: Record) -> int:
    """How many answers of those that the run asked for the record does not have."""
    facts = facts_of(record)
    there = Counter(row.benchmark for row in record.rows)
    samples = facts.protocol.samples
    return sum(max(0, each.covered * samples - there[name]) for name, each in facts.benchmarks.items())


def _canonical(content: list[Mapping[str, Any] | str | None]) -> str:
    return json.dumps(content, sort_keys=True)
