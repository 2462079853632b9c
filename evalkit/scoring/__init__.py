"""Scoring rules by name. A rule is a module in `evalkit.scoring.rules` with a pure function `score`.

`score(output, gold)` returns a verdict, or None where the rule does not apply to that kind of gold. It does
no I/O, never raises, runs in bounded time, and gives no model output to `eval`, `exec` or sympy.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

from evalkit.config import extensions
from evalkit.schema import Gold, Output, Score, UserError, nearest
from evalkit.scoring import rules

Rule = Callable[[Output, Gold], Score | None]


def rule_names() -> list[str]:
    """The names of all rules, sorted: evalkit's own, and those from outside that can be used.

    Those in the folder of an evalkit.yaml must be named, and are not listed; nor are broken ones.
    """
    return sorted({*_own(), *filter(_usable, extensions.module_names("rules"))})


def _own() -> list[str]:
    outside = extensions.module_folders("rules")
    found = pkgutil.iter_modules([path for path in rules.__path__ if path not in outside])
    return [module.name for module in found if not module.name.startswith("_")]


def _usable(name: str) -> bool:
    try:
        extensions.load("rules", name)
    except UserError:  # it says so to whoever asks for that rule
        return False
    return True


def check_rule(name: str) -> None:
    """See that a rule that the user names is there, and is one.

    Raises:
        UserError: as `get_rule`; or one from outside has the name of evalkit's own.
    """
    extensions.home("rules", name)
    get_rule(name)


def get_rule(name: str) -> Rule:
    """The rule called `name`.

    Raises:
        UserError: there is no such rule, or one from outside is broken.
    """
    if name in _own():
        own: Rule = importlib.import_module(f"{rules.__name__}.{name}").score
        return own
    if extensions.home("rules", name):
        return _guarded(name, extensions.load("rules", name).score)
    raise UserError(f"No rule {name!r}; rules: {', '.join(rule_names())}.{nearest(name, rule_names())}")


def _guarded(name: str, rule: Callable[[Output, Gold], object]) -> Rule:
    """A rule from outside, which may not keep to what a rule is."""

    def score(output: Output, gold: Gold) -> Score | None:
        with extensions.blamed("rules", name):
            found = rule(output, gold)
            if found is not None and not isinstance(found, Score):
                raise TypeError(f"score() must return a Score or None, got {type(found).__name__}")
        return found

    return score
