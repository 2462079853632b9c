"""Answers that another run of the same model and settings has already: they are taken over, not made again.

Which questions a run asks (its benchmarks, `limit`, `sampling`) is part of its identity, so that a run's
folder always holds one set of questions. No answer depends on it: a larger `limit` generates what is new.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.config.checks import identity
from evalkit.config.settings import RunSettings
from evalkit.run.folder import Answers, default_path, read_run_json, read_settings
from evalkit.run.generations import read_generations
from evalkit.schema import Answer, Request, UserError
from evalkit.text import mapping

_CHOOSES_QUESTIONS = ("limit", "sampling")


@dataclass(frozen=True, slots=True)
class TakenOver:
    """Answers of another run, under the names that they have in this one. ``run``: its run.json."""

    path: Path
    answers: tuple[Answer, ...]
    run: Mapping[str, Any]

    def session(self) -> dict[str, Any]:
        """How they stand among this run's sessions: they cost nothing here, and took that memory there."""
        figures = mapping(self.run.get("measured"))
        return {
            "started": self.run.get("started"),
            "ended": self.run.get("ended"),
            "wall_seconds": 0.0,
            "engine_seconds": 0.0,
            "load_seconds": None,
            "cost": None,
            "peak_memory_bytes": figures.get("peak_memory_bytes"),
            "peak_gpu_memory_bytes": figures.get("peak_gpu_memory_bytes"),
            **dict.fromkeys(("idle_slot_seconds", "before_first_seconds", "after_last_seconds")),
            "energy_joules": None,
            "probe": figures.get("probe"),
            "answers_of": self.path.name,
            "answers": len(self.answers),
        }


def take_over(
    path: Path, settings: RunSettings, answers: Answers, requests: Sequence[Request]
) -> list[TakenOver]:
    """Find what `requests` still lack among the answers of the model's other runs, and add it to `answers`.

    A run in a folder of the user's own (`run_dir`) takes nothing: it is how a measurement is repeated. Only
    runs whose settings are the same but for the questions count, so that a run with one slot never takes what
    several slots made; and an answer counts if its key is the same, that is weights, prompt and sampling.

    Args:
        path: the run's own folder.
        requests: in an order in which a dialogue's earlier turns come first.
    """
    if settings.run_dir is not None:
        return []
    lacking = [request for request in requests if answers.record(request) is None]
    taken = []
    for other in _other_runs(path, settings) if lacking else ():
        try:
            known = {record.key: record for record in read_generations(other / "generations.jsonl")}
            run = read_run_json(other)
        except UserError:
            continue  # what is damaged there is said when that run is used
        found = list(_matching(known, answers, lacking)) if run else []
        if found:
            taken.append(TakenOver(other, tuple(found), run))
            lacking = [request for request in lacking if answers.record(request) is None]
    return taken


def _other_runs(path: Path, settings: RunSettings) -> Iterator[Path]:
    """Folders of the same model whose settings differ in nothing but which questions are asked."""
    folder = default_path(settings).parent
    wanted = _without_questions(settings)
    for other in sorted(folder.iterdir()) if folder.is_dir() else ():
        if other.resolve() == path.resolve() or not (other / "config.yaml").exists():
            continue
        try:
            if _without_questions(read_settings(other)) == wanted:
                yield other
        except UserError:
            continue


def _without_questions(settings: RunSettings) -> dict[str, Any]:
    # Of a benchmark all that an answer depends on, its prompt, is in the answer's key.
    return {
        key: value
        for key, value in identity(settings).items()
        if key not in _CHOOSES_QUESTIONS and not key.startswith("benchmark.")
    }


def _matching(known: Mapping[str, Answer], answers: Answers, lacking: Sequence[Request]) -> Iterator[Answer]:
    for request in lacking:
        messages = answers.messages(request)
        record = known.get(answers.key(request, messages)) if messages is not None else None
        if record is None or not record.is_final:
            continue
        example = request.example
        mine = replace(
            record,
            benchmark=example.benchmark,
            id=example.id,
            turn=example.turn,
            sample=request.sample,
            group=example.group,
        )
        answers.add(mine)
        yield mine
