"""Upstream records of a benchmark: pinned downloads (`hub`), a directory (`local`), the samples (`sample`).

A benchmark's config says all of it (`files` for directories, `hub` for downloads), so that a new benchmark
needs no code here. Downloads are raw files, checked against recorded hashes, or rows of a data set through
the `datasets` package and its cache, or one file of such a set. Files are JSON lists, JSON lines or CSV.

Data files are hostile input: nothing here evaluates them, sizes are bounded, and what can be streamed takes
bounded memory. A `Record` gives typed access to whatever a file holds; a bad field is one line that names it.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import math
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, cast

from evalkit.config.extensions import benchmark_folder
from evalkit.config.own_sets import SUFFIXES
from evalkit.config.settings import BenchmarkSettings, DataSettings, HubFile, HubSettings
from evalkit.files import Pin, fetch, sha256
from evalkit.schema import UserError

_FILES_LISTED = 3  # in the provenance; of more there is one combined hash


def content_id(*parts: str) -> str:
    """A name made of what a record says, for sets without ids of their own: a subset keeps it."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Record:
    """One upstream record and where it stands.

    ``file`` is the name under the data directory ("finqa/test.json"), ``place`` what ``number`` counts
    ("record" or "line"), from 1. Fields are named by dotted paths ("qa.exe_ans"). The typed getters raise
    UserError for a field that is missing or of another type.
    """

    file: str
    place: str
    number: int
    data: Mapping[str, Any]

    @property
    def where(self) -> str:
        return f"{self.file}: {self.place} {self.number}"

    def get(self, field: str) -> Any:  # noqa: ANN401 - upstream JSON is of any type
        """The raw value of a field, or a private marker that no type check accepts."""
        value: Any = self.data
        for part in field.split("."):
            value = value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING
        return value

    def error(self, field: str, expected: str) -> UserError:
        """The error for a field that is not what was expected."""
        return UserError(f"{self.where}: field {field}: expected {expected}, got {describe(self.get(field))}")

    def text(self, field: str) -> str:
        value = self.get(field)
        if not is_text(value):
            raise self.error(field, "text")
        return str(value)

    def filled(self, field: str) -> str:
        """A text that holds more than blanks."""
        value = self.text(field)
        if not value.strip():
            raise self.error(field, "a text that is not empty")
        return value

    def optional(self, field: str) -> str:
        """A text; '' where the field is absent or null."""
        value = self.get(field)
        return "" if value is None or value is _MISSING else self.text(field)

    def texts(self, field: str) -> list[str]:
        value = self.get(field)
        if not isinstance(value, list) or not all(map(is_text, value)):
            raise self.error(field, "a list of texts")
        return value

    def table(self, field: str) -> list[list[str]]:
        value = self.get(field)
        if not isinstance(value, list) or not all(
            isinstance(row, list) and all(map(is_text, row)) for row in value
        ):
            raise self.error(field, "a list of rows of texts")
        return value

    def answers(self, field: str) -> list[float | bool]:
        """A list of golds, each as `answer` reads them."""
        value = self.get(field)
        if not isinstance(value, list) or any(as_answer(item) is None for item in value):
            raise self.error(field, "a list of numbers or yes/no")
        return [answer for item in value if (answer := as_answer(item)) is not None]

    def answer(self, field: str) -> float | bool:
        """A gold as FinQA writes it: a finite number, or 'yes'/'no' (returned as a bool)."""
        answer = as_answer(self.get(field))
        if answer is None:
            raise self.error(field, "a number or yes/no")
        return answer


@dataclass(frozen=True, slots=True)
class Stream:
    """Records, read as they are asked for, and the JSON-able facts about where they come from."""

    records: Iterator[Record]
    provenance: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _File:
    name: str  # under the data directory, whatever the source: "ant_finance/安全合规/金融事实性.csv"
    path: Path
    member: str | None = None


def open_source(settings: BenchmarkSettings, data: DataSettings) -> Stream:
    """The upstream records of one benchmark. Raises UserError for missing, unreachable or changed files."""
    if data.source == "hub":
        return _hub(settings)
    if data.source == "local":
        return _directory(settings, _local_root(settings, data))
    return _directory(settings, benchmark_folder(settings.name) / "sample")


def open_table(path: Path) -> Stream:
    """The records of one file of any kind that `read` knows, and its hash.

    Raises:
        UserError: there is none, or it is of another kind.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file: give a CSV, TSV, JSON, JSONL, Parquet or Excel file")
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path}: not a kind of file that is read: {', '.join(sorted(SUFFIXES))}")
    file = _File(path.name, path)
    return Stream(_read([file]), _hashes([file]))


def _local_root(settings: BenchmarkSettings, data: DataSettings) -> Path:
    layout = f"<data.dir>/{settings.name}/{_pattern(settings)}"
    if not data.dir:
        raise UserError(f"data=local needs data.dir=PATH, a directory that holds {layout}")
    root = Path(data.dir).expanduser()
    if not root.is_dir():
        raise UserError(f"data.dir={root}: no such directory; expected one that holds {layout}")
    return root / settings.name


def _pattern(settings: BenchmarkSettings) -> str:
    return settings.files.replace("{split}", settings.split)


def _directory(settings: BenchmarkSettings, folder: Path) -> Stream:
    name, pattern = settings.name, _pattern(settings)
    paths = sorted(path for path in folder.glob(pattern) if path.is_file())
    if not paths:
        raise UserError(f"{name}: no {pattern} in {folder}; expected <data.dir>/{name}/{pattern}")
    files = [_File(f"{name}/{path.relative_to(folder).as_posix()}", path) for path in paths]
    return Stream(_read(files), _hashes(files))


def _hub(settings: BenchmarkSettings) -> Stream:
    hub = settings.hub
    if not hub:
        raise UserError(f"benchmark.{settings.name}: its config names no hub; use data=local data.dir=PATH")
    if hub.kind == "datasets":
        if hub.revision is None:
            raise UserError(
                f"benchmark.{settings.name}.hub.revision: evalkit knows no commit of {hub.repo}: name the "
                "one to read (its page on the hub lists them), or use data=local data.dir=PATH"
            )
        if hub.files:
            return _file_of_a_set(settings, hub)
        records, provenance = load_rows(hub, settings.split)
        return Stream(_checked(records, settings.name, hub), provenance)
    files = _downloads(settings, hub)
    provenance = {"url": f"{hub.base_url}/{hub.repo}", "revision": hub.revision, **_hashes(files)}
    return Stream(_checked(_read(files), settings.name, hub), provenance)


def _downloads(settings: BenchmarkSettings, hub: HubSettings) -> list[_File]:
    """The pinned files of a repository: those of a table, or the one of the split."""
    name, split = settings.name, settings.split

    def fetched(pin: Pin) -> Path:
        return fetch(pin, base_url=hub.base_url, repo=hub.repo, revision=str(hub.revision))

    if hub.table:
        table = benchmark_folder(name) / hub.table.replace("{split}", split)
        if not table.is_file():
            raise UserError(f"benchmark.{name}.split={split}: no such split")
        pins = pin_table(table)
        return [_File(f"{name}/{pin.path.removeprefix(f'{hub.prefix}/')}", fetched(pin)) for pin in pins]
    entry = _entry(settings, hub)
    if entry.git_blob is None:
        raise UserError(f"benchmark.{name}.hub.files.{split}.git_blob: give the git blob id of {entry.path}")
    path = fetched(Pin(entry.path, entry.git_blob, entry.sha256))
    return [_File(f"{name}/{_pattern(settings)}", path, entry.member)]


def _entry(settings: BenchmarkSettings, hub: HubSettings) -> HubFile:
    """The file that holds the split."""
    split = settings.split
    if split not in hub.files:
        choice = ", ".join(sorted(hub.files))
        raise UserError(f"benchmark.{settings.name}.split={split}: choose one of {choice}")
    return hub.files[split]


def _file_of_a_set(settings: BenchmarkSettings, hub: HubSettings) -> Stream:
    """The records of one file of a data set, whose other files are not wanted (FinCorpus has 60 GB of them).

    The hub's own cache keeps it by its commit, so that it is there offline.
    """
    import huggingface_hub

    entry = _entry(settings, hub)
    try:
        found = huggingface_hub.hf_hub_download(
            hub.repo, entry.path, repo_type="dataset", revision=hub.revision
        )
    except Exception as error:  # as in `load_rows`
        raise _unloadable(hub.repo, error) from error
    path = Path(found)
    file = _File(f"{settings.name}/{PurePosixPath(entry.path).name}", path, entry.member)
    if entry.sha256 is not None and sha256(path) != entry.sha256:
        raise UserError(
            f"{hub.repo}: {entry.path} at {hub.revision} is not the recorded one (sha256 {entry.sha256})"
        )
    commit = path.parents[len(PurePosixPath(entry.path).parts) - 1].name
    facts = {
        "url": f"hf://datasets/{hub.repo}",
        "revision": commit if _is_commit(commit) else hub.revision,
        **_hashes([file]),
    }
    return Stream(_checked(_read([file]), settings.name, hub), facts)


def _unloadable(repo: str, error: Exception) -> UserError:
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
    return UserError(f"{repo}: cannot load from the hub ({reason}); or use data=local data.dir=PATH")


def pin_table(path: Path) -> list[Pin]:
    """The pins of a tab-separated table with columns `path`, `git_blob`, `sha256`."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t")
        return [Pin(row["path"], row["git_blob"], row["sha256"]) for row in rows]


def _read(files: list[_File]) -> Iterator[Record]:
    return chain.from_iterable(read(file.name, file.path, file.member) for file in files)


def _hashes(files: list[_File]) -> dict[str, Any]:
    """What was read: each file, or for many their count and the sha256 over their names and hashes."""
    try:
        known = [{"name": f.name, "bytes": f.path.stat().st_size, "sha256": sha256(f.path)} for f in files]
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read: {error.strerror}") from error
    if len(files) <= _FILES_LISTED:
        return {"files": known}
    combined = hashlib.sha256("".join(f"{entry['sha256']}  {entry['name']}\n" for entry in known).encode())
    return {"file_count": len(files), "sha256": combined.hexdigest()}


def _checked(records: Iterator[Record], name: str, hub: HubSettings) -> Iterator[Record]:
    """Pass records through, and hold them to the documented number of rows and of each value of a column.

    The stand-in for a hash where the whole file's hash is not known.
    """
    columns = hub.counts
    seen: dict[str, Counter[str]] = {column: Counter() for column in columns}
    total = 0
    for record in records:
        total += 1
        for column, counter in seen.items():
            counter[str(record.get(column))] += 1
        yield record
    if hub.rows is not None and total != hub.rows:
        raise UserError(
            f"{name}: the hub has {total} rows, {hub.rows} are documented (benchmark.{name}.hub.rows)"
        )
    for column, expected in columns.items():
        wanted = {str(value): count for value, count in expected.items()}
        if dict(seen[column]) != wanted:
            got = (
                describe(dict(seen[column])) if len(seen[column]) > 10 else dict(sorted(seen[column].items()))
            )
            raise UserError(f"{name}: column {column} of the hub's copy counts {got}, documented is {wanted}")


_BATCH = 1000


def load_rows(hub: HubSettings, split: str) -> tuple[Iterator[Record], dict[str, Any]]:
    """The rows of a split of ``hub.repo`` at ``hub.revision``, and where they are from.

    ``hub.options`` go to the reader of the file format. HF_HUB_OFFLINE, HF_ENDPOINT, HF_HOME and HF_TOKEN
    mean what they always mean. The facts gain ``rows_sha256`` when the last row was read: `datasets` keeps
    no hash of the files. Raises UserError where the set cannot be loaded or the cache holds another revision.
    """
    import datasets  # heavy, and only this source needs it

    repo, wanted = hub.repo, hub.revision
    # Single files (data_files=) are not asked for: the cache could then not be found again offline
    # (`_file_of_a_set` has them).
    try:
        dataset = datasets.load_dataset(repo, revision=wanted, split=split, **hub.options)
    except Exception as error:  # whatever fails in there (network, hub, format), the way out is the same
        raise _unloadable(repo, error) from error
    found = _commit(dataset)
    if wanted and found and _is_commit(wanted) and found != wanted:
        raise UserError(
            f"{repo}: offline, and the cache holds revision {found}, not {wanted}; go online once"
        )
    origin: dict[str, Any] = {"url": f"hf://datasets/{repo}", "revision": found or wanted}
    return _rows(f"{repo} {split}", dataset, origin), origin


def _rows(name: str, dataset: Any, origin: dict[str, Any]) -> Iterator[Record]:  # noqa: ANN401 - no types there
    number, digest = 0, hashlib.sha256()
    for batch in dataset.iter(batch_size=_BATCH):
        for cells in zip(*batch.values(), strict=True):
            number += 1
            digest.update(json.dumps(cells, default=str).encode())
            yield Record(name, "row", number, dict(zip(batch, cells, strict=True)))
    origin["rows_sha256"] = digest.hexdigest()


def _commit(dataset: Any) -> str | None:  # noqa: ANN401 - no types there
    """The commit that was loaded: `datasets` names the cache's innermost folder after it."""
    folders = [Path(entry["filename"]).parent.name for entry in dataset.cache_files]
    return folders[0] if folders and _is_commit(folders[0]) else None


def _is_commit(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{40}", text) is not None


MAX_JSON_BYTES = 512 * 2**20  # read at once; the largest upstream JSON file is below 100 MB
MAX_LINE_BYTES = 16 * 2**20
MAX_UNPACKED_BYTES = 4 * 2**30


def read(name: str, path: Path, member: str | None = None) -> Iterator[Record]:
    """The records of one file, by its suffix (`SUFFIXES`) or of one JSON member of a .zip.

    ``name`` is what error messages call the file. Raises UserError for a file that cannot be read, is not
    UTF-8, is truncated or holds something else than records.
    """
    try:
        if member is not None:
            yield from _json(name, _unzip(name, path, member))
        elif path.suffix.lower() in (".csv", ".tsv"):
            yield from _csv(name, path, "\t" if path.suffix.lower() == ".tsv" else ",")
        elif path.suffix.lower() == ".jsonl":
            with path.open("rb") as stream:
                yield from _jsonl(name, stream)
        elif path.name.lower().endswith(".jsonl.gz"):
            yield from _unpacked(name, path)
        elif path.suffix.lower() == ".parquet":
            yield from _parquet(name, path)
        elif path.suffix.lower() == ".xlsx":
            yield from _excel(name, path)
        else:
            yield from _json(name, _whole(name, path))
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 ({error.reason}); convert the file to UTF-8") from error
    except OSError as error:
        raise UserError(f"{name}: cannot read {path}: {error.strerror or error}") from error


def _whole(name: str, path: Path) -> bytes:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise UserError(f"{name}: larger than {MAX_JSON_BYTES >> 20} MiB; this is not the upstream file")
    return path.read_bytes()


def _unzip(name: str, path: Path, member: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            content = stream.read(MAX_JSON_BYTES + 1)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{name}: cannot read member {member} of {path}: {error}") from error
    if len(content) > MAX_JSON_BYTES:
        raise UserError(f"{name}: member {member} is larger than {MAX_JSON_BYTES >> 20} MiB")
    return content


def _parse(where: str, text: str) -> Any:  # noqa: ANN401 - JSON is of any type
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise UserError(f"{where}: not valid JSON at {place} ({error.msg}); is the file complete?") from error
    except (ValueError, RecursionError) as error:  # integers of thousands of digits, nesting without end
        raise UserError(f"{where}: not a JSON record: {type(error).__name__}") from error


def _json(name: str, content: bytes) -> Iterator[Record]:
    records = _parse(name, content.decode("utf-8-sig"))
    if not isinstance(records, list):
        raise UserError(f"{name}: expected a JSON list of records, got {describe(records)}")
    for number, data in enumerate(records, start=1):
        yield _record(name, "record", number, data)


def _jsonl(name: str, stream: BinaryIO) -> Iterator[Record]:
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise UserError(
                f"{name}: line {number}: longer than {MAX_LINE_BYTES >> 20} MiB; one record a line"
            )
        if text := line.decode("utf-8-sig").strip():
            yield _record(name, "line", number, _parse(f"{name}: line {number}", text))


def _unpacked(name: str, path: Path) -> Iterator[Record]:
    """JSON lines in a .gz, at most `MAX_UNPACKED_BYTES` of them: a small file may hold terabytes."""
    try:
        with gzip.open(path) as stream:
            for record in _jsonl(name, cast(BinaryIO, stream)):
                if stream.tell() > MAX_UNPACKED_BYTES:
                    raise UserError(
                        f"{name}: it unpacks to more than {MAX_UNPACKED_BYTES >> 30} GiB; "
                        "this is not the upstream file"
                    )
                yield record
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{name}: not a whole .gz file ({error}); is the file complete?") from error


def _record(name: str, place: str, number: int, data: object) -> Record:
    if not isinstance(data, dict):
        raise UserError(f"{name}: {place} {number}: expected an object, got {describe(data)}")
    return Record(name, place, number, data)


def _parquet(name: str, path: Path) -> Iterator[Record]:
    from pyarrow import ArrowException  # type: ignore[import-untyped]
    from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]

    number = 0
    try:
        for batch in ParquetFile(path).iter_batches(_BATCH):
            for row in batch.to_pylist():
                number += 1
                yield _record(name, "row", number, row)
    except ArrowException as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{name}: not a readable Parquet file ({reason})") from error


MAX_SHEET_BYTES = 64 * 2**20  # of one sheet's XML: a small zip may hold gigabytes


def _excel(name: str, path: Path) -> Iterator[Record]:
    """The rows of the first sheet, below its line of column names."""
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise UserError(
            f"{name}: Excel files need openpyxl: pip install openpyxl, or save it as CSV"
        ) from error
    try:
        with zipfile.ZipFile(path) as archive:
            largest = max((part.file_size for part in archive.infolist()), default=0)
        if largest > MAX_SHEET_BYTES:
            raise UserError(f"{name}: it unpacks to {largest >> 20} MiB: save it as CSV")
        book = load_workbook(path, read_only=True, data_only=True)
        rows = book.worksheets[0].iter_rows(values_only=True)
        header = ["" if cell is None else str(cell) for cell in next(rows, ())]
        while header and not header[-1]:
            header.pop()
        if not header or len(set(header)) < len(header):
            raise UserError(f"{name}: its first row must name the columns, each once")
        for number, cells in enumerate(rows, start=2):
            yield _record(name, "row", number, dict(zip(header, cells, strict=False)))
    except UserError:
        raise
    except Exception as error:  # openpyxl raises whatever its parts raise
        raise UserError(
            f"{name}: not a readable Excel file ({type(error).__name__}): save it as CSV"
        ) from error


def _csv(name: str, path: Path, delimiter: str = ",") -> Iterator[Record]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.reader(stream, strict=True, delimiter=delimiter)
        line = 1  # of the row's beginning: quoted cells span lines
        try:
            header = next(rows, [])
            if not header:
                raise UserError(f"{name}: line 1: expected a line of column names, got nothing")
            line = rows.line_num + 1
            if len(set(header)) < len(header):
                raise UserError(f"{name}: line 1: a column name is used twice: {', '.join(header)}")
            for cells in rows:
                if cells and len(cells) != len(header):
                    wanted = f"{len(header)} cells ({', '.join(header)})"
                    raise UserError(f"{name}: line {line}: expected {wanted}, got {len(cells)}")
                if cells:
                    yield Record(name, "line", line, dict(zip(header, cells, strict=True)))
                line = rows.line_num + 1
        except csv.Error as error:
            raise UserError(f"{name}: line {line}: not valid CSV ({error}); is the file complete?") from error


_MISSING: Final = object()


def is_text(value: object) -> bool:
    """Whether a value is a string that can be written as UTF-8 (JSON can smuggle in half surrogate pairs)."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_answer(value: object) -> float | bool | None:
    """A finite number as a float, 'yes'/'no' as a bool, anything else as None."""
    if value in ("yes", "no"):
        return value == "yes"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def describe(value: object) -> str:
    """A value in a few words on one line, for an error message."""
    if value is _MISSING:
        return "nothing"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, int) and abs(value) >= 10**40:  # longer integers may refuse to be printed
        return "a huge integer"
    shown = ascii(value) if isinstance(value, str) and not is_text(value) else repr(value)
    return shown if len(shown) <= 40 else shown[:37] + "..."
