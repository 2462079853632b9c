"""Published and own scoring rules, one a file: a pure function `score(output, gold)` and its source."""

from evalkit.config.extensions import module_folders

__path__.extend(module_folders("rules"))  # those of the user's own
