"""`evalkit judge`: a language model as the judge of what rules cannot decide, and how wrong it is."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

HELP = """
usage: evalkit judge run|calibrate|label|pairwise ...

A language model as the judge of what rules cannot decide. It is never trusted unseen: every judged run has
canaries whose verdict is known, and a judge that fails them has its scores withheld.

  judge run RUN_DIR judge=...             judge a finished run
  judge calibrate RUN_DIR judge=...       how often it is right, by labels, and scores corrected for that
  judge label RUN_DIR                     label answers yourself, one key each
  judge pairwise RUN_A RUN_B judge=...    which of two models gives the better free-text answers

`evalkit judge run --help` and the like tell more.
"""

_COMMANDS = ("run", "calibrate", "label", "pairwise")


def main(arguments: Sequence[str]) -> int:
    from evalkit.errors import UserError, nearest

    known = ", ".join(_COMMANDS)
    if not arguments:
        raise UserError(f"judge: say what to do: {known} (`evalkit judge --help`)")
    name = arguments[0]
    if name not in _COMMANDS:
        raise UserError(f"judge: no command '{name}'.{nearest(name, _COMMANDS)} Commands: {known}")
    code: int = importlib.import_module(f"evalkit.judge.commands.{name}").main(arguments[1:])
    return code


def help_of(arguments: Sequence[str]) -> str:
    """The help of what `arguments` name: of a subcommand, or of all."""
    named = next((argument for argument in arguments if argument in _COMMANDS), None)
    if named is None:
        return HELP
    text: str = importlib.import_module(f"evalkit.judge.commands.{named}").HELP
    return text
