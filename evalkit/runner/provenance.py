"""What made a run: software, settings, data, machine."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evalkit import __version__
from evalkit.runner.settings import sampling

_MODEL_FACTS = ("name", "title", "family", "parameters", "licence", "recipe")

SCHEMA = 1
"""Version of run.json, generations.jsonl and scores.jsonl."""


def provenance(config: Mapping[str, Any], data: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The part of run.json that is known before anything is generated."""
    model = config["model"]
    return {
        "schema": SCHEMA,
        "evalkit": {"version": __version__, "git_commit": git_commit()},
        "model": {key: model.get(key) for key in _MODEL_FACTS},
        "protocol": config["protocol"],
        "sampling": sampling(config).as_dict(),
        "seed": config["seed"],
        "data": {name: dict(facts) for name, facts in data.items()},
        "hardware": hardware(),
    }


def now() -> str:
    """The time in UTC, to the second, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def git_commit() -> str | None:
    """The commit of the checkout that this code runs from, with `-dirty` if changed; None when installed."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        shown = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return shown.stdout.strip()


def hardware() -> dict[str, Any]:
    """CPU, cores and memory of this machine; sizes in bytes."""
    import psutil

    return {
        "cpu": _cpu_name(),
        "cores": psutil.cpu_count(logical=False),
        "threads": psutil.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
