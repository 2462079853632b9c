"""`evalkit models`: what can be named after `evalkit run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evalkit.config.settings import BackendSettings, ModelSettings, RunSettings

HELP = """
usage: evalkit models [json=true]

List the models that `evalkit run NAME` knows: size, memory, backend, licence, source; then what else can be
run, and what only has a row in the published table. A size "by its card" is only implied by what the card
says of the tensors: the file may differ. Memory: for GGUF files that of llama.cpp's server on a CPU with four
slots of 8,192 tokens, predicted (`evalkit fit` has other shapes); for models that vLLM serves, the GPU memory
for eight requests of 8,192 tokens at a time, and GPUs that have it.
"""

# Whatever the user gives: no model of ours, but a way to run one.
_WAYS = {
    "gguf": (
        "evalkit run FILE.gguf",
        "a GGUF file of yours, also hf:OWNER/REPO/FILE and https://.../FILE.gguf",
    ),
    "endpoint": ("evalkit run URL", "a model behind an OpenAI-compatible URL: http://localhost:11434/v1"),
    "replay": ("evalkit run FILE.jsonl", "outputs made elsewhere, to be scored here"),
}


_CONTEXT, _SLOTS = 8192, 4


def main(arguments: Sequence[str]) -> int:
    from evalkit.config.extensions import listed
    from evalkit.config.options import read_arguments
    from evalkit.schema import UserError
    from evalkit.text import output_console, printable, show_names, write_json

    given = read_arguments("models", arguments, {"json": "false"})
    if given.places:
        raise UserError(f"models takes no arguments but json=true, got {printable(given.places[0])!r}")
    as_json = given.truth("json")
    found = own_models()
    if as_json:
        write_json([_line(name, run) for name, run in found.items()])
        return 0
    console = output_console()
    header = ("name", "size", "memory", "parameters", "backend", "title", "licence", "source")
    rows = [_row(name, run) for name, run in found.items() if not run.model.published_only]
    show_names(console, "Models by name: evalkit run NAME", header, rows)
    console.print()
    if added := listed("model"):
        show_names(console, "From your folders and packages", ("name", "title", "from"), added)
        console.print()
    ways = [(name, *what) for name, what in _WAYS.items()]
    show_names(console, "Anything else", ("name", "command", "what"), ways)
    console.print()
    closed = [(name, run.model.title) for name, run in found.items() if run.model.published_only]
    show_names(
        console, "In the published table only: the weights were not released", ("name", "title"), closed
    )
    return 0


def own_models() -> dict[str, RunSettings]:
    """A run of each model by name, without the ways to run one of the user's."""
    from evalkit.config.overrides import own_names
    from evalkit.config.settings import model_runs

    return model_runs(name for name in own_names("model") if name not in _WAYS)


@dataclass(frozen=True, slots=True)
class ModelLine:
    """A model by name. Sizes in bytes; `size_source`: who says so; `needs`: memory in words, for vLLM."""

    name: str
    title: str
    published_only: bool
    size_bytes: int | None
    size_source: str | None
    memory_bytes: int | None
    needs: str
    parameters: int | None
    backend: str
    licence: str | None
    source: str


def _line(name: str, run: RunSettings) -> ModelLine:
    from evalkit.engines import stated_needs
    from evalkit.weights.memory import stated_memory

    model, backend = run.model, run.backend
    stated = stated_memory(model, context=_CONTEXT, slots=_SLOTS) if backend.kind == "llama_cpp" else None
    return ModelLine(
        name=name,
        title=model.title,
        published_only=model.published_only,
        size_bytes=model.size_bytes,
        size_source=model.size_source,
        memory_bytes=stated.total if stated else None,
        needs="" if stated or model.published_only else stated_needs(model, backend),
        parameters=model.parameters,
        backend=backend.kind,
        licence=model.licence,
        source="" if model.published_only else _source(model, backend),
    )


def _row(name: str, run: RunSettings) -> tuple[str, ...]:
    from evalkit.text import parameters_text, size_text

    line = _line(name, run)
    return (
        name,
        _size(line),
        size_text(line.memory_bytes, up=True) if line.memory_bytes is not None else line.needs,
        parameters_text(line.parameters),
        line.backend,
        line.title,
        line.licence or "-",
        line.source,
    )


def _size(line: ModelLine) -> str:
    from evalkit.text import file_size

    size = file_size(line.size_bytes) if line.size_bytes else "-"
    return f"{size} by its card" if line.size_source == "card" else size


def _source(model: ModelSettings, backend: BackendSettings) -> str:
    source = model.source
    if source is None:
        return "OPENAI_BASE_URL" if backend.is_service else "model.path=FILE"
    kind, what = next((kind, what) for kind in ("hf", "url", "pypi") if (what := getattr(source, kind)))
    return f"{kind}: {what}{f' {source.file}' if source.file else ''}"
