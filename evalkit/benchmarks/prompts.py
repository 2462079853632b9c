"""Prompt templates: files in benchmarks/<name>/ or of the user's, filled with text that stays text."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound
from jinja2.sandbox import SandboxedEnvironment

from evalkit.config.extensions import benchmark_folder, prompt_file
from evalkit.files import BENCHMARKS
from evalkit.schema import UserError


@cache
def _environment(folder: Path) -> SandboxedEnvironment:
    return SandboxedEnvironment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        autoescape=False,  # a prompt is plain text, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _file(benchmark: str, template: str) -> Path:
    """The bundled template of that name, a file of the user's, or one in a folder of theirs."""
    bundled = BENCHMARKS / benchmark / template
    if bundled.is_file():
        return bundled
    own = Path(template).expanduser()
    if own.is_file():
        return own.absolute()
    added = benchmark_folder(benchmark) / template
    return added if added.is_file() else prompt_file(template) or bundled


def render(benchmark: str, template: str, **values: object) -> str:
    """The text of `benchmarks/<benchmark>/<template>`, or of the file `template`, filled with `values`.

    Values are inserted once and never read as a template: a tweet with `{{` keeps it. Raises UserError for a
    template that is missing or broken.
    """
    try:
        file = _file(benchmark, template)
        return _environment(file.parent).get_template(file.name).render(**values)
    except TemplateNotFound as error:
        raise UserError(_missing(benchmark, template)) from error
    except TemplateError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{template}: the template of {benchmark} cannot be rendered: {reason}") from error


def fingerprint(benchmark: str, template: str) -> str:
    """The sha256 of a template file, for the run's provenance.

    Raises UserError where there is no such file.
    """
    try:
        return hashlib.sha256(_file(benchmark, template).read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(_missing(benchmark, template)) from error


def _missing(benchmark: str, template: str) -> str:
    folder = BENCHMARKS / benchmark
    return f"benchmark.{benchmark}.prompt={template}: no such file, and no such template in {folder}"
