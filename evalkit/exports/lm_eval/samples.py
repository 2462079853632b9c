"""What samples_<task>_<time>.jsonl holds: one line per example, under the default rule."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from evalkit.exports.common.facts import generation
from evalkit.records.accuracy import Example, score
from evalkit.records.record import Record, Row
from evalkit.scorers import DEFAULT


def generation_kwargs(record: Record) -> dict[str, Any]:
    """How answers were sampled, in lm_eval's words."""
    kwargs: dict[str, Any] = dict(generation(record))
    kwargs["max_gen_toks"] = kwargs.pop("max_tokens", None)
    return {"until": [], "do_sample": kwargs.get("temperature", 0) > 0, **kwargs}


def samples(record: Record, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """The lines of one task. Examples without any output are left out."""
    kwargs = generation_kwargs(record)
    answered = (rows for rows in examples if any(row.text is not None for row in rows))
    return [_sample(number, rows, kwargs) for number, rows in enumerate(answered)]


def _sample(number: int, rows: Example, kwargs: dict[str, Any]) -> dict[str, Any]:
    first, acc = rows[0], score(rows, DEFAULT)
    doc: dict[str, Any] = {"id": first.id, "group": first.group, "facets": first.facets}
    if first.turn is not None:
        doc["turn"] = first.turn
    # As lm_eval logs a chat request.
    prompt = json.dumps(
        [{"role": role, "content": content} for role, content in first.messages], ensure_ascii=False
    )
    extracted = [_extracted(row) for row in rows]
    return {
        "doc_id": number,
        "doc": doc,
        "target": first.gold,
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": kwargs}},
        "resps": [[row.text for row in rows]],
        "filtered_resps": [extracted] if len(extracted) > 1 else extracted,
        "filter": DEFAULT,
        "metrics": [] if acc is None else ["acc"],
        "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False)),
        "prompt_hash": _hash(prompt),
        "target_hash": _hash(first.gold),
        "acc": acc,
    }


def _extracted(row: Row) -> str:
    verdict = row.verdicts.get(DEFAULT)
    return (verdict.extracted if verdict else None) or ""


def _hash(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
