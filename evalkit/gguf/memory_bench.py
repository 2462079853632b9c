"""Predicted memory against measured, on files with a model's exact geometry."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.backends.llama_options import find_binary
from evalkit.errors import UserError
from evalkit.gguf.full_context import peak_memory, save_state, server_options, shortest_context
from evalkit.gguf.header import GGUFHeader, read_header
from evalkit.gguf.memory import Memory, predicted_memory
from evalkit.gguf.synthetic import Geometry, build_named, file_bytes, write

_SPARE = 4 << 30  # bytes of disk beside the file: saved states and a thin model


@dataclass(frozen=True, slots=True)
class Measurement:
    """One file served in one way. Sizes in bytes; `context` is tokens per slot."""

    recipe: str
    context: int
    slots: int
    file_bytes: int
    predicted: Memory
    peak: int

    @property
    def ratio(self) -> float:
        """Predicted over measured."""
        return self.predicted.total / self.peak


def measurements(
    recipes: Sequence[str],
    geometry: Geometry,
    contexts: Sequence[int],
    slots: Sequence[int],
    *,
    flash_attention: bool,
    folder: Path,
    say: Callable[[str], None],
) -> Iterator[Measurement]:
    """Write each file into `folder`, serve it with full slots in each way, delete it.

    The saved states stay in `folder` until the caller removes it: all recipes share them.

    Raises:
        UserError: no engine, an unknown recipe, a context too short, or not enough disk, before anything is
            written; or a server that cannot serve.
    """
    find_binary(None)
    builds = {recipe: build_named(recipe) for recipe in recipes}
    short = next((context for context in contexts if context < shortest_context()), None)
    if short is not None:
        raise UserError(
            f"context={short}: at least {shortest_context()} tokens are needed to fill it this way"
        )
    if max(contexts) > geometry.context:
        raise UserError(
            f"context={max(contexts)}: the model has {geometry.context}; give fewer tokens per slot"
        )
    _require_disk(folder, max(file_bytes(geometry, build) for build in builds.values()) + _SPARE)
    states: dict[tuple[int, int], str] = {}
    for recipe, build in builds.items():
        path = folder / f"{recipe}.gguf"
        say(f"{recipe}: writing {file_bytes(geometry, build) / 1e9:.2f} GB")
        write(path, geometry, build, f"synthetic {recipe}")
        try:
            header = read_header(path)
            for context in contexts:
                for count in slots:
                    say(f"{recipe}: serving {count} x {context} tokens")
                    run = _Run(context, count, flash_attention, folder)
                    if (context, count) not in states:
                        states[context, count] = run.state(path, geometry)
                    yield run.measure(recipe, header, states[context, count])
        finally:
            path.unlink()


@dataclass(frozen=True, slots=True)
class _Run:
    """One way of serving."""

    context: int
    slots: int
    flash_attention: bool
    folder: Path

    def state(self, path: Path, geometry: Geometry) -> str:
        options = server_options(path, self.context, self.slots, flash_attention=self.flash_attention)
        return asyncio.run(save_state(geometry, options, self.folder))

    def measure(self, recipe: str, header: GGUFHeader, state: str) -> Measurement:
        flash = self.flash_attention
        options = server_options(header.path, self.context, self.slots, flash_attention=flash)
        peak = asyncio.run(peak_memory(options, self.folder, state))
        predicted = predicted_memory(header, context=self.context, slots=self.slots, flash_attention=flash)
        return Measurement(recipe, self.context, self.slots, header.file_size, predicted, peak)


def _require_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB needed: give another dir=DIR"
        )
