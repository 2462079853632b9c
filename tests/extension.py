"""evalkit with something more in it: a module beside its own, or a copy with further files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def module_beside(
    package: ModuleType, name: str, source: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """`package` has a module more, of this name and source, which lies in `folder`."""
    folder.mkdir()
    (folder / f"{name}.py").write_text(source)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    yield
    sys.modules.pop(f"{package.__name__}.{name}", None)


def copy_of_evalkit(tree: Path) -> Path:
    """evalkit and its data in the folder `tree`, to be added to."""
    for folder in ("evalkit", "configs", "benchmarks", "results/published"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tree


def run_copy(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the copy in `tree`."""
    return subprocess.run(
        [sys.executable, "-m", "evalkit", *arguments],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "400"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
