"""`evalkit score`: the rules again, over the records of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

HELP = """
usage: evalkit score RUN [KEY=VALUE ...]

Score a finished or partial run again, without an engine: rewrites its scores.jsonl, results.json and table.
RUN is a folder, a model's name or `last` (see `evalkit runs --help`).
The default rule `financial` is always among them, and so are the judge's verdicts if the run was judged.

  rules=all                every rule there is; NAME or [A,B]: those
  benchmark.NAME.rule=RULE the rule whose score counts on that benchmark, from now on
  label_defects=FILE       wrong or ambiguous gold labels of your own, beside those that ship
  data.dir=PATH            where the local data is now, if it has moved since the run
  allow_code=true          run all code in answers to code tasks, in a sandbox without files and network; the
                           verdicts stay in the run's folder
  published=true           the rows of the published table as well
  json=true                the figures as JSON

exit code: 0 done, 1 some examples have no answer, 2 wrong request
"""


_DEFAULTS = {
    **{"rules": "financial", "data.dir": "", "label_defects": "", "allow_code": "false"},
    **{"published": "false", "json": "false"},
}
_RULE = re.compile(r"benchmark\.(\w+)\.rule", re.ASCII)


def main(arguments: Sequence[str]) -> int:
    from evalkit.config.options import read_arguments
    from evalkit.report.run import conclude
    from evalkit.run.find import find_run
    from evalkit.run.runner import finished_run, with_counting_rules
    from evalkit.run.scoring import run_code
    from evalkit.schema import UserError
    from evalkit.text import output_console

    given = read_arguments("score", arguments, _DEFAULTS, hand_on=lambda key: bool(_RULE.fullmatch(key)))
    if len(given.places) != 1:
        raise UserError("score: give the run's folder, a model's name or last: evalkit score RUN")
    finished = finished_run(find_run(given.places[0]), given.text("data.dir") or None)
    if given.handed_on:
        counting = (argument.partition("=")[::2] for argument in given.handed_on)
        finished = with_counting_rules(finished, {key.split(".")[1]: rule for key, rule in counting})
    if given.truth("allow_code"):
        run_code(finished, again=True)
    defects = given.text("label_defects") or finished.settings.label_defects
    return conclude(
        finished,
        given.text("rules"),
        output_console(),
        Path(defects) if defects else None,
        published=given.truth("published"),
        as_json=given.truth("json"),
    )
