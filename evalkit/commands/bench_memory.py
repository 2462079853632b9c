"""`evalkit bench memory`: predicted memory against the peak of a real server with full slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from evalkit.gguf.memory_bench import Measurement
    from evalkit.gguf.synthetic import Geometry

_MIB = 2**20
_SETTINGS = ("recipe", "slots", "flash_attention", "dir")


def main(arguments: Sequence[str]) -> int:
    """Returns 0; what was measured is printed as it comes, then as a table."""
    import tempfile
    from pathlib import Path

    from rich.console import Console

    from evalkit.errors import UserError
    from evalkit.gguf.memory_bench import measurements
    from evalkit.gguf.settings import SHAPE, settings, shape, switch, wholes
    from evalkit.report.console import output_console

    options = settings("bench memory", arguments, (*_SETTINGS, *SHAPE))
    contexts = wholes("context", options.pop("context", "4096,8192"))
    geometry = shape(options)
    parent = Path(options["dir"]).expanduser() if "dir" in options else None
    if parent is not None and not parent.is_dir():
        raise UserError(f"dir={parent}: no such folder")
    progress = Console(stderr=True)
    found: list[Measurement] = []
    with tempfile.TemporaryDirectory(prefix="evalkit-memory-", dir=parent) as folder:
        for one in measurements(
            options.get("recipe", "q4_0,q8_0").strip("[]").split(","),
            geometry,
            contexts,
            wholes("slots", options.get("slots", "1,4")),
            flash_attention=switch("flash_attention", options.get("flash_attention", "off")),
            folder=Path(folder),
            say=lambda line: progress.print(line, highlight=False, markup=False),
        ):
            progress.print(f"{one.recipe}: {one.peak / _MIB:,.0f} MiB, {one.ratio:.3f}", highlight=False)
            found.append(one)
    _print(found, geometry, output_console())
    return 0


def _print(found: Sequence[Measurement], geometry: Geometry, console: Console) -> None:
    from rich.table import Table

    memory = Table(title="resident memory, MiB", title_justify="left", box=None)
    parts = ("weights", "kv", "compute", "process")
    for name in ("recipe", "slots x context", *parts, "predicted", "measured", "predicted / measured"):
        memory.add_column(name, justify="left" if name == "recipe" else "right")
    for one in found:
        sizes = [*(getattr(one.predicted, part) for part in parts), one.predicted.total, one.peak]
        cells = (f"{size / _MIB:,.0f}" for size in sizes)
        memory.add_row(one.recipe, f"{one.slots} x {one.context}", *cells, f"{one.ratio:.3f}")
    console.print(memory)
    files = Table(
        "recipe", "file, GB", "expected", "/ expected", title="file size", title_justify="left", box=None
    )
    for recipe, size in {one.recipe: one.file_bytes for one in found}.items():
        expected = _expected(recipe, geometry)
        beside = (f"{expected / 1e9:.2f}", f"{size / expected:.3f}") if expected else ("-", "-")
        files.add_row(recipe, f"{size / 1e9:.3f}", *beside)
    console.print(files)


def _expected(recipe: str, geometry: Geometry) -> int | None:
    """The size of Fin-R1's file of that recipe, as its config gives it; of other geometries none is known."""
    from omegaconf import OmegaConf

    from evalkit.gguf.synthetic import Geometry
    from evalkit.paths import CONFIGS

    config = CONFIGS / "model" / f"fin-r1-{recipe}.yaml"
    if geometry != Geometry() or not config.is_file():
        return None
    size = OmegaConf.select(OmegaConf.load(config), "size_bytes")
    return int(size) if size else None
