"""From upstream files to examples: `load` is the one way in.

A benchmark is a module here (`unit`: upstream record -> Unit, and `IDS`), a folder in benchmarks/ (prompt,
card, sample) and a config in configs/benchmark/. Nothing lists them: they are found by the config's name.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

from evalkit.benchmarks.prompts import fingerprint
from evalkit.benchmarks.records import Record
from evalkit.benchmarks.sampling import Sampling, Unit, select
from evalkit.benchmarks.sources import Stream, open_source
from evalkit.errors import UserError, nearest
from evalkit.example import Example
from evalkit.paths import CONFIGS

SUBSET_SEED = 0  # a benchmark's frozen subset does not move with the run's seed


class Benchmark(Protocol):
    """What a benchmark's module holds."""

    IDS: Literal["upstream", "content"]
    """Upstream ids must be unique; equal content hashes are exact duplicates and collapse."""

    def unit(self, record: Record, config: Mapping[str, Any]) -> Unit | None:
        """What one record becomes; None where it has no gold answer.

        Raises UserError where it is malformed.
        """


@dataclass(frozen=True, slots=True)
class Loaded:
    """The selected examples and, JSON-able, where they came from and how they were selected."""

    examples: list[Example]
    provenance: dict[str, Any]


@dataclass(slots=True)
class _Tally:
    records: int = 0
    items: int = 0
    without_answer: int = 0
    duplicates: int = 0
    seen: set[int] = field(default_factory=set)

    def counts(self) -> dict[str, int]:
        """Records read, those that cannot be scored, and the scorable items that are left."""
        return {
            "records": self.records,
            "without_answer": self.without_answer,
            "duplicates": self.duplicates,
            "items": self.items,
        }


def names() -> list[str]:
    """The benchmarks that can be named, from configs/benchmark/*.yaml."""
    return sorted(path.stem for path in (CONFIGS / "benchmark").glob("*.yaml"))


def load(
    config: Mapping[str, Any],
    data: Mapping[str, Any],
    *,
    limit: int | None,
    seed: int,
    sampling: Sampling,
) -> Loaded:
    """The examples of one benchmark, in an order that depends on `seed` and ids only.

    ``config`` is one composed benchmark config (configs/benchmark/<name>.yaml), ``data`` is ``{"source":
    "hub" | "local" | "sample", "dir": path | None}``. ``limit`` counts scored items; see `sampling.select`.
    Raises UserError for a wrong request and for missing, changed or malformed data.
    """
    benchmark = _module(config)
    prompt = {"file": config["prompt"], "sha256": fingerprint(config["name"], config["prompt"])}
    stream = open_source(config, data)
    tally = _Tally()
    units: Iterable[Unit] = _units(benchmark, stream, config, tally)
    subset = _count(config, "subset")
    if subset is not None:
        units = select(units, limit=subset, seed=SUBSET_SEED, sampling="item")
    chosen = select(units, limit=limit, seed=seed, sampling=sampling)
    if not chosen:
        raise UserError(
            f"{config['name']}: no answered record among {tally.records}; there is nothing to score"
        )
    examples = [example for unit in chosen for example in unit.build()]
    selection = {
        "limit": limit,
        "seed": seed,
        "sampling": sampling,
        "subset": subset,
        "selected": len(examples),
    }
    origin = {
        "benchmark": config["name"],
        "source": data["source"],
        "split": config["split"],
        **stream.provenance,
    }
    return Loaded(examples, {**origin, **tally.counts(), **selection, "prompt": prompt})


def _module(config: Mapping[str, Any]) -> Benchmark:
    name = str(config.get("name"))
    if name not in names():
        raise UserError(
            f"benchmark {name}: unknown; choose from {', '.join(names())}.{nearest(name, names())}"
        )
    absent = [key for key in ("split", "files", "prompt") if config.get(key) is None]
    if absent:
        raise UserError(f"benchmark.{name}: the config lacks {', '.join(absent)}")
    return cast(Benchmark, importlib.import_module(f"evalkit.benchmarks.{name}"))


def _count(config: Mapping[str, Any], key: str) -> int | None:
    """An optional count of at least 1 in the config."""
    value = config.get(key)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise UserError(f"benchmark.{config['name']}.{key}={value}: expected at least 1, or null for all")
    return value


def _units(benchmark: Benchmark, stream: Stream, config: Mapping[str, Any], tally: _Tally) -> Iterator[Unit]:
    """Units in file order, without duplicates; `tally` counts what is read."""
    for record in stream.records:
        tally.records += 1
        unit = benchmark.unit(record, config)
        if unit is None:
            tally.without_answer += 1
            continue
        key = hash(unit.id)  # 64 bits instead of the string: half a million ids must fit
        if key not in tally.seen:
            tally.seen.add(key)
            tally.items += unit.size
            yield unit
        elif benchmark.IDS == "content":
            tally.duplicates += 1
        else:
            raise UserError(f"{record.where}: id {unit.id!r} was used before; ids must be unique")
