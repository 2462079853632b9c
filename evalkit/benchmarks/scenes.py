"""Scenes: tasks of the six application scenes that Fin-R1's model card names, written for this project.

Financial code, financial calculation in Chinese and in English, compliance, risk control, and ESG. The files
ship with evalkit, one a scene, whatever `data` says: a list of pages. A page:
``{"page": "zh-bond", "language": "zh", "context": "...", "tasks": [{"id": "zh-bond-price", "kind": "number",
"question": "...", "answer": "107.83元"}]}``. A choice has ``options``; code has no ``answer`` but
``function`` ("npv(rate, flows)"), ``tolerance`` and ``cases``: ``[{"arguments": [0.1, [-100, 121]],
"expected": 10.0}]``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import PurePosixPath
from typing import Literal

from evalkit.benchmarks import Unit, sources
from evalkit.benchmarks.prompts import render
from evalkit.benchmarks.questions import number_in
from evalkit.benchmarks.sources import Record, Stream
from evalkit.config.settings import BenchmarkSettings, DataSettings
from evalkit.schema import ChoiceGold, CodeGold, Example, Gold, Message, NumberGold, YesNoGold

IDS: Literal["upstream", "content"] = "upstream"


def open_source(settings: BenchmarkSettings) -> Stream:
    """The pages of every scene.

    Raises:
        UserError: a file is missing or unreadable.
    """
    return sources.open_source(settings, DataSettings(source="sample"))


def unit(record: Record, settings: BenchmarkSettings) -> list[Unit]:
    """The tasks of one page, each to be chosen by itself. Raises UserError for a malformed page."""
    page, language = record.filled("page"), record.filled("language")
    if language not in ("en", "zh"):
        raise record.error("language", "en or zh")
    context, tasks = record.filled("context"), record.get("tasks")
    if not isinstance(tasks, list):
        raise record.error("tasks", "a list of tasks")
    units = []
    for number, data in enumerate(tasks, start=1):
        if not isinstance(data, Mapping):
            raise record.error("tasks", "a list of tasks")
        task = Record(record.where, "task", number, data)
        gold = _gold(task)
        build = partial(_build, task, gold, page, context, language, settings)
        units.append(Unit(task.filled("id"), page, 1, build))
    return units


def _gold(task: Record) -> Gold:
    """The gold answer. Raises UserError where a task has none, as each has."""
    kind, question = task.filled("kind"), task.filled("question")
    if kind == "code":
        return _code(task)
    answer = task.filled("answer")
    if kind == "number":
        value = number_in(answer)
        if value is None:
            raise task.error("answer", "a number with its unit")
        return NumberGold(value, question=question, answer=answer)
    if kind == "yes_no":
        if answer not in ("yes", "no"):
            raise task.error("answer", "yes or no")
        return YesNoGold(answer == "yes", question=question)
    options = task.get("options")
    if kind != "choice":
        raise task.error("kind", "number, yes_no, choice or code")
    if not isinstance(options, Mapping) or not all(isinstance(text, str) for text in options.values()):
        raise task.error("options", "texts by their letters")
    if answer not in options:
        raise task.error("answer", "the letter of an option")
    return ChoiceGold(answer, dict(options))


def _code(task: Record) -> CodeGold:
    cases, tolerance = task.get("cases"), task.get("tolerance")
    if not isinstance(tolerance, float) or not 0 <= tolerance < 1:
        raise task.error("tolerance", "a share, as 0.000001")
    if not isinstance(cases, list) or not cases:
        raise task.error("cases", "a list of cases")
    found = []
    for case in cases:
        if not isinstance(case, Mapping) or not isinstance(case.get("arguments"), list):
            raise task.error("cases", "cases with arguments and expected")
        found.append((json.dumps(case["arguments"]), json.dumps(case.get("expected"))))
    return CodeGold(task.filled("function"), tuple(found), tolerance)


def _build(
    task: Record, gold: Gold, page: str, context: str, language: str, settings: BenchmarkSettings
) -> list[Example]:
    kind, question = task.filled("kind"), task.filled("question")
    content = render(
        settings.module,
        settings.prompt,
        context=context,
        question=question,
        kind=kind,
        options=gold.options if isinstance(gold, ChoiceGold) else {},
        function=gold.function if isinstance(gold, CodeGold) else "",
        language=language,
    )
    scene = PurePosixPath(task.file.partition(":")[0]).stem
    return [
        Example(
            benchmark="scenes",
            id=task.filled("id"),
            messages=(Message("user", content),),
            gold=gold,
            group=page,
            facets={"scene": scene, "answer_kind": kind, "language": language},
            question=question,
            context=context,
        )
    ]
