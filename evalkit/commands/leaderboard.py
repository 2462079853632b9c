"""`evalkit leaderboard`: everything under results/ that is derived, from records."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.board import RULE

if TYPE_CHECKING:
    from evalkit.board.board import Problem
    from evalkit.board.build import Stale


_TEXT = """
usage: evalkit leaderboard [results_dir=results] [local=false] [json=true] [--check]

Make everything under results/ that is derived from run records and published tables: leaderboard.md, .csv and
.json, the report and curves of each sweep (curves/), and the site (site/, open site/index.html). The same
records give the same bytes. Files in curves/ and site/ that were made earlier and no longer are go.

Records are read from results/records/ (what `evalkit keep` keeps) and, unless local=false, from results/runs/
and results/sweeps/ of this machine. One that cannot be read is named and left out.

  local=false              only what is in results/records/: what others see too
  --check                  write nothing; name what would change, and exit with 1 if anything would
  results_dir=DIR          default: results
  json=true                what was written or would change, and what was left out, as JSON

{rule}

exit code: 0 done, 1 a record could not be read or (--check) something is stale, 2 wrong request
"""


HELP = _TEXT.format(rule=textwrap.fill(RULE, 110))

_SETTINGS = {"results_dir": "results", "local": "true", "json": "false"}


def main(arguments: Sequence[str]) -> int:
    from evalkit.config.options import no_places, read_arguments
    from evalkit.schema import UserError
    from evalkit.text import write_json

    check = "--check" in arguments
    rest = [argument for argument in arguments if argument != "--check"]
    given = no_places(read_arguments("leaderboard", rest, _SETTINGS))
    as_json = given.truth("json")
    results, local = Path(given.text("results_dir")), given.truth("local")
    if not results.is_dir():
        raise UserError(f"leaderboard: no folder {results}: run something first, or give results_dir=DIR")

    from evalkit.board.build import build, stale_files, update

    files, problems = build(results, local=local)
    stale = stale_files(results, files)
    if not check:
        update(results, files, stale)
    if as_json:
        record = {"page": results / "leaderboard.md", "checked_only": check, "files": len(files)}
        write_json({**record, "changes": stale, "left_out": problems})
    else:
        _report(results, len(files), stale, check)
    return int(_warn(results, problems) or (check and bool(stale)))


def _report(results: Path, count: int, stale: Sequence[Stale], check: bool) -> None:
    if check:
        for each in stale:
            print(f"{results / each.file}: {each.why}")
        return
    removed = sum(each.why == "no longer made" for each in stale)
    written = len(stale) - removed
    same = count - written
    page = results / "leaderboard.md"
    print(f"{page}: {written:,} files written, {removed:,} removed, {same:,} as they were")


def _warn(results: Path, problems: Sequence[Problem]) -> bool:
    """Names what is not shown, on standard error; returns whether anything could not be read."""
    import sys

    from evalkit.text import printable

    for problem in problems:
        what = "could not be read and is left out" if problem.kind == "unreadable" else "is left out"
        file, reason = printable(str(results / problem.file), 300), printable(problem.reason, 300)
        print(f"evalkit: {file} {what}: {reason}", file=sys.stderr)
    return any(problem.kind == "unreadable" for problem in problems)
