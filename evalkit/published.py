"""Published tables as their authors printed them, read from results/published/, with how they were made."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from evalkit.files import PUBLISHED
from evalkit.schema import UserError, nearest
from evalkit.text import first_fault

DEFAULT = "fin-r1-paper"


@dataclass(frozen=True, slots=True)
class Baseline:
    """A score, in per cent, that needs no model: `what` does it, `source` says how it is known."""

    what: str
    score: Decimal
    source: str


@dataclass(frozen=True, slots=True)
class Column:
    """One benchmark of the table. `n` is the number of items, None where it is not stated."""

    title: str
    n: int | None
    note: str
    baseline: Baseline | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """Scores that another place prints for the same row."""

    scores: dict[str, Decimal]
    source: str


@dataclass(frozen=True, slots=True)
class PrintedRow:
    """One model, in per cent as printed. `base` names the row of the model that it was trained from."""

    model: str
    title: str
    parameters: str
    average: Decimal
    scores: dict[str, Decimal]
    base: str | None = None
    versions: tuple[Version, ...] = ()


@dataclass(frozen=True, slots=True)
class Protocol:
    """How the rows were made. `name` is evalkit's protocol with the same sampling settings."""

    name: str
    shots: int
    temperature: float
    top_p: float
    max_tokens: int
    samples_per_item: int
    judge: str
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrainedOn:
    """What training data hold of one benchmark.

    `raw` is the size of the set that they were made from, `records` what remained of it. `share` is the share
    of the evaluated items that the raw set contains, None where not known; `why` says how it is known.
    """

    raw: str | None
    records: int
    share: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Training:
    """A set of training data, and the models of the table that were trained on it."""

    name: str
    models: tuple[str, ...]
    records: int
    sources: tuple[str, ...]
    benchmarks: dict[str, TrainedOn]


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """A file of results/published/. `benchmarks` is in the order of the printed columns.

    `decimals` is how many digits after the point are printed.
    """

    name: str
    title: str
    source: dict[str, str]
    licence: str
    decimals: int
    protocol: Protocol
    benchmarks: dict[str, Column]
    rows: tuple[PrintedRow, ...]
    training: Training | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def source_note(self) -> str:
        """What stands below its rows beside measured ones."""
        return (
            f"Published rows: {self.source['paper']} and its model card, as printed; temperature "
            f"{self.protocol.temperature:g}, judge {self.protocol.judge}: another protocol and another rule."
        )

    @property
    def half_unit(self) -> Decimal:
        """The most that rounding to the printed digits changes a number, in points."""
        return Decimal(5).scaleb(-self.decimals - 1)


def table_names() -> list[str]:
    """The tables that can be named."""
    return sorted(path.stem for path in PUBLISHED.glob("*.yaml"))


def read_table(name: str = DEFAULT) -> PublishedTable:
    """One file of results/published/.

    Raises:
        UserError: there is no such table, or its file is not one.
    """
    import yaml
    from pydantic import TypeAdapter, ValidationError

    known = table_names()
    if name not in known:
        raise UserError(f"no published table '{name}'.{nearest(name, known)} Known: {', '.join(known)}")
    file = PUBLISHED / f"{name}.yaml"
    try:
        table = TypeAdapter(PublishedTable).validate_python(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = first_fault(error) if isinstance(error, ValidationError) else type(error).__name__
        raise UserError(f"{file} is not a published table: {reason}") from error
    for row in table.rows:
        if set(row.scores) != set(table.benchmarks):
            raise UserError(f"{file} is not a published table: the scores of {row.title} are not its columns")
    return table


def mean(table: PublishedTable, scores: dict[str, Decimal]) -> Decimal:
    """What a row's average should be, exactly."""
    return sum((scores[name] for name in table.benchmarks), Decimal()) / len(table.benchmarks)


def known_overlap(table: PublishedTable | None = None) -> dict[str, str]:
    """By benchmark, in the table's order, one sentence to show beside its scores; empty if nothing is known.

    Args:
        table: of Fin-R1's paper if not given.
    """
    table = read_table() if table is None else table
    training = table.training
    if training is None:
        return {}
    return {
        name: _overlap_text(training, training.benchmarks[name])
        for name in table.benchmarks
        if name in training.benchmarks
    }


def _overlap_text(training: Training, known: TrainedOn) -> str:
    share = "What share" if known.share is None else f"As far as known, {100 * known.share:.0f} %"
    unknown = " is not known" if known.share is None else ""
    raw = "the set" if known.raw is None else f"{known.raw} questions"
    return (
        f"{share} of the evaluated items is in what {training.name} was made from{unknown}: {known.why}. "
        f"{known.records:,} records remained of {raw} after filtering; which ones is not known."
    )
