"""An export format is one file: a module beside the others is listed, and writes the runs it is given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evalkit import export
from evalkit.__main__ import main
from evalkit.export import formats
from evalkit.run.info import Run
from evalkit.run.record import RECORD_FILE, to_bytes
from tests.extension import module_beside

MODULE = '''
"""Plain text: a line per run and benchmark."""

from evalkit.export import write_export
from evalkit.metrics import results


def export(runs, out):
    lines = [f"{run.info.run_id} {name} {result.n}" for run in runs for name, result in results(run).items()]
    return write_export([("plain.txt", "\\n".join(lines) + "\\n")], out)
'''


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A format more, called plain."""
    with module_beside(export, "plain", MODULE, tmp_path / "modules", monkeypatch):
        yield


@pytest.mark.usefixtures("plain")
def test_a_new_format_is_one_module(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "plain" in formats()
    record, out = tmp_path / "run" / RECORD_FILE, tmp_path / "out"
    record.parent.mkdir()
    record.write_bytes(to_bytes(run))
    assert main(["export", "plain", str(record.parent), str(out)]) == 0
    assert capsys.readouterr().out.split() == [str(out / "plain.txt")]
    lines = (out / "plain.txt").read_text().splitlines()
    assert f"{run.info.run_id} tfns 7" in lines
    assert len(lines) == len(run.info.benchmarks)


def test_a_format_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "plain", "RUN", "OUT"]) == 2
    assert "no format 'plain'" in capsys.readouterr().err
