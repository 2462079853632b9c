"""From upstream files to examples: `load` is the one way in.

A benchmark is a module here (`unit`: upstream record -> Unit, and `IDS`), a folder in benchmarks/ (prompt,
card, sample) and a config in configs/benchmark/. Nothing lists them: they are found by the config's name. One
whose records are not laid out as upstream files (`questions`) has an `open_source` of its own. Others come
from the user's folders and installed packages: `evalkit.config.extensions`.

A limit takes the first records in the order of a hash of (seed, id). Nothing else decides the order, so a
larger limit contains the smaller one, and neither the file order nor the size of the split matters.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

from evalkit.benchmarks import depth, shots
from evalkit.benchmarks.prompts import fingerprint
from evalkit.benchmarks.sources import Record, Stream, open_source
from evalkit.config import extensions, overrides
from evalkit.config.settings import BenchmarkSettings, DataSettings, SelectBy
from evalkit.schema import Example, Loaded, UserError, rank

__path__.extend(extensions.module_folders("benchmarks"))  # those of the user's own

SUBSET_SEED = 0  # a benchmark's frozen subset does not move with the run's seed


class Benchmark(Protocol):
    """What a benchmark's module holds."""

    IDS: Literal["upstream", "content"]
    """Upstream ids must be unique; equal content hashes are exact duplicates and collapse."""

    def unit(self, record: Record, settings: Any) -> Unit | list[Unit] | None:  # noqa: ANN401 - its own Settings
        """What one record becomes; None, or nothing of several, where it has no gold answer.

        Raises UserError where it is malformed.
        """


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


def needs_judge(name: str) -> bool:
    """Whether only a judge can score a benchmark's answers: its module then has `FREE_TEXT = True`."""
    return bool(getattr(extensions.load("benchmarks", name), "FREE_TEXT", False))


def names() -> list[str]:
    """The benchmarks that can be named: those that have a config."""
    return overrides.names("benchmark")


def load(
    settings: BenchmarkSettings,
    data: DataSettings,
    *,
    limit: int | None,
    seed: int,
    sampling: SelectBy,
) -> Loaded:
    """The examples of one benchmark, in an order that depends on `seed` and ids only.

    ``limit`` counts scored items; see `select`. Raises UserError for missing, changed or malformed data.
    """
    benchmark = cast(Benchmark, extensions.load("benchmarks", settings.module))
    prompt = {"file": settings.prompt, "sha256": fingerprint(settings.module, settings.prompt)}
    own_source = getattr(benchmark, "open_source", None)
    stream = own_source(settings) if own_source else open_source(settings, data)
    tally = _Tally()
    units: Iterable[Unit] = _units(benchmark, stream, settings, tally)
    if settings.subset is not None:
        units = select(units, limit=settings.subset, seed=SUBSET_SEED, sampling="item")
    chosen = select(units, limit=limit, seed=seed, sampling=sampling)
    if not chosen:
        raise UserError(
            f"{settings.name}: no answered record among {tally.records}; there is nothing to score"
        )
    with extensions.blamed("benchmarks", settings.module):
        examples = [example for unit in chosen for example in unit.build()]
    before: dict[str, Any] = {}
    if settings.depth:
        examples, before = _with_depth(examples, benchmark, settings, data)
    if settings.shots:
        examples, facts = _with_shots(examples, benchmark, settings, data)
        before |= facts
    selection = {
        "limit": limit,
        "seed": seed,
        "sampling": sampling,
        "subset": settings.subset,
        "selected": len(examples),
    }
    origin = {
        "benchmark": settings.name,
        "source": data.source,
        "split": settings.split,
        **stream.provenance,
    }
    return Loaded(examples, {**origin, **tally.counts(), **selection, "prompt": prompt, **before})


def with_split(settings: BenchmarkSettings, split: str) -> BenchmarkSettings:
    """The benchmark on another of its splits; where its module says what a train split is, on that.

    The counts that its config states are those of the split there, and are not checked on another one.
    """
    if split == settings.split:
        return settings
    benchmark = extensions.load("benchmarks", settings.module)
    train: Mapping[str, str] = getattr(benchmark, "TRAIN", None) or {}
    update = train if train.get("split") == split else {"split": split}
    hub = settings.hub.model_copy(update={"rows": None, "counts": {}}) if settings.hub else None
    return settings.model_copy(update={**update, "hub": hub, "records": None, "items": None})


def _with_depth(
    examples: list[Example], benchmark: Benchmark, settings: BenchmarkSettings, data: DataSettings
) -> tuple[list[Example], dict[str, Any]]:
    """The examples behind `settings.depth` tokens of other pages, and what was done.

    Raises:
        UserError: the benchmark has no pages, or not so much text.
    """
    tokens, key = settings.depth or 0, f"benchmark.{settings.name}.depth"
    if not getattr(benchmark, "PAGES", False):
        raise UserError(f"{key}={tokens}: {settings.title} has no pages to pad: leave it out")
    units = _units(benchmark, open_source(settings, data), settings, _Tally())
    try:
        padded = depth.pad(examples, depth.pages_of(units, tokens), tokens)
    except UserError as error:
        raise UserError(f"{key}={tokens}: {error}") from error
    return padded, {"depth": {"tokens": tokens, "characters_a_token": depth.CHARACTERS}}


def _with_shots(
    examples: list[Example], benchmark: Benchmark, settings: BenchmarkSettings, data: DataSettings
) -> tuple[list[Example], dict[str, Any]]:
    """The examples with `settings.shots` answered questions before each, and where those are from.

    Raises:
        UserError: the benchmark has no train split, or it is not there or too small.
    """
    count, key = settings.shots or 0, f"benchmark.{settings.name}.shots"
    train: Mapping[str, str] | None = getattr(benchmark, "TRAIN", None)
    if train is None:
        raise UserError(
            f"{key}={count}: {settings.title} has no train split to take them from: leave it out, or {key}=0"
        )
    of_train = with_split(settings, train["split"])
    same_group = bool(getattr(benchmark, "SAME_GROUP", False))
    try:
        stream = open_source(of_train, data)
        with extensions.blamed("benchmarks", settings.module):
            units = list(_units(benchmark, stream, of_train, _Tally()))
            found = shots.choose(units, count, same_group=same_group)
        asked = shots.add(examples, found, count, same_group=same_group)
    except UserError as error:
        raise UserError(f"{key}={count}: {error}") from error
    facts = {"n": count, "split": of_train.split, **stream.provenance}
    return asked, {"shots": facts}


def _units(
    benchmark: Benchmark, stream: Stream, settings: BenchmarkSettings, tally: _Tally
) -> Iterator[Unit]:
    """Units in file order, without duplicates; `tally` counts what is read."""
    for record in stream.records:
        tally.records += 1
        with extensions.blamed("benchmarks", settings.module):
            found = benchmark.unit(record, settings)
        units = found if isinstance(found, list) else [found] if found else []
        tally.without_answer += not units
        for unit in units:
            key = hash(unit.id)  # 64 bits instead of the string: half a million ids must fit
            if key not in tally.seen:
                tally.seen.add(key)
                tally.items += unit.size
                yield unit
            elif benchmark.IDS == "content":
                tally.duplicates += 1
            else:
                raise UserError(f"{record.where}: id {unit.id!r} was used before; ids must be unique")


@dataclass(frozen=True, slots=True)
class Unit:
    """What is selected or left as a whole: one example, or a dialogue with all its turns.

    ``size`` counts its scored items. ``build`` renders its examples; it is called for selected units only.
    """

    id: str
    group: str
    size: int
    build: Callable[[], list[Example]]


def select(units: Iterable[Unit], *, limit: int | None, seed: int, sampling: SelectBy) -> list[Unit]:
    """The first units in hash order until `limit` scored items are reached (None: all of them).

    `sampling="item"` takes unit after unit; "group" takes whole groups (pages, files), ordered by the hash of
    their names. The last unit or group stays whole, so the count may pass the limit. `units` is consumed as a
    stream and only candidates are kept.
    """
    buckets: dict[int, list[Unit]] = {}
    worst_first: list[int] = []
    total = 0
    closed: int | None = None  # ranks from here on can no longer be needed
    for unit in units:
        key = rank(seed, unit.id if sampling == "item" else unit.group)
        if closed is not None and key >= closed:
            continue
        if key not in buckets:
            buckets[key] = []
            heapq.heappush(worst_first, -key)
        buckets[key].append(unit)
        total += unit.size
        while limit is not None and total - _size(buckets[-worst_first[0]]) >= limit:
            closed = -heapq.heappop(worst_first)
            total -= _size(buckets.pop(closed))
    return [
        unit for key in sorted(buckets) for unit in sorted(buckets[key], key=lambda unit: rank(seed, unit.id))
    ]


def _size(bucket: list[Unit]) -> int:
    return sum(unit.size for unit in bucket)
