"""Scoring rules by name. A rule is a module in `evalkit.scoring.rules` with a pure function `score`.

`score(output, gold)` returns a verdict, or None where the rule does not apply to that kind of gold. It does
no I/O, never raises, runs in bounded time, and gives no model output to `eval`, `exec` or sympy.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

from evalkit.schema import Gold, Output, Score, UserError, nearest
from evalkit.scoring import rules

Rule = Callable[[Output, Gold], Score | None]


def rule_names() -> list[str]:
    """The names of all rules, sorted: the modules of `evalkit.scoring.rules`."""
    found = (module.name for module in pkgutil.iter_modules(rules.__path__))
    return sorted(name for name in found if not name.startswith("_"))


def get_rule(name: str) -> Rule:
    """The rule called `name`.

    Raises:
        UserError: there is no such rule.
    """
    if name not in rule_names():
        raise UserError(f"No rule {name!r}; rules: {', '.join(rule_names())}.{nearest(name, rule_names())}")
    rule: Rule = importlib.import_module(f"{rules.__name__}.{name}").score
    return rule
