"""Outputs in any JSON or JSON lines file: one record an output, with an id and a text.

So are those that BUPT-Reasoning-Lab/FinanceReasoning publishes (``results/.../inference.json``:
``question_id``, ``output``, ``reasoning_content``), and what most scripts write. A reasoning that stands in a
field of its own is put before the text as ``<think>...</think>``, which is how models write it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evalkit.benchmarks.sources import Record, read
from evalkit.importers import LeftOut, Output, Settings, item_id, item_turn
from evalkit.schema import UserError

_IDS = ("id", "question_id", "qid")
_TEXTS = ("text", "output", "response", "completion", "prediction", "generated_text", "answer")
_REASONING = ("reasoning_content", "reasoning")
_FINISH = "finish_reason"


def outputs(path: Path, settings: Settings) -> Iterator[Output | LeftOut]:
    """One output a record; a second one with the same id and turn is its next sample.

    Raises:
        UserError: another kind of file, or a record without an id or a text.
    """
    if path.suffix not in (".json", ".jsonl"):
        raise UserError(f"{path}: give a .jsonl file, one JSON object a line, or a .json list of objects")
    samples: dict[tuple[str, int | None], int] = {}
    for record in read(str(path), path):
        id_ = item_id(record, settings.id or _first(record, _IDS))
        turn = item_turn(record, settings.turn, ("turn",))
        text = _text(record, settings.text or _first(record, _TEXTS))
        if text is None:
            yield LeftOut("without a text")
            continue
        sample = samples.get((id_, turn), 0)
        samples[id_, turn] = sample + 1
        finish = record.get(_FINISH)
        yield Output(record.where, id_, turn, sample, text, finish if finish == "length" else None)


def _first(record: Record, fields: tuple[str, ...]) -> str:
    """The first of the usual fields that the record has, else the first of them."""
    return next((field for field in fields if field in record.data), fields[0])


def _text(record: Record, field: str) -> str | None:
    value = record.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        raise record.error(field, "the output's text (text=FIELD names another field)")
    reasoning = next((each for name in _REASONING if isinstance(each := record.get(name), str)), "")
    return f"<think>{reasoning}</think>{value}" if reasoning.strip() else value
