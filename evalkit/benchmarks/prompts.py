"""Prompt templates: files in benchmarks/<name>/, filled with upstream text that stays text."""

from __future__ import annotations

import hashlib
from functools import cache

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound
from jinja2.sandbox import SandboxedEnvironment

from evalkit.errors import UserError
from evalkit.paths import BENCHMARKS


@cache
def _environment(benchmark: str) -> SandboxedEnvironment:
    return SandboxedEnvironment(
        loader=FileSystemLoader(BENCHMARKS / benchmark),
        undefined=StrictUndefined,
        autoescape=False,  # a prompt is plain text, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(benchmark: str, template: str, **values: object) -> str:
    """The text of `benchmarks/<benchmark>/<template>` filled with `values`.

    Values are inserted once and never read as a template: a tweet with `{{` keeps it. Raises UserError for a
    template that is missing or broken.
    """
    try:
        return _environment(benchmark).get_template(template).render(**values)
    except TemplateNotFound as error:
        raise UserError(_missing(benchmark, template)) from error
    except TemplateError as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"benchmarks/{benchmark}/{template}: the template cannot be rendered: {reason}"
        ) from error


def fingerprint(benchmark: str, template: str) -> str:
    """The sha256 of a template file, for the run's provenance.

    Raises UserError where there is no such file.
    """
    try:
        return hashlib.sha256((BENCHMARKS / benchmark / template).read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(_missing(benchmark, template)) from error


def _missing(benchmark: str, template: str) -> str:
    return f"benchmark.{benchmark}.prompt={template}: no such template in {BENCHMARKS / benchmark}"
