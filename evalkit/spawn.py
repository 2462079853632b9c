"""How modules of ours are started as child processes: from their own place, without secrets, on our cores."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

_PACKAGE = str(Path(__file__).resolve().parent)
# The child's `evalkit` is ours, wherever it lies and whatever else is installed.
_START = (
    "import importlib.util, runpy, sys; folder = sys.argv.pop(1); "
    "spec = importlib.util.spec_from_file_location('evalkit', folder + '/__init__.py', "
    "submodule_search_locations=[folder]); "
    "sys.modules['evalkit'] = importlib.util.module_from_spec(spec); "
    "spec.loader.exec_module(sys.modules['evalkit']); "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)
_SECRET = re.compile(r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)S?$", re.IGNORECASE)


def usable_cores() -> int:
    """How many physical cores this process may run on: in a container or under taskset fewer than there are.

    More threads than that would wait for each other, which llama.cpp's do by spinning.
    """
    import psutil

    physical = psutil.cpu_count(logical=False) or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else physical
    return max(1, min(physical, allowed))


def child_command(module: str, *arguments: str) -> list[str]:
    """How a module of ours is started as a child.

    `python -m` would look for modules in the current folder first, which may be anybody's.
    """
    return [sys.executable, "-P", "-c", _START, _PACKAGE, module, *arguments]


def child_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a child finds in its environment: ours without secrets, and `more`.

    Children read files of strangers, and have no use for the keys of services.
    """
    ours = {name: value for name, value in os.environ.items() if not _SECRET.search(name)}
    return {**ours, "PYTHONSAFEPATH": "1", **(more or {})}
