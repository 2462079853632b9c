"""A run's record: what is in it, that it survives the disk, and that a damaged or foreign file is refused."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from evalkit.config import compose, to_dict
from evalkit.errors import UserError
from evalkit.records.file import FILE, read_record, to_bytes
from evalkit.records.make import record_of
from evalkit.records.record import Record
from evalkit.report.conclude import write_reports
from evalkit.runner.run import Finished, execute, load_data

BENCHMARKS = "benchmark=[finqa,tfns,finance_instruct]"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A replayed run over bundled samples: the first output is 42, of the others half say neutral."""
    folder = tmp_path_factory.mktemp("record")
    outputs = folder / "outputs.jsonl"
    overrides = ["data=sample", BENCHMARKS, "limit=6"]
    config = to_dict(compose(["+model=replay", f"model.path={outputs}", *overrides]))
    examples = [example for loaded in load_data(config).values() for example in loaded.examples]
    with outputs.open("w") as file:
        for number, example in enumerate(examples):
            text = r"\boxed{42}" if number == 0 else "neutral" if number % 2 else "I <b>think</b> so"
            file.write(json.dumps({"id": example.id, "turn": example.turn, "text": text}) + "\n")
    config["run_dir"] = str(folder / "run")
    done = execute(config, Console(file=io.StringIO()))
    write_reports(done, "financial")
    return done


def test_it_holds_every_answer_with_every_rules_verdict(finished: Finished) -> None:
    record = record_of(finished)
    assert len(record.rows) == len(finished.records) == 18
    by_key = {row.key: row for row in record.rows}
    for generation in finished.records:
        row = by_key[generation.benchmark, generation.id, generation.turn, generation.sample]
        assert row.text == generation.text
        assert [list(pair) for pair in row.messages] == [list(m.values()) for m in generation.messages]
    numbers = [row for row in record.rows if row.gold_kind == "number"]
    assert {"financial", "finqa_official", "docmath", "pot"} <= set(numbers[0].verdicts)
    assert {row.gold_kind for row in record.rows} >= {"number", "label", "text"}
    texts = [row for row in record.rows if row.gold_kind == "text"]
    assert all(row.verdicts["financial"].failure == "unscored" and row.gold for row in texts)


def test_it_names_no_place_of_the_machine(finished: Finished) -> None:
    content = gzip.decompress(to_bytes(record_of(finished))).decode()
    assert str(finished.path.parent) not in content


def test_it_survives_the_disk_and_is_the_same_bytes(finished: Finished) -> None:
    record = record_of(finished)
    file = finished.path / FILE
    assert read_record(file) == record
    assert file.read_bytes() == to_bytes(read_record(file))


def _lines(record: Record) -> list[bytes]:
    return gzip.decompress(to_bytes(record)).splitlines(keepends=True)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda lines: b"no gzip at all", "cannot be read"),
        (lambda lines: gzip.compress(b"".join(lines))[:-200], "cannot be read"),
        (lambda lines: gzip.compress(b"".join(lines)[:-5]), "cut off"),
        (lambda lines: gzip.compress(b"[1, 2]\n"), "not a run's record: line 1"),
        (lambda lines: gzip.compress(lines[0] + b'{"benchmark": 7}\n'), "not a run's record: line 2"),
        (lambda lines: gzip.compress(lines[0].replace(b'"schema":1', b'"schema":9')), "schema 9"),
        (lambda lines: b"", "not a run's record"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_in_one_line(
    finished: Finished, tmp_path: Path, damage: object, says: str
) -> None:
    file = tmp_path / FILE
    assert callable(damage)
    file.write_bytes(damage(_lines(record_of(finished))))
    with pytest.raises(UserError) as refusal:
        read_record(file)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)
