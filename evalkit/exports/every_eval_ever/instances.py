"""<uuid>_samples.jsonl: every scored answer of a run on one benchmark, under the default rule."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from evalkit.exports.every_eval_ever.aggregate import SCHEMA, identity, result_id
from evalkit.records.accuracy import Example
from evalkit.records.record import Record, Row, RuleVerdict
from evalkit.scorers import DEFAULT


def instances(
    record: Record, name: str, examples: Sequence[Example], evaluation_id: str
) -> Iterator[dict[str, Any]]:
    """One line per scored answer, samples of one example apart; what has no score is left out."""
    common = {
        "schema_version": SCHEMA,
        "evaluation_id": evaluation_id,
        "model_id": identity(record),
        "evaluation_name": name,
        "evaluation_result_id": result_id(DEFAULT),
    }
    for rows in examples:
        for row in rows:
            verdict = row.verdicts.get(DEFAULT)
            if row.text is not None and verdict is not None and verdict.score is not None:
                yield {**common, **_answer(row, row.text, verdict, verdict.score)}


def _answer(row: Row, text: str, verdict: RuleVerdict, score: float) -> dict[str, Any]:
    question = next((content for role, content in reversed(row.messages) if role == "user"), "")
    line: dict[str, Any] = {
        "sample_id": row.id if row.turn is None else f"{row.id}#{row.turn}",
        "sample_hash": hashlib.sha256((question + row.gold).encode()).hexdigest(),
        "input": {"raw": question, "reference": [row.gold]},
        "evaluation": {"score": score, "is_correct": bool(verdict.correct)},
        "metadata": {"sample": str(row.sample), "group": row.group, "failure": verdict.failure},
        **_interaction(row, text),
    }
    dialogue = "messages" in line
    place = len(row.messages) if dialogue else 0
    line["answer_attribution"] = [
        {
            "turn_idx": place,
            "source": f"messages[{place}].content" if dialogue else "output.raw",
            "extracted_value": extracted,
            "extraction_method": f"evalkit rule {DEFAULT}",
            "is_terminal": True,
        }
        for extracted in [verdict.extracted]
        if extracted is not None
    ]
    system = [content for role, content in row.messages if role == "system"]
    line["metadata"] |= {"system": system[0]} if system else {}
    line["metadata"] |= {"finish_reason": row.finish_reason} if row.finish_reason else {}
    if row.prompt_tokens is not None and row.completion_tokens is not None:
        line["token_usage"] = {
            "input_tokens": row.prompt_tokens,
            "output_tokens": row.completion_tokens,
            "total_tokens": row.prompt_tokens + row.completion_tokens,
        }
    return line


def _interaction(row: Row, text: str) -> dict[str, Any]:
    """A lone question with its output, or the whole dialogue."""
    if [role for role, _ in row.messages if role != "system"] == ["user"]:
        return {"interaction_type": "single_turn", "output": {"raw": [text]}}
    said = [*row.messages, ("assistant", text)]
    messages = [
        {"turn_idx": place, "role": role, "content": content} for place, (role, content) in enumerate(said)
    ]
    return {"interaction_type": "multi_turn", "messages": messages}
