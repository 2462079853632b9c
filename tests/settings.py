"""Settings for tests: of a model, a benchmark or its data alone, and any settings with some fields changed.

A whole run's are composed as the command line does: `evalkit.config.settings.run_settings`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import yaml

from evalkit.config.checks import Settings, read
from evalkit.config.settings import BenchmarkSettings, DataSettings, ModelSettings, read_benchmark
from evalkit.files import CONFIGS

S = TypeVar("S", bound=Settings)

SAMPLE = DataSettings(source="sample")
HUB = DataSettings(source="hub")


def local(directory: Path | str) -> DataSettings:
    """Records in a directory, as data=local data.dir=PATH."""
    return DataSettings(source="local", dir=str(directory))


def model_settings(**fields: object) -> ModelSettings:
    """A model called m, of these fields.

    Raises:
        UserError: as in a config.
    """
    return read(ModelSettings, {"name": "m", "title": "M", **fields}, "model")


def benchmark_settings(name: str, **changes: object) -> BenchmarkSettings:
    """A benchmark's config as it ships, with some of its fields changed.

    Raises:
        UserError: as in a config.
    """
    config = yaml.safe_load((CONFIGS / "benchmark" / f"{name}.yaml").read_text(encoding="utf-8"))
    return read_benchmark(name, {**config, **changes})


def changed(settings: S, **changes: object) -> S:
    """`settings` with some of their fields changed, checked as a config's are.

    Raises:
        UserError: as in a config.
    """
    fields = {name: getattr(settings, name) for name in type(settings).model_fields}
    return read(type(settings), {**fields, **changes})
