"""`evalkit compare`: two runs on the same examples, pair by pair."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.errors import UserError, nearest

HELP = """
usage: evalkit compare REFERENCE_RUN CANDIDATE_RUN [KEY=VALUE ...]

Compare two runs on the examples that both have: the first is the reference (the higher precision, say), the
second the candidate. Per benchmark and on average: the accuracy difference with a clustered 95 % interval,
flips, exact McNemar, the change in answer length and in cut-off answers, what both cost, and a verdict at the
margin: as good as the reference, worse, better, or not resolvable at this n (and how many items it needs).
Both runs are scored again from their records. Runs that were asked differently (prompts, data, temperature,
max_tokens, ...) are not compared: one line says what differs.

  margin=2                 the loss in points that must be excluded for "as good as" (above 0, below 100)
  rule=NAME                the scoring rule (default: financial)
  flips=N                  how many flipped examples to show (default: 6)
  out=DIR                  write comparison.md, comparison.json and flips.csv (all flips) there
  data.dir=PATH            where the runs' local data is now, if it has moved

exit code: 0 done, 1 some examples have no answer on a side and were not compared, 2 wrong request
"""

_DEFAULTS = {"margin": "2", "rule": "financial", "flips": "6", "out": "", "data.dir": ""}


def main(arguments: Sequence[str]) -> int:
    from pathlib import Path

    if len(arguments) < 2:
        raise UserError("compare: give two run folders: evalkit compare REFERENCE_RUN CANDIDATE_RUN")
    options = _options(arguments[2:])
    margin, shown_flips = _margin(options["margin"]), _count(options["flips"])
    paths = [Path(argument) for argument in arguments[:2]]
    if paths[0].resolve() == paths[1].resolve():
        raise UserError(f"compare: {paths[0]} is given twice: give two different runs")

    from evalkit.compare.compared import compare
    from evalkit.compare.document import write
    from evalkit.compare.flips import flips_of
    from evalkit.compare.side import load_side
    from evalkit.compare.terminal import show
    from evalkit.report.console import output_console

    reference, candidate = (load_side(path, options["rule"], options["data.dir"] or None) for path in paths)
    compared = compare(reference, candidate, options["rule"], margin)
    flips = [flip for paired in compared.pairs for flip in flips_of(paired)]
    show(compared, flips, shown_flips, output_console())
    if options["out"]:
        write(Path(options["out"]), compared, flips, shown_flips)
    return int(compared.failed > 0)


def _options(arguments: Sequence[str]) -> dict[str, str]:
    given = dict(argument.partition("=")[::2] for argument in arguments)
    unknown = sorted(given.keys() - _DEFAULTS.keys())
    if unknown:
        known = ", ".join(f"{name}=" for name in _DEFAULTS)
        raise UserError(
            f"compare: no such setting: '{unknown[0]}' ({known}).{nearest(unknown[0], _DEFAULTS)}"
        )
    return {**_DEFAULTS, **given}


def _margin(text: str) -> float:
    """Points as a fraction of 1."""
    try:
        points = float(text)
    except ValueError:
        points = 0.0
    if not 0 < points < 100:
        raise UserError(f"compare: margin={text}: give points above 0 and below 100")
    return points / 100


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise UserError(f"compare: flips={text}: give a whole number, 0 or more")
    return int(text)
