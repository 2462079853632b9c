"""Two files of one's own, from the command line of README to a table that names them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from evalkit.files import BENCHMARKS
from tests.e2e.conftest import evalkit

SMALL = ("limit=1", "protocol.max_tokens=4", "backend.slots=1")


def test_two_files_are_swept_and_called_by_their_names(model_file: Path, tmp_path: Path) -> None:
    for name in ("first.gguf", "second.gguf"):
        (tmp_path / name).symlink_to(model_file)
    shutil.copytree(BENCHMARKS / "tfns" / "sample", tmp_path / "D" / "tfns")
    words = ("first.gguf", "second.gguf", "reference=second.gguf", "benchmark=tfns", "sweep.noise=none")
    done = evalkit("sweep", *words, "data=local", "data.dir=D", *SMALL, cwd=tmp_path, timeout=900)
    assert done.returncode == 0, done.stderr
    runs = sorted(path.name for path in (tmp_path / "results" / "runs").iterdir())
    assert runs == ["first", "second"]
    [sweep] = (tmp_path / "results" / "sweeps").glob("*/*")
    record = json.loads((sweep / "sweep.json").read_text(encoding="utf-8"))
    assert record["reference"] == "second"
    assert [member["title"] for member in record["members"]] == ["first", "second"]
    assert "first" in done.stdout
    assert "gguf" not in done.stdout.replace(str(tmp_path), "")
    for figure in sweep.glob("*.svg"):
        assert "model.path" not in figure.read_text(encoding="utf-8")
    # The same run by itself is found again, and compared by name.
    alone = evalkit("run", "first.gguf", "benchmark=tfns", "data=local", "data.dir=D", *SMALL, cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    assert len(list((tmp_path / "results" / "runs" / "first").iterdir())) == 1
    folders = [str(next((tmp_path / "results" / "runs" / name).iterdir())) for name in ("second", "first")]
    compared = evalkit("compare", *folders, cwd=tmp_path)
    assert compared.returncode == 0, compared.stderr
    assert "reference: second" in compared.stdout
