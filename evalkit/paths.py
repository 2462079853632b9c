"""Where the files that ship with the package are: a checkout's top level, or a wheel's package data."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_WHEEL_DATA = _PACKAGE / "_data"
ROOT = _WHEEL_DATA if _WHEEL_DATA.is_dir() else _PACKAGE.parent

CONFIGS = ROOT / "configs"
BENCHMARKS = ROOT / "benchmarks"
PUBLISHED = ROOT / "results" / "published"
