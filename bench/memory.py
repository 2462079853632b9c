"""`python -m bench memory`: predicted memory against the peak of a real server with full slots.

Peak memory of the real engine child with every slot's context full, without computing full contexts.

A KV cache depends on layers and KV heads only. So a thin donor model with the same ones computes a nearly
full context once, in seconds; its state is restored into every slot of the model under test, which then
computes the last micro-batch itself: that touches the attention scores at their widest.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.synthetic import Build, Geometry, build_named, file_bytes, write
from evalkit.engines.child import ChildServer, Launch
from evalkit.engines.llama_cpp import ServerOptions, find_binary
from evalkit.engines.measure import PeakMemory
from evalkit.schema import EngineUnusable, Memory, UserError
from evalkit.weights.gguf import GGUFHeader, read_header
from evalkit.weights.gguf import geometry as geometry_of
from evalkit.weights.memory import predicted_memory

if TYPE_CHECKING:
    from rich.console import Console


_MIB = 2**20
_DEFAULTS = {
    "file": "",
    "recipe": "",
    "context": "4096,8192",
    "slots": "1,4",
    "flash_attention": "off",
    "dir": "",
}
_RECIPES = ["q4_0", "q8_0"]


HELP = """
usage: python -m bench memory [recipe=q4_0,q8_0] [context=4096,8192] [slots=1,4] [dir=DIR]
                      [flash_attention=off] [layers=28] [KEY=VALUE ...]
       python -m bench memory file=A.gguf[,B.gguf] [context=4096,8192] [slots=1,4] [flash_attention=off]

Predicted memory against measured, of real files (file=) or of random weights. Without file= it writes a file
of random weights in Qwen2.5-7B's geometry (layers=, hidden=, ... change it) for each recipe into DIR
(default: a temporary folder) and deletes it in the end. Each file is served in the real engine's child with
every slot's context full; measured is the peak of its resident memory.
`python -m bench synthetic --help` lists recipes and geometry.

examples:
  python -m bench memory recipe=q4_0 context=2048 layers=2
  python -m bench memory file=qwen2.5-coder-1.5b-instruct-q4_k_m.gguf context=4096 slots=4
"""


def main(arguments: Sequence[str]) -> int:
    """Returns 0; what was measured is printed as it comes, then as a table."""
    import tempfile
    from pathlib import Path

    from rich.console import Console

    from bench.synthetic import SHAPE, shape
    from evalkit.config.options import no_places, read_arguments
    from evalkit.schema import UserError
    from evalkit.text import output_console

    given = no_places(read_arguments("bench memory", arguments, {**SHAPE, **_DEFAULTS}))
    geometry, parent = shape(given, without=["context"]), given.path("dir")
    if parent is not None and not parent.is_dir():
        raise UserError(f"dir={parent}: no such folder")
    files = [Path(name).expanduser() for name in given.names("file")]
    random = [key for key in ("recipe", *SHAPE) if given.text(key) != {**SHAPE, **_DEFAULTS}[key]]
    if files and (mixed := next((key for key in random if key != "context"), None)):
        raise UserError(f"{mixed}= is of random weights: leave it out beside file=")
    progress = Console(stderr=True)

    def say(line: str) -> None:
        progress.print(line, highlight=False, markup=False)

    slots, flash = given.wholes("slots"), given.truth("flash_attention")
    found: list[Measurement] = []
    with tempfile.TemporaryDirectory(prefix="evalkit-memory-", dir=parent) as folder:
        bench = Bench(given.wholes("context"), slots, flash, Path(folder), say)
        recipes = given.names("recipe") or _RECIPES
        for one in bench.of_files(files) if files else bench.of_recipes(recipes, geometry):
            say(f"{one.recipe}: {one.peak / _MIB:,.0f} MiB, {one.ratio:.3f}")
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

    from bench.synthetic import Geometry
    from evalkit.files import CONFIGS

    config = CONFIGS / "model" / f"fin-r1-{recipe}.yaml"
    if geometry != Geometry() or not config.is_file():
        return None
    size = OmegaConf.select(OmegaConf.load(config), "size_bytes")
    return int(size) if size else None


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


@dataclass(frozen=True, slots=True)
class Bench:
    """Every file served in each way. The saved states stay in `folder`: files of one geometry share them."""

    contexts: Sequence[int]
    slots: Sequence[int]
    flash_attention: bool
    folder: Path
    say: Callable[[str], None]
    states: dict[tuple[Geometry, int, int], str] = field(default_factory=dict)

    def of_recipes(self, recipes: Sequence[str], geometry: Geometry) -> Iterator[Measurement]:
        """Write a file of random weights for each recipe into `folder`, serve it, delete it.

        Raises:
            UserError: no engine, an unknown recipe, a context too short, or not enough disk, before anything
                is written; or a server that cannot serve.
        """
        builds = {recipe: build_named(recipe) for recipe in recipes}
        self._require(geometry, max(file_bytes(geometry, build) for build in builds.values()))
        for recipe, build in builds.items():
            path = self.folder / f"{recipe}.gguf"
            self.say(f"{recipe}: writing {file_bytes(geometry, build) / 1e9:.2f} GB")
            write(path, geometry, build, f"synthetic {recipe}")
            try:
                yield from self._served(recipe, read_header(path), geometry)
            finally:
                path.unlink()

    def of_files(self, paths: Sequence[Path]) -> Iterator[Measurement]:
        """Serve files as they are.

        Raises:
            UserError: no engine, no usable file, a context too short or too long, or not enough disk for the
                saved states; or a server that cannot serve.
        """
        headers = [read_header(path.absolute()) for path in paths]
        for header in headers:
            self._require(_geometry(header), 0)
        for header in headers:
            yield from self._served(header.path.name, header, _geometry(header))

    def _require(self, geometry: Geometry, size: int) -> None:
        find_binary(None)
        short = next((context for context in self.contexts if context < shortest_context()), None)
        if short is not None:
            raise UserError(
                f"context={short}: at least {shortest_context()} tokens are needed to fill it this way"
            )
        if max(self.contexts) > geometry.context:
            raise UserError(
                f"context={max(self.contexts)}: the model has {geometry.context}; give fewer tokens per slot"
            )
        _require_disk(self.folder, size + _SPARE)

    def _served(self, name: str, header: GGUFHeader, geometry: Geometry) -> Iterator[Measurement]:
        cache = replace(thin(geometry), context=geometry.context)
        for context in self.contexts:
            for count in self.slots:
                self.say(f"{name}: serving {count} x {context} tokens")
                run = _Run(context, count, self.flash_attention, self.folder)
                key = (cache, context, count)
                if key not in self.states:
                    self.states[key] = run.state(header.path, geometry)
                yield run.measure(name, header, self.states[key])


def _geometry(header: GGUFHeader) -> Geometry:
    """What of a file's shape decides its KV cache, as a geometry whose thin model has the same one.

    Raises:
        UserError: the header does not state it, or keys and values differ in width.
    """
    found = geometry_of(header)
    layers, heads, dim = (found[name] for name in ("layers", "kv_heads", "head_dim"))
    if not (layers and heads and dim) or found["value_dim"] != dim or header.architecture != "qwen2":
        raise UserError(
            f"{header.path.name}: only a dense qwen2 model with heads of one width can be filled this way"
        )
    trained = header.n_ctx_train or Geometry().context
    return Geometry(layers=layers, kv_heads=heads, head_dim=dim, context=trained)


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


_MICRO_BATCH = 512  # llama.cpp's default n_ubatch
_ANSWER = 4  # tokens decoded in each slot at the end
_TIMEOUT = 3600.0  # seconds for one request: the last micro-batch of a large model on a slow CPU


def restored_tokens(context: int) -> int:
    """How many tokens of a slot come from the saved state: the rest is one micro-batch and the answer."""
    return context - _MICRO_BATCH - _ANSWER


def shortest_context() -> int:
    """Tokens per slot below which there would be nothing to restore."""
    return 2 * _MICRO_BATCH


def thin(geometry: Geometry) -> Geometry:
    """The smallest model with the same KV cache."""
    width = geometry.kv_heads * geometry.head_dim
    return replace(geometry, hidden=width, feed_forward=256, heads=geometry.kv_heads, vocabulary=1024)


async def save_state(geometry: Geometry, options: ServerOptions, folder: Path) -> str:
    """Compute the state of a nearly full slot with a thin model; the name of its file in `folder`.

    `options`: those of the runs to come; of them context, slots and flash attention decide whether it fits.
    """
    donor = folder / "thin.gguf"
    shape = thin(geometry)
    name = f"state-{shape.layers}-{shape.hidden}-{options.context}-{options.slots}.bin"
    write(donor, shape, Build("Q8_0"))
    try:
        async with serving(replace(options, model=str(donor)), folder, PeakMemory()) as post:
            await post("/completion", _request(0, restored_tokens(options.context), predict=1))
            await post("/slots/0?action=save", {"filename": name})
    finally:
        donor.unlink()
    return name


async def peak_memory(options: ServerOptions, folder: Path, state: str) -> int:
    """Bytes of resident memory at most, from the start to all slots full and answering together."""
    memory = PeakMemory()
    known = restored_tokens(options.context)
    async with serving(options, folder, memory) as post:
        for slot in range(options.slots):
            await post(f"/slots/{slot}?action=restore", {"filename": state})
        await post("/completion", _request(0, known + _MICRO_BATCH))
        await asyncio.gather(
            *(post("/completion", _request(slot, known + _ANSWER)) for slot in range(1, options.slots))
        )
    return memory.bytes


def server_options(model: Path, context: int, slots: int, *, flash_attention: bool) -> ServerOptions:
    """What evalkit's llama.cpp backend would start on a CPU with these settings."""
    import psutil

    return ServerOptions(
        model=str(model),
        slots=slots,
        context=context,
        threads=psutil.cpu_count(logical=False) or 1,
        gpu_layers=0,
        flash_attention="on" if flash_attention else "off",
        chat_template=None,
        port=None,
        key=secrets.token_urlsafe(24),
    )


def _request(slot: int, tokens: int, predict: int = _ANSWER) -> dict[str, Any]:
    """A prompt of `tokens` byte tokens; a longer one begins with a shorter one."""
    return {
        "prompt": [33 + 7 * i % 200 for i in range(tokens)],
        "id_slot": slot,
        "n_predict": predict,
        "cache_prompt": True,
        "ignore_eos": True,
        "temperature": 0.0,
    }


@asynccontextmanager
async def serving(options: ServerOptions, folder: Path, memory: PeakMemory) -> AsyncIterator[Any]:
    """A running child; yields a function that posts to it. `memory` has the peak afterwards.

    Raises:
        UserError: it does not start, refuses, or dies, as it does on a machine without enough memory.
    """
    server = ChildServer("llama.cpp", folder / "server.log", _TIMEOUT)
    server.memory = memory
    started_with = {**asdict(options), "key": server.key, "state_dir": f"{folder}/"}
    line = json.dumps(started_with).encode() + b"\n"
    try:
        await server.start(Launch("llama.cpp", [sys.executable, "-m", "bench.slot_host"], first_line=line))
        yield server.post
    except EngineUnusable as error:
        how = f"llama.cpp could not serve {options.slots} x {options.context} tokens"
        raise UserError(f"{how} of {Path(options.model).name}: {str(error)[:300]}") from error
    finally:
        await server.stop()
