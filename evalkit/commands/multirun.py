"""`evalkit run -m`: Hydra's own multirun, with any of its launchers and sweepers."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.config import explain, normalized
from evalkit.errors import UserError
from evalkit.paths import CONFIGS

if TYPE_CHECKING:
    from omegaconf import DictConfig

_LAUNCHER = "hydra/launcher="
_PLUGINS = ("joblib", "submitit")


def multirun(overrides: Sequence[str]) -> int:
    """Run every combination of the overrides; returns the worst of their exit codes.

    Raises:
        UserError: an override is wrong, or its launcher is not installed.
    """
    launcher = _launcher(overrides)
    # Jobs on other machines find their instructions below the working directory, which they share.
    shared = Path.cwd() if launcher.startswith("submitit") else None
    with tempfile.TemporaryDirectory(prefix="evalkit-multirun-", dir=shared) as scratch:
        codes = Path(scratch) / "codes"
        codes.mkdir()
        _launch(overrides, Path(scratch), codes)
        return max((int(code.read_text()) for code in codes.iterdir()), default=0)


def _launch(overrides: Sequence[str], scratch: Path, codes: Path) -> None:
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    def job(config: DictConfig) -> None:
        # A launcher's jobs are other processes, perhaps elsewhere, and sweepers have their own idea of a
        # job's result: a file passes through all of them.
        code = _job(config)
        (codes / uuid.uuid4().hex).write_text(str(code))

    # Hydra keeps a copy of the sweep's config; a run's folder has its own, so this one may go.
    own = [] if any(o.startswith("hydra.sweep.dir=") for o in overrides) else [f"hydra.sweep.dir={scratch}"]
    sys.argv = ["evalkit run", "-m", *normalized(overrides), *own]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise, and leave the explaining to us
    try:
        hydra.main(config_path=str(CONFIGS), config_name="config", version_base=None)(job)()
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, overrides)) from error


def _launcher(overrides: Sequence[str]) -> str:
    """The launcher that `overrides` ask for; raises UserError if its plugin is not installed."""
    name = next((o.removeprefix(_LAUNCHER) for o in overrides if o.startswith(_LAUNCHER)), "basic")
    plugin = name.partition("_")[0]
    if plugin in _PLUGINS and importlib.util.find_spec(f"hydra_plugins.hydra_{plugin}_launcher") is None:
        raise UserError(f"{_LAUNCHER}{name} needs its plugin: pip install hydra-{plugin}-launcher")
    return name


def _job(config: DictConfig) -> int:
    from evalkit.commands.run import run

    try:
        return run(config)
    except UserError as error:
        # One impossible combination must not stop the others.
        print(f"evalkit: {error}", file=sys.stderr)
        return 2
