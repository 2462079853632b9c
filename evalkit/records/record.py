"""A run as readers of results need it: what made it, and every answer with every rule's verdict.

It holds no paths of the machine that made it, and nothing that the benchmark's files are needed for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA = 1

GoldKind = Literal["number", "yes_no", "choice", "label", "text"]


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """One rule's verdict, as in scores.jsonl. `span`: where `extracted` is in the output, in characters."""

    correct: bool | None
    score: float | None
    failure: str
    extracted: str | None = None
    span: tuple[int, int] | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One answer: fields as in generations.jsonl, its gold answer as text, and its verdicts by rule.

    `messages` are [role, content] pairs. `facets` are what reports break down by (Ant_Finance's category and
    task, ConvFinQA's turn depth, FinQA's answer kind and number of steps). `abandoned`: wrong, though the
    right number was reached on the way.
    """

    benchmark: str
    id: str
    turn: int | None
    sample: int
    group: str
    facets: dict[str, Any]
    gold_kind: GoldKind
    gold: str
    messages: tuple[tuple[str, str], ...]
    text: str | None
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    error: str | None
    verdicts: dict[str, RuleVerdict]
    abandoned: bool | None = None

    @property
    def key(self) -> tuple[str, str, int | None, int]:
        """Its name within any run: benchmark, id, turn, sample."""
        return self.benchmark, self.id, self.turn, self.sample


@dataclass(frozen=True, slots=True)
class Head:
    """What made the run: blocks of run.json and of its config, without paths.

    `benchmarks` maps names to their config, with `covered`, the number of examples that the run asked for.
    `measured`, `engine`, `data` and `hardware` are as in run.json; `judge` and `calibration` as in judge.json
    and calibration.json, None where there are none.
    """

    run_id: str
    model: dict[str, Any]
    protocol: dict[str, Any]
    sampling: dict[str, Any]
    settings: dict[str, Any]
    benchmarks: dict[str, dict[str, Any]]
    data: dict[str, dict[str, Any]]
    engine: dict[str, Any]
    hardware: dict[str, Any]
    measured: dict[str, Any]
    evalkit: dict[str, Any]
    started: str | None
    ended: str | None
    schema: int = SCHEMA
    judge: dict[str, Any] | None = None
    calibration: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A run. `rows` are ordered by benchmark (the run's order), group, id, turn and sample."""

    head: Head
    rows: list[Row] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The model's name."""
        return str(self.head.model["name"])

    @property
    def title(self) -> str:
        """The model's name for readers."""
        return str(self.head.model["title"])

    @property
    def rules(self) -> list[str]:
        """The rules that judged anything, sorted."""
        return sorted({rule for row in self.rows for rule in row.verdicts})
