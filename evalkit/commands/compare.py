"""`evalkit compare`: two runs on the same examples, pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evalkit.config.options import read_arguments
from evalkit.schema import UserError

HELP = """
usage: evalkit compare REFERENCE_RUN CANDIDATE_RUN [KEY=VALUE ...]
       evalkit compare last [KEY=VALUE ...]

Compare two runs on the examples that both have: the first is the reference (the higher precision, say), the
second the candidate. First one sentence: as good as the reference within the margin, worse, better, or no
answer yet and the limit that would give one; by how much, with a clustered 95 % interval; memory and speed of
both. A side with more than half of its answers cut off, or below chance, is unfit, and no choice.
Each is a run folder, whose answers are scored again, a record that `evalkit keep` made, a model's name or
`last`; `last` alone is the newest run against the one before it. Runs that were
asked differently (prompts, data, temperature, max_tokens, ...) are not compared: one line says what differs.

  margin=2                 the loss in points that must be excluded for "as good as" (above 0, below 100)
  rule=NAME                the scoring rule (default: the one that counts in the reference's run)
  details=true             everything: settings that differ, flips, exact McNemar and the other tests, answer
                           lengths, costs, and how to read them
  flips=N                  how many flipped examples to show (default: none, with details or in files 6)
  out=DIR                  write comparison.md, comparison.json and flips.csv (all flips) there
  data.dir=PATH            where the runs' local data is now, if it has moved
  json=true                everything as JSON: what out= writes as comparison.json

exit code: 0 done, 1 some examples have no answer on a side and were not compared, 2 wrong request
"""

_DEFAULTS = {
    "margin": "2",
    "rule": "",
    "details": "false",
    "flips": "",
    "out": "",
    "data.dir": "",
    "json": "false",
}
_FLIPS = 6


def _paths(places: Sequence[str]) -> list[Path]:
    from evalkit.run.find import LAST, find_run, newest

    if list(places) == [LAST]:
        found = newest()[:2]
        if len(found) < 2:
            raise UserError("compare last: that takes two runs in results/runs: run something else first")
        return found[::-1]
    if len(places) != 2:
        raise UserError("compare: give two run folders: evalkit compare REFERENCE_RUN CANDIDATE_RUN")
    return [find_run(place) for place in places]


def main(arguments: Sequence[str]) -> int:
    given = read_arguments("compare", arguments, _DEFAULTS)
    as_json = given.truth("json")
    margin, details = given.number("margin", 0, 100) / 100, given.truth("details")
    flips = given.whole("flips", least=0) if given.text("flips") else None
    paths = _paths(given.places)
    if paths[0].resolve() == paths[1].resolve():
        raise UserError(f"compare: {paths[0]} is given twice: give two different runs")

    from evalkit.compare.comparison import compare
    from evalkit.report.compare import comparison_json, show, write_comparison
    from evalkit.run.runner import read_run
    from evalkit.text import output_console, write_json

    reference, candidate = (read_run(path, given.text("data.dir") or None) for path in paths)
    compared = compare(reference, candidate, given.text("rule") or None, margin)
    shown_flips = flips if flips is not None else _FLIPS * details
    if as_json:
        write_json(comparison_json(compared))
    else:
        show(compared, shown_flips, output_console(), details=details)
    out = given.path("out")
    if out:
        write_comparison(out, compared, _FLIPS if flips is None else flips)
    return int(compared.failed > 0)
