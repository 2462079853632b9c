"""A run's record: what is in it, that it survives the disk, and that a damaged or foreign file is refused."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from evalkit.config.settings import run_settings
from evalkit.report.run import write_reports
from evalkit.run import record
from evalkit.run.folder import Finished
from evalkit.run.info import Run
from evalkit.run.record import RECORD_FILE, load_run, to_bytes
from evalkit.run.runner import execute, load_data
from evalkit.run.scoring import scored_run
from evalkit.schema import UserError
from tests.settings import changed

BENCHMARKS = "benchmark=[finqa,tfns,finance_instruct]"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A replayed run over bundled samples: the first output is 42, of the others half say neutral."""
    folder = tmp_path_factory.mktemp("record")
    outputs = folder / "outputs.jsonl"
    overrides = ["data=sample", BENCHMARKS, "limit=6"]
    settings = run_settings(["+model=replay", f"model.path={outputs}", *overrides])
    examples = [example for loaded in load_data(settings).values() for example in loaded.examples]
    with outputs.open("w") as file:
        for number, example in enumerate(examples):
            text = r"\boxed{42}" if number == 0 else "neutral" if number % 2 else "I <b>think</b> so"
            file.write(json.dumps({"id": example.id, "turn": example.turn, "text": text}) + "\n")
    settings = changed(settings, run_dir=str(folder / "run"))
    done = execute(settings, Console(file=io.StringIO()))
    write_reports(done, "financial")
    return done


def test_it_holds_every_answer_with_every_rules_score(finished: Finished) -> None:
    run = scored_run(finished)
    assert len(finished.records) == 18
    by_name = {(item.benchmark, *item.key, each.number): each for item in run.items for each in item.samples}
    assert by_name.keys() == {answer.name for answer in finished.records}
    for answer in finished.records:
        sample = by_name[answer.name]
        assert sample.text == answer.text
        assert [list(pair) for pair in sample.messages] == [list(m.values()) for m in answer.messages]
    number = next(item for item in run.items if item.gold_kind == "number")
    assert {"financial", "finqa_official", "docmath", "pot"} <= set(number.samples[0].scores)
    assert {item.gold_kind for item in run.items} >= {"number", "label", "text"}
    texts = [item for item in run.items if item.gold_kind == "text"]
    assert all(item.samples[0].scores["financial"].outcome == "unscored" and item.gold for item in texts)


def test_it_names_no_place_of_the_machine(finished: Finished) -> None:
    content = gzip.decompress(to_bytes(scored_run(finished))).decode()
    assert str(finished.path.parent) not in content


def test_it_survives_the_disk_and_is_the_same_bytes(finished: Finished) -> None:
    file = finished.path / RECORD_FILE
    assert load_run(file).items == scored_run(finished).items
    assert file.read_bytes() == to_bytes(load_run(file))


def _lines(run: Run) -> list[bytes]:
    return gzip.decompress(to_bytes(run)).splitlines(keepends=True)


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
    file = tmp_path / RECORD_FILE
    assert callable(damage)
    file.write_bytes(damage(_lines(scored_run(finished))))
    with pytest.raises(UserError) as refusal:
        load_run(file)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_rows_count_towards_the_bound_beside_their_text(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row of a few bytes takes kilobytes of memory."""
    text = sum(map(len, _lines(scored_run(finished))))
    rows = len(_lines(scored_run(finished)))
    monkeypatch.setattr(record, "MAX_RECORD_BYTES", text + 1_000 * rows)
    with pytest.raises(UserError, match="unpacks to more than"):
        load_run(finished.path)
    monkeypatch.setattr(record, "MAX_RECORD_BYTES", text + 3_000 * rows)
    assert load_run(finished.path).items
