"""Where records come from: pinned downloads (`hub`), a directory (`local`), the shipped samples (`sample`).

A benchmark's config says all of it (`files` for directories, `hub` for downloads), so that a new benchmark
needs no code here.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from evalkit.benchmarks.download import Pin, fetch, sha256
from evalkit.benchmarks.readers import read
from evalkit.benchmarks.records import Record, describe
from evalkit.errors import UserError
from evalkit.paths import BENCHMARKS

_FILES_LISTED = 3  # in the provenance; of more there is one combined hash


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


def open_source(config: Mapping[str, Any], data: Mapping[str, Any]) -> Stream:
    """The upstream records of one benchmark.

    ``data`` is ``{"source": "hub" | "local" | "sample", "dir": path | None}``. Raises UserError for missing,
    unreachable or changed files.
    """
    openers: dict[str, Callable[[], Stream]] = {
        "hub": lambda: _hub(config),
        "local": lambda: _directory(config, _local_root(config, data)),
        "sample": lambda: _directory(config, BENCHMARKS / config["name"] / "sample"),
    }
    source = data.get("source")
    if source not in openers:
        raise UserError(f"data.source={source}: choose hub, local or sample")
    return openers[source]()


def _local_root(config: Mapping[str, Any], data: Mapping[str, Any]) -> Path:
    name, layout = config["name"], f"<data.dir>/{config['name']}/{_pattern(config)}"
    if not data.get("dir"):
        raise UserError(f"data=local needs data.dir=PATH, a directory that holds {layout}")
    root = Path(str(data["dir"])).expanduser()
    if not root.is_dir():
        raise UserError(f"data.dir={root}: no such directory; expected one that holds {layout}")
    return root / str(name)


def _pattern(config: Mapping[str, Any]) -> str:
    return str(config["files"]).replace("{split}", str(config["split"]))


def _directory(config: Mapping[str, Any], folder: Path) -> Stream:
    name, pattern = config["name"], _pattern(config)
    paths = sorted(path for path in folder.glob(pattern) if path.is_file())
    if not paths:
        raise UserError(f"{name}: no {pattern} in {folder}; expected <data.dir>/{name}/{pattern}")
    files = [_File(f"{name}/{path.relative_to(folder).as_posix()}", path) for path in paths]
    return Stream(_read(files), _hashes(files))


def _hub(config: Mapping[str, Any]) -> Stream:
    hub = config.get("hub")
    if not hub:
        raise UserError(f"benchmark.{config['name']}: its config names no hub; use data=local data.dir=PATH")
    if hub["kind"] == "datasets":
        from evalkit.benchmarks.hub_rows import load_rows

        records, provenance = load_rows(hub, config["split"])
        return Stream(_checked(records, config["name"], hub), provenance)
    files = _downloads(config, hub)
    provenance = {"url": f"{hub['base_url']}/{hub['repo']}", "revision": hub["revision"], **_hashes(files)}
    return Stream(_checked(_read(files), config["name"], hub), provenance)


def _downloads(config: Mapping[str, Any], hub: Mapping[str, Any]) -> list[_File]:
    """The pinned files of a repository: those of a table, or the one of the split."""
    name, split = config["name"], config["split"]
    where = {key: str(hub[key]) for key in ("base_url", "repo", "revision")}
    if hub.get("table"):
        prefix = f"{hub['prefix']}/"
        pins = pin_table(BENCHMARKS / name / hub["table"])
        return [_File(f"{name}/{pin.path.removeprefix(prefix)}", fetch(pin, **where)) for pin in pins]
    if split not in hub["files"]:
        raise UserError(f"benchmark.{name}.split={split}: choose one of {', '.join(sorted(hub['files']))}")
    entry = hub["files"][split]
    path = fetch(Pin(entry["path"], entry["git_blob"], entry.get("sha256")), **where)
    return [_File(f"{name}/{_pattern(config)}", path, entry.get("member"))]


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


def _checked(records: Iterator[Record], name: str, hub: Mapping[str, Any]) -> Iterator[Record]:
    """Pass records through, and hold them to the documented number of rows and of each value of a column.

    The stand-in for a hash where the whole file's hash is not known.
    """
    columns: Mapping[str, Mapping[Any, int]] = hub.get("counts") or {}
    seen: dict[str, Counter[str]] = {column: Counter() for column in columns}
    total = 0
    for record in records:
        total += 1
        for column, counter in seen.items():
            counter[str(record.get(column))] += 1
        yield record
    if hub.get("rows") is not None and total != hub["rows"]:
        raise UserError(
            f"{name}: the hub has {total} rows, {hub['rows']} are documented (benchmark.{name}.hub.rows)"
        )
    for column, expected in columns.items():
        wanted = {str(value): count for value, count in expected.items()}
        if dict(seen[column]) != wanted:
            got = (
                describe(dict(seen[column])) if len(seen[column]) > 10 else dict(sorted(seen[column].items()))
            )
            raise UserError(f"{name}: column {column} of the hub's copy counts {got}, documented is {wanted}")
