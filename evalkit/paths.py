"""Where the files that ship with the package are: a checkout's top level, or a wheel's package data."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_WHEEL_DATA = _PACKAGE / "_data"
ROOT = _WHEEL_DATA if _WHEEL_DATA.is_dir() else _PACKAGE.parent

CONFIGS = ROOT / "configs"
BENCHMARKS = ROOT / "benchmarks"
PUBLISHED = ROOT / "results" / "published"


def cache_dir() -> Path:
    """Where downloads are kept: `$EVALKIT_CACHE`, else the user's cache folder. It need not exist yet."""
    given = os.environ.get("EVALKIT_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("evalkit"))
