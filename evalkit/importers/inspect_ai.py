"""inspect_ai logs, ``.eval`` (a zip file with one JSON member per sample and epoch) and ``.json``.

github.com/UKGovernmentBEIS/inspect_ai, src/inspect_ai/log/_log.py and log/_recorders/eval.py; read with logs
of 0.3.285, whose .eval members are Zstandard-compressed (earlier ones Deflate). A sample: ``{"id": ...,
"epoch": 1, "metadata": {...}, "output": {"choices": [{"message": {"content": "..."}, "stop_reason":
"stop"}]}, "error": null, ...}``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.benchmarks.records import Record, describe
from evalkit.errors import UserError
from evalkit.importers.common.archive import members, shown
from evalkit.importers.common.fields import is_count, item_id, item_turn
from evalkit.importers.common.outputs import LeftOut, Output, Settings

MAX_JSON_BYTES = 256 * 2**20  # read at once
# Opening ones. In memory an empty list is 20 times its three bytes; real logs have one in 30 bytes or fewer.
MAX_BRACKETS = 2**23

# inspect_ai's StopReason in the words of the OpenAI protocol; `unknown` says nothing.
_FINISH_REASONS = {
    "stop": "stop",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}


def outputs(path: Path, settings: Settings) -> Iterator[Output | LeftOut]:
    """The outputs of one log, an epoch of a sample as its next sample here.

    The id is the sample's, the turn ``metadata.turn`` where it is a whole number, unless the settings name
    other fields. Samples that ended in an error are left out.

    Raises:
        UserError: not such a log, or one larger than a log can be.
    """
    for record in _samples(path):
        problem = _problem(record)
        yield LeftOut(problem) if problem else _output(record, settings)


def _samples(path: Path) -> Iterator[Record]:
    try:
        with path.open("rb") as stream:
            zipped = stream.read(2) == b"PK"
        yield from _zipped(path) if zipped else _plain(path)
    except OSError as error:
        raise UserError(f"{path}: cannot read it: {error.strerror or error}") from error


def _zipped(path: Path) -> Iterator[Record]:
    def is_sample(name: str) -> bool:
        return name.startswith("samples/") and name.endswith(".json")

    for number, (name, content) in enumerate(members(path, is_sample), 1):
        where = f"{path}: member {shown(name)}"
        yield _record(where, number, _parse(where, content))


def _plain(path: Path) -> Iterator[Record]:
    with path.open("rb") as stream:
        content = stream.read(MAX_JSON_BYTES + 1)
    if len(content) > MAX_JSON_BYTES:
        raise UserError(
            f"{path}: larger than {MAX_JSON_BYTES >> 20} MiB; make it an .eval log first: "
            "inspect log convert --to eval --output-dir DIR"
        )
    log = _parse(str(path), content)
    samples = log.get("samples") if isinstance(log, dict) else None
    if not isinstance(samples, list):
        raise UserError(
            f"{path}: field samples: expected a list, got {describe(samples)}; is this an Inspect log?"
        )
    for number, sample in enumerate(samples, 1):
        yield _record(str(path), number, sample)


def _parse(where: str, content: bytes) -> Any:  # noqa: ANN401 - JSON is of any type
    if content.count(b"[") + content.count(b"{") > MAX_BRACKETS:
        raise UserError(
            f"{where}: more than {MAX_BRACKETS:,} lists and objects; no log of outputs is like that"
        )
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not JSON ({shown(str(error))}); is the log complete?") from error


def _record(where: str, number: int, sample: object) -> Record:
    if not isinstance(sample, dict):
        raise UserError(f"{where}: sample {number}: expected an object, got {describe(sample)}")
    return Record(where, "sample", number, sample)


def _problem(record: Record) -> str | None:
    """Why a sample has no output, or None."""
    if record.data.get("error") is not None:
        return "ended in an error"
    output = record.get("output")
    if not isinstance(output, Mapping):
        raise record.error("output", "an object")
    if output.get("error") is not None:
        return "refused by the provider"
    return None if output.get("choices") else "without a completion"


def _output(record: Record, settings: Settings) -> Output:
    choices = record.get("output.choices")
    if not isinstance(choices, list) or not isinstance(choices[0], Mapping):
        raise record.error("output.choices", "a list of objects")
    message, stop = choices[0].get("message"), choices[0].get("stop_reason")
    epoch = record.data.get("epoch", 1)
    if not is_count(epoch) or epoch == 0:
        raise record.error("epoch", "a whole number from 1")
    return Output(
        record.where,
        item_id(record, settings.id or "id"),
        item_turn(record, settings.turn, ("metadata.turn",)),
        epoch - 1,
        _text(record, message.get("content") if isinstance(message, Mapping) else None),
        _FINISH_REASONS.get(stop) if isinstance(stop, str) else None,
    )


def _text(record: Record, content: object) -> str:
    """A message's content, a text or a list of parts, with reasoning as a model would write it."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise _bad_content(record, content)
    reasoning, text = [], []
    for part in content:
        if not isinstance(part, Mapping):
            raise _bad_content(record, part)
        if part.get("type") == "reasoning":
            # What a provider hid is a blob for it alone; its summary is what there is to read.
            thought = part.get("summary") or "" if part.get("redacted") else part.get("reasoning")
            reasoning.append(f"<think>{_part(record, thought)}</think>\n")
        elif part.get("type") == "text":
            text.append(_part(record, part.get("text")))
    return "".join(reasoning) + "".join(text)


def _part(record: Record, value: object) -> str:
    if not isinstance(value, str):
        raise _bad_content(record, value)
    return value


def _bad_content(record: Record, value: object) -> UserError:
    return UserError(
        f"{record.where}: field output.choices[0].message.content: expected a text or a list of parts, "
        f"got {describe(value)}"
    )
