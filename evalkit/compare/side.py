"""One side of a comparison: a finished run, scored by the one rule that both sides are compared under."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.compare.wording import shown
from evalkit.errors import UserError
from evalkit.report.items import Item, Key, items_of
from evalkit.runner.folder import read_config
from evalkit.runner.provenance import SCHEMA
from evalkit.runner.run import Finished, finished_run
from evalkit.runner.scoring import Score, score_records
from evalkit.scorers import DEFAULT, get_rule

_GROUPS = ("model", "data", "benchmark", "protocol")
_VALUES = ("limit", "seed", "sampling")
_HASHES = ("files", "sha256", "rows_sha256")


@dataclass(frozen=True, slots=True)
class Side:
    """A scored run.

    ``config`` is its config.yaml, ``run`` its run.json. ``items`` holds, by benchmark in the run's order and
    by key, every example that has a record: scored, failed or unscored.
    """

    name: str
    title: str
    path: Path
    config: dict[str, Any]
    run: dict[str, Any]
    items: dict[str, dict[Key, Item]]


def load_side(path: Path, rule: str = DEFAULT, data_dir: str | None = None) -> Side:
    """The run in folder `path`, finished or partial, scored again by `rule`.

    Args:
        data_dir: where the run's local data is now, if not where it was.

    Raises:
        UserError: no such rule, no readable run, or its data are not what they were.
    """
    get_rule(rule)
    config = read_config(path)
    lacking = [name for name in _GROUPS if not isinstance(config.get(name), Mapping)]
    lacking += [name for name in _VALUES if name not in config]
    if lacking:
        raise UserError(f"{path / 'config.yaml'} is not a run's config: it has no {lacking[0]}")
    return side_of(finished_run(path, data_dir), rule)


def side_of(finished: Finished, rule: str = DEFAULT) -> Side:
    """A run that was just executed or read back, scored by `rule`.

    Raises:
        UserError: no such rule, another version's record, or data that changed since the run.
    """
    _check_record(finished)
    by_benchmark: dict[str, list[Score]] = defaultdict(list)
    for score in score_records(finished.records, finished.data, [rule]):
        by_benchmark[score.record.benchmark].append(score)
    model = finished.config["model"]
    return Side(
        name=str(model["name"]),
        title=str(model["title"]),
        path=finished.path,
        config=finished.config,
        run=finished.run,
        items={
            name: {item.key: item for item in items_of(by_benchmark[name])}
            for name in finished.data
            if name in by_benchmark
        },
    )


def _check_record(finished: Finished) -> None:
    run, path = finished.run, finished.path
    if run.get("schema") != SCHEMA:
        found = shown(run.get("schema"))
        raise UserError(f"{path}: its run.json has schema {found}; this version reads {SCHEMA}: run it again")
    recorded = run.get("data")
    for name, loaded in finished.data.items():
        facts = recorded.get(name) if isinstance(recorded, Mapping) else None
        if not isinstance(facts, Mapping):
            raise UserError(f"{path}: its run.json does not say what data {name} was run on: run it again")
        changed = different_data(facts, loaded.provenance)
        if changed:
            raise UserError(
                f"{path}: the data of {name} changed since the run ({changed}): "
                "give data.dir=PATH of the files it was made with"
            )


def different_data(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """How two data provenances (`data` in run.json) show that the records differ: '' if they do not.

    Content hashes decide. Where the two have no hash of the same kind (a hub's copy against a local file),
    nothing is said here: equal prompts and gold answers are then the proof, example by example.
    """
    for kind in _HASHES:
        ours, theirs = one.get(kind), other.get(kind)
        if ours and theirs:
            return "" if ours == theirs else f"{_brief(ours)} and {_brief(theirs)}"
    return ""


def _brief(recorded: object) -> str:
    """Names and the first digits of hashes, of the files that a provenance lists, or of one hash."""
    if not isinstance(recorded, list):
        return f"sha256 {shown(recorded)}"
    files = (file for file in recorded if isinstance(file, Mapping))
    return ", ".join(f"{shown(file.get('name'))} {shown(str(file.get('sha256'))[:12])}" for file in files)
