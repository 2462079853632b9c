"""`evalkit score`: the rules again, over the records of a run."""

from __future__ import annotations

from collections.abc import Sequence

HELP = """
usage: evalkit score RUN_DIR [rules=all|NAME|[A,B]] [data.dir=PATH] [label_defects=FILE]

Score a finished or partial run again, without an engine: rewrites its scores.jsonl, results.json and table.
The default rule `financial` is always among them, and so are the judge's verdicts if the run was judged.

  rules=all                every rule there is
  label_defects=FILE       wrong or ambiguous gold labels of your own, beside those that ship
  data.dir=PATH            where the local data is now, if it has moved since the run

exit code: 0 done, 1 some examples have no answer, 2 wrong request
"""


def main(arguments: Sequence[str]) -> int:
    from pathlib import Path

    from evalkit.errors import UserError
    from evalkit.report.conclude import conclude
    from evalkit.report.console import output_console
    from evalkit.runner.run import finished_run

    if not arguments:
        raise UserError("score: give the run's folder: evalkit score RUN_DIR")
    options = dict(argument.partition("=")[::2] for argument in arguments[1:])
    unknown = sorted(options.keys() - {"rules", "data.dir", "label_defects"})
    if unknown:
        raise UserError(f"score: no such setting: '{unknown[0]}' (rules=, data.dir=, label_defects=)")
    finished = finished_run(Path(arguments[0]), options.get("data.dir"))
    defects = options.get("label_defects") or finished.config.get("label_defects")
    rules = options.get("rules", "financial")
    return conclude(finished, rules, output_console(), Path(defects) if defects else None)
