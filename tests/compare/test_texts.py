"""Whether two runs of one file said the same, and where they leave each other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from evalkit.__main__ import main
from tests.compare.helpers import edit_json, edit_records, examples, run

ASKED = ("benchmark=tfns",)


def _same_file(folder: Path, **more: str) -> None:
    def change(content: dict[str, Any]) -> None:
        content["engine"] |= {"weights_sha256": "ab", **more}

    edit_json(folder / "run.json", change)


@pytest.fixture
def copies(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs of one file that said the same, the second with a draft model."""
    first = run(tmp_path / "first", {}, *ASKED)
    second = tmp_path / "second"
    shutil.copytree(first, second)
    _same_file(first)
    _same_file(second, draft_sha256="cd")
    return first, second


def compared(copies: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> tuple[str, Any]:
    words = ["compare", *map(str, copies)]
    capsys.readouterr()
    assert main([*words, "details=true"]) == 0
    shown = capsys.readouterr().out
    assert main([*words, "json=true"]) == 0
    return shown, json.loads(capsys.readouterr().out)["texts"]


def test_the_same_texts(copies: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    count = len(examples(*ASKED))
    shown, found = compared(copies, capsys)
    assert f"{count} of {count} texts are the same to the letter." in shown
    assert "what differs here comes of how they are served, or is noise" in shown
    assert found == {"answers": count, "same": count, "first": None}


def test_the_first_difference(copies: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    which, other = examples(*ASKED)[2].id, examples(*ASKED)[4].id

    def longer(record: dict[str, Any]) -> None:
        if record["id"] in (which, other):
            record["text"] += "\nAnd so on."

    edit_records(copies[1], longer)
    shown, found = compared(copies, capsys)
    count, first = len(examples(*ASKED)), found["first"]
    assert (found["answers"], found["same"]) == (count, count - 2)
    assert first["id"] in (which, other)
    assert (first["reference"], first["candidate"]) == ("", "\nAnd so on.")
    assert (
        f"{count - 2} of {count} texts are the same to the letter; tfns `{first['id']}` is the first" in shown
    )
    assert f"after {first['at']} characters: its end against" in shown


def test_of_two_files_nothing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sides = (run(tmp_path / "a", {}, *ASKED), run(tmp_path / "b", {}, *ASKED))
    shown, found = compared(sides, capsys)
    assert found is None
    assert "to the letter" not in shown
