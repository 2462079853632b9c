"""evalkit: which quantized file of a financial reasoning model to deploy, with error bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalkit.version import __version__ as __version__

if TYPE_CHECKING:
    from evalkit.frames import load_runs as load_runs


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    # `import evalkit` must stay instant, and pandas is not.
    if name == "load_runs":
        from evalkit.frames import load_runs

        return load_runs
    raise AttributeError(f"module 'evalkit' has no attribute {name!r}")
