"""`evalkit verify`, and what the other commands say of a folder that was changed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evalkit.__main__ import main
from evalkit.config.settings import run_settings
from evalkit.run.record import RECORD_FILE
from evalkit.run.runner import load_data

ANSWERS = 18  # of the bundled TFNS


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recorded outputs for the bundled TFNS examples: every one `neutral`."""
    settings = run_settings(["+model=replay", "model.path=none", "data=sample", "benchmark=[tfns]"])
    path = tmp_path_factory.mktemp("outputs") / "outputs.jsonl"
    examples = load_data(settings)["tfns"].examples
    path.write_text("".join(json.dumps({"id": e.id, "text": "\\boxed{neutral}"}) + "\n" for e in examples))
    return path


@pytest.fixture
def run(outputs: Path, tmp_path: Path) -> list[str]:
    """The command of a finished run in `tmp_path/run`."""
    command = ["run", "+model=replay", f"model.path={outputs}", "benchmark=[tfns]", "data=sample"]
    command.append(f"run_dir={tmp_path / 'run'}")
    assert main(command) == 0
    return command


@pytest.fixture
def folder(run: list[str], tmp_path: Path) -> Path:
    return tmp_path / "run"


def verify(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["verify", str(folder), *more])
    return code, capsys.readouterr().out


def change_answer(folder: Path, place: int = 4, text: str = "\\boxed{bearish}") -> str:
    """Give the answer on a line (from 0) another text; returns its id."""
    path = folder / "generations.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    fields = json.loads(lines[place])
    lines[place] = json.dumps({**fields, "text": text}) + "\n"
    path.write_text("".join(lines), encoding="utf-8")
    return str(fields["id"])


def test_an_untouched_run_is_right(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = verify(folder, capsys)
    assert code == 0
    assert f"chain: ok: {ANSWERS} answers, the last link is " in said
    assert f"record: ok: holds the same {ANSWERS} answers" in said
    assert "data: ok: " in said
    link = said.partition("the last link is ")[2][:32]
    with gzip.open(folder / RECORD_FILE, "rt") as file:
        assert json.loads(file.readline())["answers"] == {"count": ANSWERS, "link": link}


def test_an_edited_answer_stops_every_reader_and_can_be_mended(
    run: list[str], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = change_answer(folder)
    before = (folder / "generations.jsonl").read_bytes()
    for command in (run, ["score", str(folder)], ["keep", str(folder), f"results_dir={tmp_path / 'kept'}"]):
        capsys.readouterr()
        assert main(command) == 2
        line = capsys.readouterr().err.strip()
        assert len(line.splitlines()) == 1
        assert f'the answer to "tfns" "{changed}" (line 5) was changed' in line
    assert (folder / "generations.jsonl").read_bytes() == before
    code, said = verify(folder, capsys)
    assert code == 1
    assert f'chain: NOT AS IT WAS: the answer to "tfns" "{changed}"' in said

    code, said = verify(folder, capsys, "mend=true")
    assert code == 1  # the record has an answer that the folder has not: the run is to go on
    assert "mended: the answer" in said
    assert main(run) == 0
    assert "mended 1 times, 1 answers asked again" in capsys.readouterr().out
    code, said = verify(folder, capsys)
    assert code == 0
    assert f"{ANSWERS} answers" in said
    assert "it was mended 1 times" in said
    with gzip.open(folder / RECORD_FILE, "rt") as file:
        noted = json.loads(file.readline())["answers"]["mended"][0]
    assert [name[1] for name in noted["dropped"]] == [changed]


def test_answers_gone_from_the_end(run: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "generations.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-3]), encoding="utf-8")
    assert main(["score", str(folder)]) == 2
    assert "3 answers are gone from its end" in capsys.readouterr().err
    assert main(run) == 0
    assert path.read_text(encoding="utf-8") == "".join(lines)
    assert verify(folder, capsys)[0] == 0


def test_a_folder_of_an_older_version_is_read_as_ever(
    run: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "generations.jsonl"
    fields = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for each in fields:
        del each["after"], each["link"]
    path.write_text("".join(json.dumps(each) + "\n" for each in fields), encoding="utf-8")
    run_json = json.loads((folder / "run.json").read_text())
    del run_json["answers"]
    (folder / "run.json").write_text(json.dumps(run_json))
    assert main(["score", str(folder)]) == 0
    code, said = verify(folder, capsys)
    assert code == 0
    assert f"chain: not checked: none: an older version wrote these {ANSWERS} answers" in said
    with gzip.open(folder / RECORD_FILE, "rt") as file:
        assert "answers" not in json.loads(file.readline())
    assert main(run) == 0


def change_record(folder: Path) -> None:
    with gzip.open(folder / RECORD_FILE, "rt", encoding="utf-8") as file:
        content = file.read()
    with gzip.open(folder / RECORD_FILE, "wt", encoding="utf-8") as file:
        file.write(content.replace("\\\\boxed{neutral}", "\\\\boxed{bullish}", 1))


def change_data(folder: Path) -> None:
    run = json.loads((folder / "run.json").read_text())
    run["data"]["tfns"]["files"][0]["sha256"] = "0" * 64
    (folder / "run.json").write_text(json.dumps(run))


def change_weights(folder: Path) -> None:
    file = folder / "model.gguf"
    file.write_bytes(b"GGUF")
    run = json.loads((folder / "run.json").read_text())
    run["engine"]["weights"] = {"path": str(file), "sha256": "0" * 64}
    (folder / "run.json").write_text(json.dumps(run))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (change_record, "record: NOT AS IT WAS: its answer to"),
        (change_data, "data: NOT AS IT WAS"),
        (change_weights, "weights: NOT AS IT WAS"),
    ],
)
def test_what_else_was_changed(
    change: Callable[[Path], None], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(folder)
    code, shown = verify(folder, capsys)
    assert code == 1
    assert said in shown


def test_wrong_requests(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nothing").mkdir()
    for arguments in ([], [str(tmp_path / "nothing")], [str(folder), "ask=3"], [str(folder), "ask=-1"]):
        assert main(["verify", *arguments]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_shares_that_noise_explains_and_others() -> None:
    from evalkit.run.verify import Again

    def wrong(again: Again) -> list[str]:
        return [check.what for check in again.checks() if check.outcome == "wrong"]

    assert wrong(Again(20, 20, 15, 15, exact=True, foreign=0)) == []
    assert wrong(Again(20, 19, 15, 15, exact=True, foreign=0)) == ["texts"]
    assert wrong(Again(20, 13, 14, 15, exact=False, foreign=0)) == []
    assert wrong(Again(20, 2, 4, 15, exact=False, foreign=0)) == ["texts", "verdicts"]
    assert wrong(Again(20, 0, 0, 0, exact=False, foreign=20)) == ["engine"]
    assert [check.outcome for check in Again(2, 2, 0, 0, exact=True, foreign=0).checks()] == [
        "right",
        "unknown",
    ]


def test_a_run_json_that_a_kill_left_behind_its_answers(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from evalkit.run.generations import read_chain

    links = read_chain(folder / "generations.jsonl").links
    run = json.loads((folder / "run.json").read_text())
    run["answers"] = {"count": 5, "link": links[4]}
    (folder / "run.json").write_text(json.dumps(run))
    assert main(["score", str(folder)]) == 0
    with gzip.open(folder / RECORD_FILE, "rt") as file:
        assert json.loads(file.readline())["answers"] == {"count": ANSWERS, "link": links[-1]}
    assert verify(folder, capsys)[0] == 0
