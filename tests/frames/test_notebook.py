"""notebooks/analysis.ipynb: runs from top to bottom, and is kept without outputs."""

from __future__ import annotations

import base64
import json
import struct
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "analysis.ipynb"
COMMITTED = ROOT / "results" / "records"


def execute(results: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Run the notebook on these records; what its cells put out, as text and HTML."""
    # Imported by name: neither has types.
    nbformat, nbclient = import_module("nbformat"), import_module("nbclient")
    monkeypatch.setenv("EVALKIT_RESULTS", str(results))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    where = {"metadata": {"path": str(NOTEBOOK.parent)}}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=where).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output["data"] for output in outputs if "data" in output]
    assert [output for output in outputs if output["output_type"] == "stream"] == []
    pictures = [base64.b64decode(each["image/png"]) for each in shown if "image/png" in each]
    assert pictures
    # A label that goes astray makes a picture of gigapixels.
    assert all(max(struct.unpack(">II", picture[16:24])) < 3000 for picture in pictures)
    text, html = ("\n".join(each.get(f"text/{kind}", "") for each in shown) for kind in ("plain", "html"))
    return text, html


def test_it_runs_on_records_without_costs(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, html = execute(results, monkeypatch)
    for shown in ("right_to_wrong", "wrong_number", "unscored", "DeepSeek-R1", "iq3_xs"):
        assert shown in text
    assert "<mark>" in html
    assert "&lt;script" in html
    assert "<script" not in html


@pytest.mark.skipif(not COMMITTED.is_dir(), reason="no records are kept in this checkout")
def test_it_runs_on_the_records_of_this_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "right_to_wrong" in execute(COMMITTED, monkeypatch)[0]


def test_it_is_kept_without_outputs() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 5
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    assert all(cell["metadata"] == {} for cell in notebook["cells"])
    assert notebook["metadata"].keys() == {"kernelspec", "language_info"}


@pytest.mark.parametrize("check", [["format", "--check"], ["check"]])
def test_its_cells_are_formatted_and_clean(check: list[str]) -> None:
    ruff = [sys.executable, "-m", "ruff", *check, str(NOTEBOOK)]
    done = subprocess.run(ruff, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
