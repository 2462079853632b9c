"""From records and published tables to the board."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from evalkit.audit.table import PublishedTable, mean
from evalkit.compare.comparison import Estimate
from evalkit.judge.verdicts import JUDGED
from evalkit.leaderboard.board import Board, Measured, Problem, PublishedRow
from evalkit.leaderboard.facts import Facts, facts_of, missing_answers
from evalkit.leaderboard.judged import judged_of
from evalkit.records.accuracy import Example, cell, counting_rule, examples_of
from evalkit.records.record import Record
from evalkit.scorers import DEFAULT
from evalkit.stats.average import average_estimate


def board_of(
    records: Mapping[str, Record], published: Sequence[PublishedTable], problems: Sequence[Problem] = ()
) -> Board:
    """The board of these records.

    Args:
        records: by file name relative to the results folder.
        published: the tables that they stand beside.
        problems: of the records that are left out.

    Raises:
        UserError: a record's head is not a run's (`evalkit.leaderboard.facts`).
    """
    facts = {file: facts_of(record) for file, record in records.items()}
    measured = [_measured(file, record, facts[file]) for file, record in records.items()]
    return Board(
        benchmarks=_benchmarks(published, facts.values()),
        measured=tuple(sorted(measured, key=_place)),
        published=tuple(row for table in published for row in _rows(table)),
        problems=tuple(problems),
    )


def _benchmarks(published: Sequence[PublishedTable], measured: Iterable[Facts]) -> dict[str, str]:
    """The published columns, then what else was measured, by name."""
    printed = {name: column.title for table in published for name, column in table.benchmarks.items()}
    others = {name: benchmark.title for facts in measured for name, benchmark in facts.benchmarks.items()}
    return printed | {name: others[name] for name in sorted(others.keys() - printed.keys())}


def _place(entry: Measured) -> tuple[bool, float, str, str, str]:
    # Digits beyond the ninth are the processor's.
    value = round(entry.average.value, 9) if entry.average else 0.0
    return entry.average is None, -value, entry.title, entry.model, entry.file


def _measured(file: str, record: Record, facts: Facts) -> Measured:
    examples = examples_of(record)
    cells = {
        name: cell(examples[name], counting_rule(examples[name]), benchmark.covered)
        for name, benchmark in facts.benchmarks.items()
    }
    scored = [cell.estimate for cell in cells.values() if cell.estimate is not None]
    weights, probe = facts.engine.weights, facts.measured.probe
    return Measured(
        model=facts.model.name,
        title=facts.model.title,
        family=facts.model.family,
        parameters=facts.model.parameters,
        run=facts.run_id,
        file=file,
        rule=DEFAULT,
        protocol=facts.protocol.name,
        data=_sources(facts),
        cells=cells,
        average=average_estimate(scored) if scored else None,
        size_bytes=(weights.size_bytes if weights else None) or facts.model.size_bytes,
        bits_per_weight=weights.gguf.bits_per_weight if weights else None,
        peak_memory_bytes=facts.measured.peak_memory_bytes,
        decode_tokens_per_second=probe.decode_tokens_per_second if probe else None,
        warnings=tuple(_warnings(record, facts)),
        judged=tuple(
            each
            for each in judged_of(facts.judge, facts.calibration, _as_judged(examples))
            if each.benchmark in facts.benchmarks
        ),
    )


def _sources(facts: Facts) -> str:
    return "+".join(sorted({facts.data[name].source for name in facts.benchmarks}))


def _as_judged(examples: Mapping[str, Sequence[Example]]) -> dict[str, Estimate]:
    found = {name: cell(of, JUDGED, len(of)).estimate for name, of in examples.items()}
    return {name: estimate for name, estimate in found.items() if estimate is not None}


def _warnings(record: Record, facts: Facts) -> Iterator[str]:
    if "sample" in _sources(facts).split("+"):
        yield "made on the bundled samples: to try evalkit, not a measurement"
    missing = missing_answers(record)
    if missing:
        yield f"partial: {missing:,} of {missing + len(record.rows):,} answers are not there"
    weights = facts.engine.weights
    if weights and weights.requantized_from:
        yield f"requantized from {weights.requantized_from}: carries that file's losses too"
    if weights:
        yield from weights.recipe.warnings


def _rows(table: PublishedTable) -> Iterator[PublishedRow]:
    for row in table.rows:
        yield PublishedRow(
            model=row.model,
            title=row.title,
            parameters=row.parameters,
            table=table.name,
            scores={name: float(score) for name, score in row.scores.items()},
            average=float(row.average),
            mean=float(mean(table, row.scores)),
        )
