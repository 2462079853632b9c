"""`evalkit run -m`: Hydra's own multirun, with any of its launchers and sweepers."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalkit.config import explain, normalized
from evalkit.errors import UserError
from evalkit.paths import CONFIGS

if TYPE_CHECKING:
    from omegaconf import DictConfig


def multirun(overrides: Sequence[str]) -> int:
    """Run every combination of the overrides; returns the worst of their exit codes."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    codes: list[int] = []

    def job(config: DictConfig) -> int:
        codes.append(_job(config))
        return codes[-1]

    with tempfile.TemporaryDirectory(prefix="evalkit-multirun-") as scratch:
        # Hydra keeps a copy of the sweep's config; a run's folder has its own, so this one may go.
        sys.argv = ["evalkit run", "-m", *normalized(overrides), f"hydra.sweep.dir={scratch}"]
        os.environ["HYDRA_FULL_ERROR"] = "1"  # raise, and leave the explaining to us
        try:
            hydra.main(config_path=str(CONFIGS), config_name="config", version_base=None)(job)()
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(explain(error, overrides)) from error
    return max(codes, default=0)


def _job(config: DictConfig) -> int:
    from evalkit.commands.run import run

    try:
        return run(config)
    except UserError as error:
        # One impossible combination must not stop the others.
        print(f"evalkit: {error}", file=sys.stderr)
        return 2
