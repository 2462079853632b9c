"""record.jsonl.gz: a run as one small file, which the leaderboard, the site, exports and notebooks read.

Its head is on the first line, then a line per answer; the same run gives the same bytes. It holds no paths of
the machine that made it, and nothing that the benchmark's files are needed for. What is read back may be
anybody's, so it is checked here, and only here.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from evalkit.config.settings import BenchmarkSettings
from evalkit.run.folder import Finished, run_id
from evalkit.run.generations import seal_of
from evalkit.run.info import Run, RunInfo, run_info, without_paths
from evalkit.run.judgements import Ledger, read_calibration
from evalkit.schema import GoldKind, Item, Outcome, Sample, Score, UserError
from evalkit.text import first_fault

RECORD_SCHEMA = 1
RECORD_FILE = "record.jsonl.gz"
SUFFIX = ".jsonl.gz"

MAX_LINE_BYTES = 16 << 20  # an answer of a hundred thousand tokens has half a megabyte
MAX_ROWS = 2_000_000  # a run of all benchmarks has some 8,500 examples
MAX_RECORD_BYTES = 2 << 30  # unpacked; that run has some 80 MB
_ROW_BYTES = 2_000  # of memory that a row takes beside its text

_SETTINGS = ("limit", "seed", "sampling")
_MODEL = ("name", "title", "family", "parameters", "licence", "published_only", "recipe", "size_bytes")
_LATER = ("judge", "calibration")  # heads of older records lack them
_LATER_IN_ROWS = ("question", "choices", "printed", "reason")


@dataclass(frozen=True, slots=True)
class _Verdict:
    """A score as the file has it."""

    correct: bool | None
    score: float | None
    failure: Outcome
    extracted: str | None = None
    span: tuple[int, int] | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Row:
    """An answer as the file has it: fields as in generations.jsonl, its gold answer, and scores by rule."""

    benchmark: str
    id: str
    turn: int | None
    sample: int
    group: str
    facets: dict[str, Any]
    gold_kind: GoldKind
    gold: str
    messages: tuple[tuple[str, str], ...]
    text: str | None
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    error: str | None
    verdicts: dict[str, _Verdict]
    abandoned: bool | None = None
    question: str = ""
    choices: dict[str, str] = field(default_factory=dict)
    printed: str = ""
    reason: str = ""


_ROW = TypeAdapter(_Row)


def head_of(finished: Finished, ledger: Ledger | None) -> dict[str, Any]:
    """The first line of a run's record: blocks of its settings and of run.json, without paths.

    Raises:
        UserError: its calibration cannot be read.
    """
    settings, run = finished.settings, finished.run
    return {
        "run_id": run_id(settings),
        "model": {key: getattr(settings.model, key) for key in _MODEL},
        "protocol": settings.protocol.model_dump(),
        "sampling": dict(run["sampling"]),
        "settings": {key: getattr(settings, key) for key in _SETTINGS},
        "benchmarks": {
            name: {**_benchmark(settings.benchmark[name]), "covered": len(loaded.examples)}
            for name, loaded in finished.data.items()
        },
        "data": without_paths(run["data"]),
        "engine": without_paths(run["engine"]),
        "hardware": dict(run["hardware"]),
        "measured": dict(run["measured"]),
        "evalkit": dict(run["evalkit"]),
        "started": run.get("started"),
        "ended": run.get("ended"),
        "schema": RECORD_SCHEMA,
        "judge": ledger.summary if ledger else None,
        "calibration": read_calibration(finished.path),
        **({"answers": dict(run["answers"])} if seal_of(run) else {}),
    }


def _benchmark(settings: BenchmarkSettings) -> dict[str, Any]:
    """Without where it is read from: what was read is under `data`."""
    return settings.model_dump(exclude={"hub", "files", "file"})


def to_bytes(run: Run) -> bytes:
    """The file's content."""
    packed = io.BytesIO()
    # No file name and no time: they would differ from run to run.
    with gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0, compresslevel=9) as file:
        file.write(_line({**dict.fromkeys(_LATER), **run.info.raw}))
        for item in run.items:
            for sample in item.samples:
                # Records that were made before these were kept have none.
                row = _row(item, sample)
                left_out = {name for name in _LATER_IN_ROWS if not getattr(row, name)}
                file.write(_ROW.dump_json(row, exclude=left_out) + b"\n")
    return packed.getvalue()


def without_prompts(run: Run) -> Run:
    """The run with hashes in place of its prompts: equal ones stay equal, and no words of theirs are kept."""
    items = (
        replace(
            item,
            question="",
            choices=dict.fromkeys(item.choices, ""),
            samples=tuple(_without_prompt(sample) for sample in item.samples),
        )
        for item in run.items
    )
    return replace(run, items=tuple(items))


def _without_prompt(sample: Sample) -> Sample:
    def hashed(content: str) -> str:
        return f"(left out; sha256 {hashlib.sha256(content.encode()).hexdigest()[:16]})"

    return replace(sample, messages=tuple((role, hashed(content)) for role, content in sample.messages))


def _line(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _row(item: Item, sample: Sample) -> _Row:
    return _Row(
        benchmark=item.benchmark,
        id=item.id,
        turn=item.turn,
        sample=sample.number,
        group=item.group,
        facets=item.facets,
        gold_kind=item.gold_kind,
        gold=item.gold,
        messages=sample.messages,
        text=sample.text,
        finish_reason=sample.finish_reason,
        prompt_tokens=sample.prompt_tokens,
        completion_tokens=sample.completion_tokens,
        error=sample.error,
        verdicts={
            rule: _Verdict(each.correct, each.value, each.outcome, each.extracted, each.span, each.note)
            for rule, each in sample.scores.items()
        },
        abandoned=sample.abandoned,
        question=item.question,
        choices=item.choices,
        printed=item.printed,
        reason=sample.reason,
    )


def load_run(path: Path) -> Run:
    """A run from its record, or from the folder that holds one.

    Raises:
        UserError: there is none, or it cannot be read, is cut off, is no record, or is another version's.
    """
    file = path / RECORD_FILE if path.is_dir() else path
    if path.is_dir() and not file.exists():
        raise UserError(
            f"{path} has no {RECORD_FILE}: if it is a run's folder, `evalkit score {path}` makes it"
        )
    try:
        with gzip.open(file, "rb") as packed:
            lines = _lines(packed, file)
            info = _head(next(lines, b""), file)
            items = tuple(_items(_rows(lines, file), info))
    except UserError as error:
        if str(error).startswith(str(file)):
            raise
        raise UserError(f"{file} {error}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return Run(path, info, items)


def _head(line: bytes, path: Path) -> RunInfo:
    try:
        head = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a run's record: line 1: not JSON") from error
    if not isinstance(head, dict):
        raise UserError(f"{path} is not a run's record: line 1: not a JSON object")
    if head.get("schema") != RECORD_SCHEMA:
        raise UserError(
            f"{path} is a record of schema {head.get('schema')!r:.20}; this version reads {RECORD_SCHEMA}: "
            "make it again with `evalkit score RUN_DIR`"
        )
    return run_info(head)


def _lines(file: gzip.GzipFile, path: Path) -> Iterator[bytes]:
    left = MAX_RECORD_BYTES
    for _ in range(MAX_ROWS):
        line = file.readline(MAX_LINE_BYTES)
        left -= len(line) + _ROW_BYTES
        if not line:
            return
        if left < 0:
            raise UserError(
                f"{path} unpacks to more than {MAX_RECORD_BYTES >> 30} GiB: no run's record is that large"
            )
        if not line.endswith(b"\n"):
            raise UserError(f"{path} is cut off, or has a line of more than {MAX_LINE_BYTES >> 20} MiB")
        yield line
    raise UserError(f"{path} has more than {MAX_ROWS} rows")


def _rows(lines: Iterable[bytes], path: Path) -> Iterator[tuple[int, _Row]]:
    for number, line in enumerate(lines, 2):  # the head is line 1
        try:
            yield number, _ROW.validate_json(line)
        except ValidationError as error:
            raise UserError(f"{path} is not a run's record: line {number}: {first_fault(error)}") from error


def _items(rows: Iterable[tuple[int, _Row]], info: RunInfo) -> Iterator[Item]:
    """Items in the order of their first rows; every row an answer to a benchmark of the head, there once."""
    found: dict[tuple[str, str, int | None], Item] = {}
    samples: dict[tuple[str, str, int | None], list[Sample]] = {}
    for number, row in rows:
        if row.benchmark not in info.benchmarks:
            raise UserError(
                f"is not a run's record: line {number}: no benchmark {row.benchmark!a:.80} in its head"
            )
        key = (row.benchmark, row.id, row.turn)
        if key not in found:
            found[key] = _item(row)
            samples[key] = []
        elif any(sample.number == row.sample for sample in samples[key]):
            raise UserError(f"is not a run's record: {row.benchmark} {row.id!a:.80} is there more than once")
        samples[key].append(_sample(row, number))
    for key, item in found.items():
        yield replace(item, samples=tuple(sorted(samples[key], key=lambda sample: sample.number)))


def _item(row: _Row) -> Item:
    return Item(
        benchmark=row.benchmark,
        id=row.id,
        turn=row.turn,
        group=row.group,
        facets=row.facets,
        gold_kind=row.gold_kind,
        gold=row.gold,
        question=row.question,
        samples=(),
        choices=row.choices,
        printed=row.printed,
    )


def _sample(row: _Row, number: int) -> Sample:
    for verdict in row.verdicts.values():
        if verdict.score is not None and not 0 <= verdict.score <= 1:
            raise UserError(f"is not a run's record: line {number}: a score of {verdict.score:g}")
    return Sample(
        number=row.sample,
        messages=row.messages,
        text=row.text,
        finish_reason=row.finish_reason,
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
        error=row.error,
        scores={
            rule: Score(each.extracted, each.correct, each.score, each.failure, each.note, each.span)
            for rule, each in row.verdicts.items()
        },
        abandoned=row.abandoned,
        reason=row.reason,
    )
