"""Hydra's search path: evalkit's own configs first, then those from outside (`evalkit.config.extensions`)."""

from __future__ import annotations

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from evalkit.config.extensions import config_folders


class Extensions(SearchPathPlugin):
    """Adds the folders of configs from outside, whenever Hydra makes a search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append them, so that no config of evalkit's own is ever replaced."""
        for folder in config_folders():
            search_path.append("evalkit-extensions", f"file://{folder}")


def extend_hydra() -> None:
    """Have Hydra look there, too. Doing it again changes nothing."""
    Plugins.instance().register(Extensions)
