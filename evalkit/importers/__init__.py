"""Logs of other harnesses, converted to a file of outputs that `evalkit run FILE.jsonl` scores.

A log format is a module here, found by its name. It has ``outputs(path, settings)``, which yields an `Output`
or a `LeftOut` for every sample of one log file, and raises UserError for a file that is not such a log.

Logs are hostile input: files are bounded, ids, turns and texts are checked, and a bad field is one line.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO, cast

from evalkit.benchmarks.sources import Record
from evalkit.schema import UserError, nearest


class Importer(Protocol):
    """What a format's module offers."""

    def outputs(self, path: Path, settings: Settings) -> Iterator[Output | LeftOut]:
        """The samples of one log file."""
        ...


def formats() -> list[str]:
    """The formats that can be imported, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)


def importer(name: str) -> Importer:
    """The module of a format; `lm-eval` means `lm_eval`. Raises UserError for an unknown one."""
    known = formats()
    module = name.replace("-", "_")
    if module not in known:
        raise UserError(f"import: no format '{name}'.{nearest(module, known)} Formats: {', '.join(known)}")
    return cast(Importer, importlib.import_module(f"evalkit.importers.{module}"))


@dataclass(frozen=True, slots=True)
class Summary:
    """How many outputs were written, and how many samples were left out for each reason."""

    written: int
    left_out: Counter[str]


def convert(format_: str, files: Sequence[Path], out: Path, settings: Settings) -> Summary:
    """Write the outputs of `files`, one JSON line each, to `out`, which appears only when it is complete.

    Raises:
        UserError: an unknown format, a file that is not such a log, two outputs for one item, no output at
            all, or an `out` that exists (the last file of a forgotten OUT.jsonl is often a log).
    """
    module = importer(format_)
    if out.exists():
        raise UserError(f"import: {out} exists; name a new file for the outputs, or remove it")
    samples = (sample for path in files for sample in module.outputs(path, settings))
    with _appearing(out) as stream:
        summary = _write(samples, stream, settings.benchmark)
        if not summary.written:
            why = f" ({_reasons(summary.left_out)})" if summary.left_out else ""
            raise UserError(f"import: no output in {', '.join(map(str, files))}{why}; nothing was written")
    return summary


def describe(summary: Summary, out: Path) -> str:
    """The count line."""
    left_out = summary.left_out.total()
    why = f" ({_reasons(summary.left_out)})" if left_out else ""
    return f"{summary.written} outputs written to {out}, {left_out} left out{why}"


def _reasons(left_out: Counter[str]) -> str:
    return ", ".join(f"{count} {why}" for why, count in sorted(left_out.items()))


def _write(samples: Iterator[Output | LeftOut], stream: TextIO, benchmark: str | None) -> Summary:
    left_out: Counter[str] = Counter()
    places: dict[tuple[str, int | None, int], str] = {}
    for sample in samples:
        if isinstance(sample, LeftOut):
            left_out[sample.why] += 1
            continue
        name = (sample.id, sample.turn, sample.sample)
        if name in places:
            raise UserError(
                f"{sample.where}: a second output for {json.dumps(sample.id)} turn {sample.turn} sample "
                f"{sample.sample}, the first is at {places[name]}; import one run at a time, or choose the "
                "fields that tell them apart (id=FIELD, turn=FIELD)"
            )
        places[name] = sample.where
        stream.write(_line(sample, benchmark) + "\n")
    return Summary(len(places), left_out)


def _line(output: Output, benchmark: str | None) -> str:
    fields = {
        "benchmark": benchmark,
        "id": output.id,
        "turn": output.turn,
        "sample": output.sample,
        "text": clean(output.text),
        "finish_reason": output.finish_reason,
    }
    return json.dumps({key: value for key, value in fields.items() if value is not None}, ensure_ascii=False)


@contextlib.contextmanager
def _appearing(out: Path) -> Iterator[TextIO]:
    """A file that gets its name at the end; nothing is left of it after an error."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    except OSError as error:
        raise UserError(f"import: cannot write {out}: {error.strerror or error}") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            yield stream
        Path(name).chmod(0o644)
        Path(name).replace(out)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


_MAX_INTEGER = 10**18


def item_id(record: Record, field: str) -> str:
    """An item's id: a text that is not empty, or an integer, as a text. Raises UserError otherwise."""
    value = record.get(field)
    if is_count(value):
        return str(value)
    if not isinstance(value, str):
        raise record.error(field, "an id (a text or a whole number)")
    return record.filled(field)


def item_turn(record: Record, chosen: str | None, usual: tuple[str, ...]) -> int | None:
    """An item's turn, from 0: the field the user chose, else the first usual one that holds a turn.

    Raises UserError if the chosen field holds none.
    """
    if chosen is not None:
        if not is_count(record.get(chosen)):
            raise record.error(chosen, "a turn (a whole number from 0)")
        usual = (chosen,)
    turns = (record.get(field) for field in usual)
    return next((int(turn) for turn in turns if is_count(turn)), None)


def is_count(value: object) -> bool:
    """Whether a value is a whole number from 0 of a sensible size."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_INTEGER


def clean(text: str) -> str:
    """The text with half surrogate pairs, which UTF-8 cannot hold, as U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


@dataclass(frozen=True, slots=True)
class Output:
    """One recorded output. ``where`` is its place in the log, for error messages.

    ``sample`` counts repetitions of one item from 0. ``finish_reason`` is None where the log does not tell
    it, ``length`` where the output was cut at the token limit.
    """

    where: str
    id: str
    turn: int | None
    sample: int
    text: str
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A sample without an output, and why in a few words (the same words for the same reason)."""

    why: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user said about the log: its benchmark, and the dotted fields that hold id, turn and text."""

    benchmark: str | None = None
    id: str | None = None
    turn: str | None = None
    text: str | None = None
