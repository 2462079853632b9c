"""report.md: the sections of a run's report, in order."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.report.markdown import code
from evalkit.report.material import Material, Section
from evalkit.report.sections import breakdown, classification, failures, label_defects, sensitivity
from evalkit.report.table import Grid, to_markdown

SECTIONS = (failures, classification, breakdown, label_defects, sensitivity)
FILES = sensitivity.FILES


def sections(material: Material) -> list[Section]:
    """The parts that this run has something for."""
    made = (module.section(material) for module in SECTIONS)
    return [section for section in made if section is not None]


def report(config: Mapping[str, Any], grid: Grid, parts: Sequence[Section]) -> str:
    """The whole report as Markdown; the same run gives the same text."""
    head = [
        f"# {code(str(config['model']['title']))}: report",
        "Written by `evalkit score` from the run's records. Accuracies are per cent ± one standard error.",
        "## Accuracy",
        to_markdown(grid).rstrip("\n"),
    ]
    return "\n\n".join([*head, *(f"## {part.title}\n\n{part.body}" for part in parts)]) + "\n"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old or the new content and never a part."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
