"""`evalkit.load_runs`: run records as four tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from evalkit.compare.comparison import AVERAGE
from evalkit.errors import UserError, nearest
from evalkit.frames.columns import ANSWERS, RUNS, SCORES, SWEEPS, described, frame
from evalkit.frames.find import DEFAULT, Collection, Found, find
from evalkit.records.record import Row
from evalkit.sweep.record import Member, Sweep

MAX_FACETS = 100


def load_runs(*paths: str | PathLike[str]) -> Runs:
    """Run records as DataFrames: `.runs`, `.answers`, `.scores`, `.sweeps`.

    Args:
        paths: folders of runs or sweeps, record files (`*.jsonl.gz`, `sweep.json`), or a folder of such, as
            `results` is; default: `results/records`. A run that a folder holds twice counts once.

    Raises:
        UserError: nothing is there, a record is damaged or foreign, or a run is named twice.
    """
    return Runs(find([Path(path) for path in paths] or [DEFAULT]))


class Runs:
    """Runs as four tables, made when first asked for; their columns are listed below.

    `answers` has one row per answer, with an index that `scores.answer` refers to, and a column
    `facet_<name>` for everything that benchmarks say of their examples; `scores` has one row per answer and
    rule, `sweeps` one per member. `runs.columns("scores")` shows this list as a table.
    """

    def __init__(self, collection: Collection) -> None:
        self._found = list(collection.runs.values())
        self._sweeps = collection.sweeps
        titles = Counter(found.facts.model.title for found in self._found)
        self._labels = {
            found.run: found.facts.model.title
            if titles[found.facts.model.title] == 1
            else f"{found.facts.model.title} ({found.facts.run_id})"
            for found in self._found
        }

    def __repr__(self) -> str:
        answers = sum(len(found.record.rows) for found in self._found)
        return f"<{len(self._found)} runs with {answers:,} answers, {len(self._sweeps)} sweeps>"

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per run."""
        return frame(RUNS, [_run(found, self._labels[found.run]) for found in self._found])

    @cached_property
    def answers(self) -> pd.DataFrame:
        """One row per answer, in the records' order."""
        rows = [(found.run, row) for found in self._found for row in found.record.rows]
        table = frame(ANSWERS, [_answer(run, self._labels[run], row) for run, row in rows])
        facets = pd.DataFrame(_facets([row.facets for _, row in rows]), index=table.index)
        return pd.concat([table, facets], axis="columns").rename_axis("answer")

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row per answer and rule."""
        rows = ((found.run, row) for found in self._found for row in found.record.rows)
        return frame(
            SCORES,
            [each for at, (run, row) in enumerate(rows) for each in _scores(at, run, self._labels[run], row)],
        )

    @cached_property
    def sweeps(self) -> pd.DataFrame:
        """One row per member of every sweep."""
        return frame(
            SWEEPS,
            [_member(path, sweep, each) for path, sweep in self._sweeps.items() for each in sweep.members],
        )

    def columns(self, table: str) -> pd.DataFrame:
        """What the columns of `runs`, `answers`, `scores` or `sweeps` are.

        Raises:
            UserError: there is no such table.
        """
        if table not in _TABLES:
            raise UserError(f"no table {table!r}: {', '.join(_TABLES)}.{nearest(table, _TABLES)}")
        return described(_TABLES[table])

    def find(self, name: str) -> str:
        """The run that has this label, model's name, run id or `<model>/<run id>`.

        Raises:
            UserError: none has, or several have.
        """
        found = [
            each.run
            for each in self._found
            if name in (each.run, self._labels[each.run], each.facts.model.name, each.facts.run_id)
        ]
        if len(found) != 1:
            what = f"{len(found)} runs are called" if found else "no run is called"
            known = found or list(self._labels.values())
            raise UserError(f"{what} {name!r}: give one of {', '.join(known)}.{nearest(name, known)}")
        return found[0]


_TABLES = {"runs": RUNS, "answers": ANSWERS, "scores": SCORES, "sweeps": SWEEPS}
Runs.__doc__ = f"{Runs.__doc__}\n" + "\n".join(f"{name}:\n{table}" for name, table in _TABLES.items())


def _run(found: Found, label: str) -> tuple[object, ...]:
    head, facts = found.record.head, found.facts
    weights, probe = facts.engine.weights, head.measured.get("probe")
    speeds = probe if isinstance(probe, Mapping) else {}
    return (
        *(found.run, label, facts.model.name, facts.model.family, facts.model.parameters),
        *(facts.protocol.name, _real(head.sampling, "temperature"), _count(head.sampling, "max_tokens")),
        *(facts.protocol.samples, "+".join(sorted({facts.data[name].source for name in facts.benchmarks}))),
        *(_count(head.settings, "limit"), _count(head.settings, "seed")),
        sum(benchmark.covered for benchmark in facts.benchmarks.values()),
        len(found.record.rows),
        sum(row.error is not None for row in found.record.rows),
        *(_text(head.engine, "engine"), _count(head.engine, "slots")),
        (weights.size_bytes if weights else None) or facts.model.size_bytes,
        weights.gguf.bits_per_weight if weights else None,
        weights.requantized_from if weights else None,
        "; ".join(weights.recipe.warnings) if weights else "",
        facts.measured.peak_memory_bytes,
        *(_real(speeds, "prefill_tokens_per_second"), _real(speeds, "decode_tokens_per_second")),
        *(_real(head.measured, "wall_seconds"), head.started, _text(head.evalkit, "version")),
        str(found.path),
    )


def _answer(run: str, label: str, row: Row) -> tuple[object, ...]:
    truncated = None if row.finish_reason is None else row.finish_reason == "length"
    return (
        *(run, label, row.benchmark, row.id, row.turn, row.sample, row.group, row.gold_kind, row.gold),
        *(row.messages, row.text, row.finish_reason, truncated, row.prompt_tokens, row.completion_tokens),
        *(row.error, row.abandoned),
    )


def _scores(answer: int, run: str, label: str, row: Row) -> Iterator[tuple[object, ...]]:
    key = (answer, run, label, row.benchmark, row.id, row.turn, row.sample, row.group)
    for rule, verdict in row.verdicts.items():
        start, end = verdict.span or (None, None)
        said = (verdict.correct, verdict.score, verdict.failure, verdict.extracted)
        yield (*key, rule, *said, start, end, verdict.note)


def _facets(facets: list[dict[str, Any]]) -> dict[str, pd.Series[Any]]:
    """A column per facet: Int64 or boolean if all its values are, else string."""
    names = dict.fromkeys(name for each in facets for name in each)
    if len(names) > MAX_FACETS:
        raise UserError(f"the records have {len(names)} facets; at most {MAX_FACETS} can be columns")
    return {f"facet_{name}": _facet([each.get(name) for each in facets]) for name in names}


def _facet(values: list[object]) -> pd.Series[Any]:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds == {int} and all(value is None or abs(value) < 2**63 for value in values):  # type: ignore[arg-type]
        return pd.Series(values, dtype="Int64")
    texts = (value if isinstance(value, str | None) else json.dumps(value) for value in values)
    return pd.Series(list(texts), dtype="string")


def _member(path: Path, sweep: Sweep, member: Member) -> tuple[object, ...]:
    weights, cost = member.weights, member.cost
    scored = list(member.accuracy)
    headline = AVERAGE if AVERAGE in scored else scored[0] if len(scored) == 1 else ""
    accuracy, compared = member.accuracy.get(headline), member.compared(headline)
    difference = compared.difference if compared else None
    return (
        *(sweep.name, member.name, member.title),
        "/".join(PurePosixPath(member.run_dir).parts[-2:]) if member.run_dir else None,
        *(member.status, member.reason, member.name == sweep.reference, sweep.rule, sweep.margin),
        *_fields(weights, "size_bytes", "bits_per_weight", "found", "requantized_from"),
        "; ".join(weights.warnings) if weights else "",
        *_fields(cost, "context", "slots", "peak_memory_bytes"),
        cost.predicted.total if cost and cost.predicted else None,
        *_fields(cost, "load_seconds", "prefill_tokens_per_second", "decode_tokens_per_second"),
        *_fields(cost, "first_token_seconds", "tokens_per_answer", "energy_joules", "wall_seconds"),
        member.truncated,
        *_fields(accuracy, "value", "low", "high"),
        *_fields(difference, "value", "low", "high"),
        *_fields(compared.verdict if compared else None, "kind", "needed_n"),
        str(path),
    )


def _fields(thing: object | None, *names: str) -> tuple[object, ...]:
    return tuple(getattr(thing, name) if thing is not None else None for name in names)


def _real(block: Mapping[str, Any], name: str) -> float | None:
    """A number of a block that nobody has checked."""
    value = block.get(name)
    return float(value) if isinstance(value, int | float) and abs(value) < 1e300 else None


def _count(block: Mapping[str, Any], name: str) -> int | None:
    value = block.get(name)
    return value if isinstance(value, int) else None


def _text(block: Mapping[str, Any], name: str) -> str | None:
    value = block.get(name)
    return value if isinstance(value, str) else None
