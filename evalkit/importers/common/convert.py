"""Logs to one file of replay's format."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from evalkit.errors import UserError
from evalkit.importers import importer
from evalkit.importers.common.fields import clean
from evalkit.importers.common.outputs import LeftOut, Output, Settings


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
