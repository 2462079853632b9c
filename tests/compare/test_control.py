"""A candidate asked fewer questions than the reference: what the reference's other answers say of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.compare.comparison import RunComparison, compare
from evalkit.compare.control import control
from evalkit.report.compare import comparison_json, not_compared
from evalkit.run.runner import read_run
from evalkit.schema import UserError
from tests.compare.helpers import examples, run

QUESTIONS = 240


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two questions a page; a question's number is its answer."""
    folder = tmp_path_factory.mktemp("control")
    rows = [f"u{n},What did unit {n} earn?,{n},page {n // 2}" for n in range(1000, 1000 + QUESTIONS)]
    (folder / "units.csv").write_text("\n".join(["id,question,answer,group", *rows]) + "\n")
    return folder


def compared(folder: Path, name: str, *candidate: str, limit: str = "limit=80") -> RunComparison:
    """A reference with 4 of 10 questions wrong; the candidate wins three of these and loses two others."""
    words = [f"benchmark={folder / 'units.csv'}", "sampling=group"]
    numbers = {(e.id, e.turn): int(e.id.removeprefix("u")) for e in examples(*words)}
    wrong = {key: f"\\boxed{{{-n}}}" for key, n in numbers.items()}
    theirs = {key: text for key, text in wrong.items() if numbers[key] % 5 < 2}
    asked = {(e.id, e.turn) for e in examples(*words, limit, *candidate)}
    ours = {key: text for key, text in wrong.items() if numbers[key] % 10 in (1, 2, 7) and key in asked}
    base = run(folder / f"{name}-base", theirs, *words)
    other = run(folder / f"{name}-other", ours, *words, limit, *candidate)
    return compare(read_run(base), read_run(other), None, 0.02)


def test_the_interval_is_narrower_and_said_beside_the_plain_one(folder: Path) -> None:
    found = compared(folder, "planned")
    [made] = found.controlled.values()
    [comparison] = found.comparisons
    before = comparison.difference
    assert before.n == made.difference.n == 80
    assert made.others == QUESTIONS - 80
    assert made.foretold is False
    assert made.weight > 0
    assert made.difference.high - made.difference.low < before.high - before.low
    [line] = [line for line in not_compared(found) if "control variate" in line]
    assert f"reference's {QUESTIONS - 80} other answers" in line
    assert json.loads(json.dumps(comparison_json(found)))["benchmarks"][0]["controlled"]["others"] == 160


@pytest.mark.parametrize(
    ("name", "words", "limit"),
    [("whole", (), "limit=null"), ("seed", ("seed=7",), "limit=80"), ("few", (), "limit=10")],
)
def test_no_sample_of_the_whole(folder: Path, name: str, words: tuple[str, ...], limit: str) -> None:
    found = compared(folder, name, *words, limit=limit)
    assert not found.controlled
    assert not [line for line in not_compared(found) if "control variate" in line]


def test_foretold_chances_count_where_there_is_one_of_every_question(folder: Path) -> None:
    found = compared(folder, "foretold")
    reference, candidate = found.reference, found.candidate
    [name] = reference.by_benchmark()
    changes = {
        item.key: 1.0 if int(item.id.removeprefix("u")) % 10 in (0, 2, 5, 6, 7) else 0.0
        for item in reference.items
    }
    plain, foretold = (
        control(found.pairs, candidate, reference, {name: chances})[name]
        for chances in (dict(list(changes.items())[1:]), changes)
    )
    assert (plain.foretold, foretold.foretold) == (False, True)
    assert plain == found.controlled[name]
    width = foretold.difference.high - foretold.difference.low
    assert width < plain.difference.high - plain.difference.low


def test_the_proofs_read_kept_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from bench.control import main as control_main
    from bench.sequential import main as sequential_main

    found = compared(folder, "kept", limit="limit=null")
    places = [str(found.reference.path), str(found.candidate.path)]
    answers = [
        {"id": item.id, "turn": None, "tokens": 5, "kl": 0.1, "final_flip": None, "any_flip": 0.5}
        for item in found.reference.items[:50]
    ]
    [name] = found.reference.by_benchmark()
    digest = found.candidate.info.engine.weights_sha256
    figures = {"files": [{"sha256": digest or "", "benchmarks": {name: {"answers": answers}}}]}
    (folder / "fidelity.json").write_text(json.dumps(figures))
    assert control_main([*places, f"fidelity={folder / 'fidelity.json'}"]) == 0
    said = capsys.readouterr().out
    assert " 240 " in said
    assert "50 %" in said, "five of ten questions change"
    assert "what fidelity foretold" in said
    (folder / "fidelity.json").write_text("{}")
    with pytest.raises(UserError, match=r"is no fidelity\.json"):
        control_main([*places, f"fidelity={folder / 'fidelity.json'}"])
    assert sequential_main([*places, "drawn=3"]) == 0
    assert "pages drawn again" in capsys.readouterr().out
