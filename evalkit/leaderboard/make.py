"""From records and published tables to the board."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from evalkit.audit.table import PublishedTable, mean
from evalkit.leaderboard.board import Board, Cell, Measured, Problem, PublishedRow
from evalkit.leaderboard.facts import Facts, facts_of, missing_answers
from evalkit.records.record import Record, Row
from evalkit.scorers import DEFAULT
from evalkit.stats.average import average_estimate
from evalkit.stats.paired import mean_estimate


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
    cells = dict(_cells(record, facts))
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
    )


def _sources(facts: Facts) -> str:
    return "+".join(sorted({facts.data[name].source for name in facts.benchmarks}))


def _cells(record: Record, facts: Facts) -> Iterator[tuple[str, Cell]]:
    rows: dict[str, dict[tuple[str, int | None], list[Row]]] = {
        name: defaultdict(list) for name in facts.benchmarks
    }
    for row in record.rows:
        rows[row.benchmark][row.id, row.turn].append(row)
    for name, benchmark in facts.benchmarks.items():
        yield name, _cell(list(rows[name].values()), benchmark.covered)


def _cell(examples: Sequence[Sequence[Row]], covered: int) -> Cell:
    """One benchmark; of each example its samples."""
    scores, clusters = [], []
    failed = 0
    for samples in examples:
        score = _score(samples)
        if score is not None:
            scores.append(score)
            clusters.append(samples[0].group)
        elif any(row.error is not None for row in samples):
            failed += 1
    return Cell(
        estimate=mean_estimate(scores, clusters) if scores else None,
        covered=covered,
        unscored=len(examples) - len(scores) - failed,
        failed=failed,
        truncated=sum(any(row.finish_reason == "length" for row in samples) for samples in examples),
    )


def _score(samples: Sequence[Row]) -> float | None:
    verdicts = (row.verdicts.get(DEFAULT) for row in samples)
    found = [verdict.score for verdict in verdicts if verdict is not None and verdict.score is not None]
    return statistics.fmean(found) if found else None


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
