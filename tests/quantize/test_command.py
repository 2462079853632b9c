"""`evalkit quantize`: what it prints, and each wrong request in one line."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import pytest

from evalkit.commands.quantize import main
from evalkit.schema import UserError
from tests.quantize.conftest import real_quantizer, write_model


@real_quantizer
def test_a_ladder_is_built_and_kept(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(tiny), str(tmp_path / "out"), "+ladder=fin-r1", "ladder.recipes=[q8_0, q4_0]"]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    assert first.splitlines()[0].split() == ["q8_0", "1", "MB", "Tiny-q8_0.gguf"]
    assert first.splitlines()[-1].startswith("2 of 2 files are in ")
    assert main(arguments) == 0
    assert capsys.readouterr().out == first


@real_quantizer
def test_one_failed_file_does_not_stop_the_others(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(small), str(tmp_path), "ladder=fin-r1", "ladder.recipes=[q4_0,f16-q8_0]"]
    more = ["allow_requantize=true", "+ladder.recipes.q4_0.embeddings=Q6_K"]
    assert main([*arguments, *more]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("evalkit: q4_0 failed: ")
    assert "SmolLM2-135M-Instruct-f16-q8_0.gguf; requantized from Q4_1" in printed.out
    assert "1 of 2 files are in " in printed.out


@pytest.fixture
def here(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "page.gguf").write_text("<!doctype html><html><body>not found</body></html>")
    (tmp_path / "tiny.gguf").symlink_to(tiny)
    write_model(tmp_path / "part.gguf", parts=3)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("", "give the source and a folder"),
        ("tiny.gguf", "give the source and a folder"),
        ("tiny.gguf +ladder=fin-r1", "give the source and a folder"),
        ("tiny.gguf out", "no ladder given: add ladder=NAME"),
        ("tiny.gguf out +ladder=finr1", "no ladder named 'finr1'. Did you mean fin-r1?"),
        ("tiny.gguf out +ladder=fin-r1 ladder.recipes=[q4k]", "Did you mean q4_k?"),
        ("tiny.gguf out +ladder=fin-r1 ladder.recipes=", "give ladder.recipes=VALUE once"),
        ("tiny.gguf out +ladder=fin-r1 ladder.recipes.q4_0.type=Q4_7", "recipe q4_0: no type 'Q4_7'"),
        ("tiny.gguf out +ladder=fin-r1 alow_requantize=true", "no such setting: 'alow_requantize'"),
        ("tiny.gguf out +ladder=fin-r1 allow_requantize=maybe", "write true or false"),
        ("tiny.gguf out +ladder=fin-r1 quantizer=nowhere", "no executable 'nowhere'"),
        ("tiny.gguf out +ladder=fin-r1 imatrix=nowhere", "nowhere is not a file"),
        ("nowhere.gguf out +ladder=fin-r1", "nowhere.gguf is not a file"),
        ("page.gguf out +ladder=fin-r1", "does not begin with GGUF"),
        ("part.gguf out +ladder=fin-r1", "one of 3 parts"),
    ],
)
def test_wrong_requests(arguments: str, says: str, here: Path) -> None:
    before = sorted(here.rglob("*"))
    with pytest.raises(UserError) as caught:
        main(arguments.split())
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(here.rglob("*")) == before


@real_quantizer
def test_wrong_folders(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"page\.gguf is a file: give a folder"):
        main(["tiny.gguf", "page.gguf", "+ladder=fin-r1"])
    with pytest.raises(UserError, match="cannot write to"):
        main(["tiny.gguf", "page.gguf/out", "+ladder=fin-r1"])
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(1 << 26))
    with pytest.raises(UserError, match=r"Not enough disk for tiny-bf16\.gguf: it needs 2 MB, out has 67 MB"):
        main(["tiny.gguf", "out", "+ladder=fin-r1"])
    assert not list((here / "out").glob("*.gguf"))


@real_quantizer
def test_a_quantized_source_needs_the_flag(small: Path, here: Path) -> None:
    with pytest.raises(UserError, match=r"already quantized \(Q4_1\).*allow_requantize=true"):
        main([str(small), "out", "+ladder=fin-r1"])
    assert not (here / "out").exists()
