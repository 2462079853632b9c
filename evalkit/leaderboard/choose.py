"""Which of several runs of one model the leaderboard shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from evalkit.leaderboard.board import Problem

if TYPE_CHECKING:
    from evalkit.records.record import Record

RULE = (
    "Of several runs of one model (same name, same weights) that were asked the same questions of the same "
    "data under the same protocol, sampling, limit and seed, the most complete one is shown: the most "
    "benchmarks, then the most scored answers, then the later start, then the later run id. One with a "
    "benchmark that the shown ones lack is shown too. A run that is in results/records/ and in results/runs/ "
    "is taken from the former."
)


def choose(records: Mapping[str, Record]) -> tuple[dict[str, Record], list[Problem]]:
    """The records to show, and those that another one of them stands for, both in the order given."""
    from evalkit.leaderboard.facts import answering, asked

    families: dict[str, list[str]] = defaultdict(list)
    for file, record in records.items():
        families[answering(record)].append(file)
    instead: dict[str, str] = {}
    for files in families.values():
        shown: dict[str, set[tuple[str, str]]] = {}
        for file in sorted(files, key=lambda file: _completeness(records[file]), reverse=True):
            questions = set(asked(records[file]).items())
            better = next((other for other, covered in shown.items() if questions <= covered), None)
            if better is None:
                shown[file] = questions
            else:
                instead[file] = better
    problems = [
        Problem(file, f"the same model was asked the same in {instead[file]}, which is shown", "superseded")
        for file in records
        if file in instead
    ]
    return {file: record for file, record in records.items() if file not in instead}, problems


def _completeness(record: Record) -> tuple[int, int, str, str]:
    from evalkit.leaderboard.facts import scored_rows

    head = record.head
    return len(head.benchmarks), scored_rows(record), head.started or "", head.run_id
