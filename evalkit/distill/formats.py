"""The sets as trainers read them: one folder a format, one file a split.

    sft                 messages; the answer begins with <think>reasoning</think>. Also as .jsonl
    sft_without_think   messages; the answer alone
    prompt_completion   TRL's SFTTrainer: prompt and completion as messages, loss on the completion only
    preference          TRL's DPOTrainer: prompt, chosen (good and good), rejected (a wrong answer)
    rl                  verl: prompt, data_source, ability, reward_model, extra_info; and the columns gold,
                        question and benchmark, by which TRL's GRPOTrainer calls evalkit.rewards
    records             every answer with its verdicts and reasons, and where its question went

Parquet, as every one of them is read by `datasets`. A split without rows has no file.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from evalkit.distill.answers import CLOSE, OPEN, TeacherAnswer, Verdict
from evalkit.distill.sets import SPLITS, Question, Split, name_of
from evalkit.files import write_atomically, write_bytes
from evalkit.judge.judge import language_of, reference_of
from evalkit.rewards.gold import gold_json

Row = dict[str, Any]
Message = dict[str, str]


def write_sets(folder: Path, questions: Sequence[Question]) -> dict[str, int]:
    """Write every format; returns the rows of each file, by its name below `folder`."""
    found: dict[str, int] = {}
    for name, (_, columns) in _FORMATS.items():
        for split in SPLITS:
            content = rows_of(name, questions, split)
            if content:
                (folder / name).mkdir(parents=True, exist_ok=True)
                found[f"{name}/{split}.parquet"] = len(content)
                write_bytes(folder / name / f"{split}.parquet", _parquet(content, columns()))
            if content and name == "sft":
                found[f"{name}/{split}.jsonl"] = len(content)
                write_atomically(folder / name / f"{split}.jsonl", _lines(content))
    return found


def rows_of(name: str, questions: Sequence[Question], split: Split) -> list[Row]:
    """The rows of one format."""
    rows, _ = _FORMATS[name]
    found = [row for each in questions if each.split == split for row in rows(each)]
    if name == "rl":
        for number, row in enumerate(found):
            row["extra_info"]["index"] = number  # by which verl traces a row
    return found


def _lines(rows: Sequence[Row]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _parquet(rows: Sequence[Row], schema: Any) -> bytes:  # noqa: ANN401 - pyarrow has no types
    import pyarrow  # type: ignore[import-untyped]
    from pyarrow import parquet

    content = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema=schema), content, compression="zstd")
    return content.getvalue()


def _prompt(answer: TeacherAnswer) -> list[Message]:
    """What the teacher was told, word for word."""
    return [{"role": each["role"], "content": each["content"]} for each in answer.answer.messages]


def thought(answer: TeacherAnswer) -> str:
    """The reasoning in its tags, then the answer, as the model is to write both."""
    return f"{OPEN}\n{answer.thinking}\n{CLOSE}\n\n{answer.final}" if answer.thinking else answer.final


def _said(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}]


def _facts(answer: TeacherAnswer) -> Row:
    """What says where a row is from."""
    example = answer.example
    return {
        "id": name_of(example),
        "source": example.benchmark,
        "teacher": answer.teacher,
        "sample": answer.answer.sample,
        "language": language_of(example.question),
        "reasoning_check": answer.reasoning_check.by if answer.reasoning_check.good else "not done",
    }


def _sft(question: Question) -> Iterator[Row]:
    for answer in question.good:
        yield {"messages": [*_prompt(answer), *_said(thought(answer))], **_facts(answer)}


def _without_think(question: Question) -> Iterator[Row]:
    for answer in question.good:
        yield {"messages": [*_prompt(answer), *_said(answer.final)], **_facts(answer)}


def _prompt_completion(question: Question) -> Iterator[Row]:
    for answer in question.good:
        yield {"prompt": _prompt(answer), "completion": _said(thought(answer)), **_facts(answer)}


def _preference(question: Question) -> Iterator[Row]:
    for good, wrong in question.pairs:
        yield {
            "prompt": _prompt(good),
            "chosen": _said(thought(good)),
            "rejected": _said(thought(wrong)),
            **_facts(good),
            "rejected_teacher": wrong.teacher,
            "rejected_why": wrong.answer_check.reason,
        }


def _rl(question: Question) -> Iterator[Row]:
    if question.fate != "rl":
        return
    example = question.example
    gold = gold_json(example.gold)
    yield {
        "data_source": example.benchmark,
        "prompt": _prompt(question.answers[0]),
        "ability": "finance",
        "reward_model": {"style": "rule", "ground_truth": gold},
        "extra_info": {"id": name_of(example), "split": question.split, "question": example.question},
        "gold": gold,
        "question": example.question,
        "benchmark": example.benchmark,
    }


def _records(question: Question) -> Iterator[Row]:
    """Every answer. Of an evaluation item only that it was one: its words shall not be trained on."""
    item = question.evaluation_item
    hidden = question.fate == "evaluation item"
    for answer in question.answers:
        texts = {
            "question": question.example.question,
            "reference": reference_of(question.example.gold),
            "thinking": answer.thinking,
            "answer": answer.final,
        }
        in_set = question.fate != "sft" or answer in question.good
        yield {
            "id": name_of(question.example),
            "source": question.example.benchmark,
            "teacher": answer.teacher,
            "sample": answer.answer.sample,
            "key": answer.answer.key,
            **(dict.fromkeys(texts) if hidden else texts),
            "answer_check": _verdict(answer.answer_check),
            "reasoning_check": _verdict(answer.reasoning_check),
            "set": question.fate if in_set else "not in the set",
            "duplicate_of": question.duplicate_of,
            "evaluation_item": f"{item.kind}: {item.benchmark} {item.id}" if item else None,
        }


def _verdict(verdict: Verdict) -> Row:
    criteria = json.dumps(verdict.criteria) if verdict.criteria else None
    return {"good": verdict.good, "by": verdict.by, "reason": verdict.reason, "criteria": criteria}


def _chat() -> Any:  # noqa: ANN401 - pyarrow has no types
    import pyarrow

    return pyarrow.list_(pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.string())]))


_FACTS = ("id", "source", "teacher", "language", "reasoning_check")


def _columns(chats: Sequence[str], *more: str) -> Callable[[], Any]:
    """A schema: columns of messages, the facts, then other texts."""

    def schema() -> Any:  # noqa: ANN401 - pyarrow has no types
        import pyarrow

        texts = [(name, pyarrow.string()) for name in (*_FACTS, *more)]
        return pyarrow.schema([*((name, _chat()) for name in chats), *texts, ("sample", pyarrow.int64())])

    return schema


def _rl_columns() -> Any:  # noqa: ANN401 - pyarrow has no types
    import pyarrow

    text = pyarrow.string()
    return pyarrow.schema(
        [
            ("data_source", text),
            ("prompt", _chat()),
            ("ability", text),
            ("reward_model", pyarrow.struct([("style", text), ("ground_truth", text)])),
            (
                "extra_info",
                pyarrow.struct(
                    [("id", text), ("split", text), ("question", text), ("index", pyarrow.int64())]
                ),
            ),
            ("gold", text),
            ("question", text),
            ("benchmark", text),
        ]
    )


def _record_columns() -> Any:  # noqa: ANN401 - pyarrow has no types
    import pyarrow

    text = pyarrow.string()
    verdict = pyarrow.struct([("good", pyarrow.bool_()), ("by", text), ("reason", text), ("criteria", text)])
    names = ("id", "source", "teacher", "key", "question", "reference", "thinking", "answer", "set")
    return pyarrow.schema(
        [
            *((name, text) for name in names),
            ("sample", pyarrow.int64()),
            ("answer_check", verdict),
            ("reasoning_check", verdict),
            ("duplicate_of", text),
            ("evaluation_item", text),
        ]
    )


_FORMATS: dict[str, tuple[Callable[[Question], Iterator[Row]], Callable[[], Any]]] = {
    "sft": (_sft, _columns(["messages"])),
    "sft_without_think": (_without_think, _columns(["messages"])),
    "prompt_completion": (_prompt_completion, _columns(["prompt", "completion"])),
    "preference": (
        _preference,
        _columns(["prompt", "chosen", "rejected"], "rejected_teacher", "rejected_why"),
    ),
    "rl": (_rl, _rl_columns),
    "records": (_records, _record_columns),
}
