"""lm-evaluation-harness sample logs: ``samples_<task>_<date>.jsonl``, written with ``--log_samples``.

github.com/EleutherAI/lm-evaluation-harness, lm_eval/evaluator.py and loggers/evaluation_tracker.py; read
with logs of 0.4.13. One line per document and filter: ``{"doc_id": 0, "doc": {"id": ..., ...}, "resps":
[["first repeat", "second repeat"]], "filtered_resps": [...], "filter": "none", ...}``. The raw ``resps`` are
taken: what a filter left of them is that task's idea of an answer. The log does not tell whether an output
was cut at the token limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evalkit.benchmarks.sources import Record, describe, read
from evalkit.config.extensions import load
from evalkit.importers import LeftOut, Output, Settings, is_count, item_id, item_turn
from evalkit.schema import UserError

_TURNS = ("doc.turn", "doc.annotation.turn_ind")


def outputs(path: Path, settings: Settings) -> Iterator[Output | LeftOut]:
    """The outputs of one log, a repeat of a document as its next sample.

    The id is ``doc.id``, the turn ``doc.turn`` or that of ConvFinQA's turn-level records, unless the settings
    name other fields. Documents of a benchmark that names its items by content (TFNS)
    need none.

    Raises:
        UserError: not such a log, no id, or a task without generated text.
    """
    if path.suffix != ".jsonl":
        raise UserError(f"{path}: lm_eval's samples are in samples_TASK_DATE.jsonl (lm_eval --log_samples)")
    seen: dict[tuple[str, int | None], tuple[object, int]] = {}
    for record in read(str(path), path):
        texts = _texts(record)
        id_, turn = _name(record, settings)
        # A task with several filters logs every document once for each, with the same raw responses.
        log = (record.get("filter"), hash(tuple(texts)))
        first = seen.setdefault((id_, turn), log)
        if first[0] != log[0] and first[1] == log[1]:
            continue
        for sample, text in enumerate(texts):
            if text is None:
                yield LeftOut("without a response")
            else:
                yield Output(record.where, id_, turn, sample, text)


def _name(record: Record, settings: Settings) -> tuple[str, int | None]:
    turn = item_turn(record, settings.turn, _TURNS)
    by_content = None if settings.id else _content_id(record, settings.benchmark)
    if by_content is not None:
        return by_content, turn
    field = settings.id or "doc.id"
    try:
        id_ = item_id(record, field)
    except UserError as error:
        raise UserError(f"{error}; name the field that holds the benchmark's id: id=doc.FIELD") from error
    # ConvFinQA's turn-level records end the dialogue's id with the turn.
    if turn is not None and is_count(record.get("doc.annotation.turn_ind")):
        id_ = id_.removesuffix(f"_{turn}")
    return id_, turn


def _content_id(record: Record, benchmark: str | None) -> str | None:
    """The id that a benchmark without upstream ids gives to this document; None if the document has an id."""
    doc = record.data.get("doc")
    if benchmark is None or not isinstance(doc, dict) or "id" in doc:
        return None
    loader = load("benchmarks", benchmark)
    if loader.IDS != "content":
        return None
    unit = loader.unit(Record(record.file, record.place, record.number, doc), {"prompt": ""})
    return None if unit is None else str(unit.id)


def _texts(record: Record) -> list[str | None]:
    """The raw responses: one request per document, each repeat of it a text."""
    requests = record.get("resps")
    if not isinstance(requests, list) or not requests:
        raise record.error("resps", "a list of responses (is this a samples log of lm_eval?)")
    repeats = requests[0]
    if len(requests) > 1 or (isinstance(repeats, list) and any(isinstance(r, list) for r in repeats)):
        raise UserError(
            f"{record.where}: field resps: log-likelihoods and not text; only tasks with output_type "
            "generate_until can be imported"
        )
    if not isinstance(repeats, list) or not all(text is None or isinstance(text, str) for text in repeats):
        raise UserError(f"{record.where}: field resps[0]: expected a list of texts, got {describe(repeats)}")
    return list(repeats)
