"""Fidelity as a part of a sweep of files that are made, measured and removed, with the real small model."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.__main__ import main
from evalkit.schema import UserError
from evalkit.sweep.record import read_sweep
from tests.fidelity.conftest import engine

pytestmark = engine


def words(folder: Path, *more: str) -> list[str]:
    return [
        *("sweep", "smollm2-ladder", "sweep.recipes=[q4_0,q6_k,q8_0]", "reference=smollm2-135m-q8_0"),
        *("data=sample", "benchmark=tfns", "limit=3", "protocol.max_tokens=6", "sweep.noise=none"),
        *("backend.slots=1", "backend.threads=1", f"results_dir={folder}", f"sweep.dir={folder / 'sweep'}"),
        *more,
    ]


def test_a_file_is_measured_before_it_is_removed_and_known_ever_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(_own_cache(tmp_path)))
    record = tmp_path / "sweep" / "sweep.json"

    def missing() -> str:
        raise UserError("fidelity needs a library")

    with monkeypatch.context() as without:
        without.setattr("evalkit.sweep.fidelity.require_library", missing)
        assert main(words(tmp_path)) == 0, "the sweep goes on"
    said = capsys.readouterr().err
    assert said.count("fidelity was not measured: fidelity needs a library") == 1
    assert read_sweep(record).notes[-1] == "fidelity was not measured: fidelity needs a library"
    assert all(member.fidelity is None for member in read_sweep(record).members)

    given = words(tmp_path, "sweep.delete_weights=true")
    assert main(given) == 0
    assert not list((tmp_path / "cache").rglob("*q4_0*.gguf")), "it was to be removed"
    sweep, before = read_sweep(record), record.read_bytes()
    reference, other = sweep.member("smollm2-135m-q8_0"), sweep.member("smollm2-135m-q4_0")
    assert reference.fidelity is None
    found = other.fidelity
    assert found is not None
    assert list(found.parts) == ["tfns"]
    assert found.answers == 3
    whole = found.overall
    assert 0.01 < whole.kl.value < 2
    assert whole.kl.n == 3
    assert 0.2 < whole.agreement.value < 1
    assert whole.noise is not None
    assert whole.noise.value < 0.5
    (traced,) = found.traces
    assert traced.benchmark == "tfns"
    assert any(mark.instead for mark in traced.marks), "a coarse file of a tiny model leaves it"
    nearer = sweep.member("smollm2-135m-q6_k").fidelity
    assert nearer is not None
    (paired,) = sweep.kl_differences
    assert (paired.benchmark, paired.file, paired.other) == ("tfns", "smollm2-135m-q4_0", "smollm2-135m-q6_k")
    assert paired.kl.value == pytest.approx(whole.kl.value - nearer.overall.kl.value)
    assert paired.kl.n == 3
    assert "KL" in capsys.readouterr().err
    assert "## Fidelity to the reference" in (tmp_path / "sweep" / "report.md").read_text()

    # What is known needs neither files nor the library; of what is not, files would be needed.
    monkeypatch.setattr("evalkit.sweep.fidelity.require_library", missing)
    assert main(given) == 0
    assert record.read_bytes() == before
    assert main([*given, "fidelity=1"]) == 0
    assert capsys.readouterr().err.count("was not measured: no file is there any more") == 1
    assert read_sweep(record).member("smollm2-135m-q4_0").fidelity is None
    assert not read_sweep(record).kl_differences
    assert main([*given, "fidelity=none"]) == 0
    assert "fidelity" not in capsys.readouterr().err
    assert not [note for note in read_sweep(record).notes if "fidelity" in note]


def _own_cache(folder: Path) -> Path:
    """A cache of files to be built in, with the downloads of the shared one."""
    from evalkit.files import cache_dir

    own = folder / "cache"
    own.mkdir()
    for each in cache_dir().iterdir():
        if each.name == "pypi":
            (own / each.name).symlink_to(each.resolve())
    return own
