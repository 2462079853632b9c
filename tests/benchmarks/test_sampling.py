"""The order under a seed, limits that nest, whole groups, and half a million rows in bounded memory."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from evalkit.benchmarks import Unit, select
from evalkit.config.settings import SelectBy, run_settings
from evalkit.schema import Example, UserError, rank

from .helpers import dialogue, finqa_record, load_local, write_json, write_jsonl


def units(count: int, groups: int = 10, size: int = 1) -> list[Unit]:
    return [Unit(f"id-{n}", f"group-{n % groups}", size, list) for n in range(count)]


def ids(chosen: list[Unit]) -> list[str]:
    return [unit.id for unit in chosen]


@pytest.mark.parametrize("sampling", ["item", "group"])
@pytest.mark.parametrize("size", [1, 3])
def test_a_larger_limit_begins_with_the_smaller(sampling: SelectBy, size: int) -> None:
    everything = ids(select(units(100, size=size), limit=None, seed=1, sampling=sampling))
    assert len(everything) == 100
    for limit in (1, 2, 7, 50, 99, 1000):
        part = ids(select(units(100, size=size), limit=limit, seed=1, sampling=sampling))
        assert part == everything[: len(part)]
        assert len(part) * size >= min(limit, 100 * size)


@pytest.mark.parametrize("sampling", ["item", "group"])
def test_file_order_does_not_matter_and_the_seed_does(sampling: SelectBy) -> None:
    shuffled = units(100)
    random.Random(5).shuffle(shuffled)
    assert select(shuffled, limit=30, seed=0, sampling=sampling) == select(
        sorted(shuffled, key=lambda unit: unit.id), limit=30, seed=0, sampling=sampling
    )
    assert ids(select(shuffled, limit=30, seed=0, sampling=sampling)) != ids(
        select(shuffled, limit=30, seed=1, sampling=sampling)
    )


def test_items_stop_at_the_limit_and_groups_are_whole() -> None:
    assert len(select(units(100), limit=25, seed=0, sampling="item")) == 25
    groups = Counter(unit.group for unit in select(units(100), limit=25, seed=0, sampling="group"))
    assert list(groups.values()) == [10, 10, 10]
    assert min(rank(0, f"group-{n}") for n in range(10)) in {rank(0, group) for group in groups}


def test_only_candidates_are_kept() -> None:
    alive = 0
    peak = 0

    class Tracked:
        def __init__(self) -> None:
            nonlocal alive, peak
            alive += 1
            peak = max(peak, alive)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def build(_: Tracked) -> list[Example]:
        return []

    def stream() -> Iterator[Unit]:
        for n in range(5000):
            yield Unit(str(n), str(n), 1, partial(build, Tracked()))

    assert len(select(stream(), limit=20, seed=0, sampling="item")) == 20
    assert peak < 30


@pytest.mark.parametrize("limit", ["0", "-1", "all"])
@pytest.mark.parametrize("key", ["limit", "benchmark.tfns.limit"])
def test_a_limit_below_one_is_refused(key: str, limit: str) -> None:
    with pytest.raises(UserError, match=rf"^{key}={limit}: must be a whole number, 1 or more, or null$"):
        run_settings(["model=fin-r1-q4_k", "data=sample", f"{key}={limit}"])


def test_unknown_sampling_is_refused() -> None:
    with pytest.raises(UserError, match=r"^sampling=page: must be item or group"):
        run_settings(["model=fin-r1-q4_k", "data=sample", "sampling=page"])


def test_dialogues_stay_whole_and_turns_count(tmp_path: Path) -> None:
    write_json(tmp_path / "convfinqa/dev.json", [dialogue(n, page=f"page-{n % 4}") for n in range(12)])
    chosen = load_local("convfinqa", tmp_path, limit=4).examples
    assert len(chosen) == 6
    assert [example.turn for example in chosen] == [0, 1, 2, 0, 1, 2]
    by_page = load_local("convfinqa", tmp_path, limit=4, sampling="group").examples
    assert len(by_page) == 9
    assert len({example.group for example in by_page}) == 1
    assert len(load_local("convfinqa", tmp_path, limit=4, history="last").examples) == 4


def test_whole_pages(tmp_path: Path) -> None:
    records = [finqa_record(n, page=f"page-{n % 5}") for n in range(20)]
    write_json(tmp_path / "finqa/test.json", records)
    chosen = load_local("finqa", tmp_path, limit=5, sampling="group").examples
    assert set(Counter(example.group for example in chosen).values()) == {4}
    assert len(chosen) == 8


def test_the_frozen_subset_comes_before_seed_and_limit(tmp_path: Path) -> None:
    rows = [{"system": "", "user": f"q{n}", "assistant": "a"} for n in range(200)]
    write_jsonl(tmp_path / "finance_instruct/train.jsonl", rows)
    frozen = {example.id for example in load_local("finance_instruct", tmp_path, subset=50).examples}
    assert len(frozen) == 50
    for seed in (1, 2):
        loaded = load_local("finance_instruct", tmp_path, subset=50, seed=seed, limit=20)
        assert {example.id for example in loaded.examples} < frozen
        assert (loaded.provenance["items"], loaded.provenance["selected"]) == (200, 20)
    assert len(load_local("finance_instruct", tmp_path, subset=None).examples) == 200


@pytest.mark.parametrize("subset", [0, "many", True])
def test_a_subset_that_is_no_count_is_refused(tmp_path: Path, subset: object) -> None:
    write_jsonl(tmp_path / "finance_instruct/train.jsonl", [{"system": "", "user": "q", "assistant": "a"}])
    with pytest.raises(UserError, match=r"finance_instruct\.subset=.*must be a whole number, 1 or more"):
        load_local("finance_instruct", tmp_path, subset=subset)


MEASURE = """
import resource, sys
from pathlib import Path
from evalkit.benchmarks import load
from tests.settings import benchmark_settings, local

config, data = benchmark_settings("finance_instruct"), local(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
loaded = load(config, data, limit=100, seed=0, sampling="item")
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(len(loaded.examples), loaded.provenance["records"], before, after)
"""

# A process' peak begins at that of the one that it was forked from, and this one is large.
SPAWN = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', *sys.argv[1:]]))"


def test_half_a_million_rows_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "finance_instruct/train.jsonl"
    path.parent.mkdir()
    answer = "profit and loss " * 20
    with path.open("w", encoding="utf-8") as stream:
        for n in range(500_000):
            stream.write(f'{{"system": "\\n", "user": "question {n}", "assistant": "{answer}"}}\n')
    measured = subprocess.run(
        [sys.executable, "-c", SPAWN, MEASURE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    path.unlink()
    selected, records, before, after = map(int, measured.stdout.split())
    unit = 1024 if sys.platform != "darwin" else 1  # of ru_maxrss, in bytes
    assert (selected, records) == (100, 500_000)
    assert after * unit < 400 * 2**20
    assert (after - before) * unit < 100 * 2**20
