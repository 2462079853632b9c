"""`evalkit judge run`: judge a finished run, without generating anything."""

from __future__ import annotations

from collections.abc import Sequence

HELP = """
usage: evalkit judge run RUN_DIR judge=local judge.model=NAME [KEY=VALUE ...]
       evalkit judge run RUN_DIR judge=endpoint judge.base_url=URL [judge.name=MODEL] [KEY=VALUE ...]

Judge what the rules of a run cannot decide: free text, and outputs in which they found no answer that they
could read. Canaries come first: answers made from the run's own examples whose verdict is known. A judge that
accepts too many wrong ones or refuses too many right ones is not fit, and its scores are withheld. Every
verdict is kept: the same command goes on where it stopped. `evalkit run ... judge=...` does both.

  judge.model=NAME         `evalkit models` lists them; below it: "judge.overrides=['backend.slots=2']"
  judge.base_url=URL       an OpenAI-compatible service; key in OPENAI_API_KEY, or judge.api_key_env=VARIABLE
  judge.when=undecided     what the rules cannot decide; always: every answer; never: rules only
  judge.contract=auto      replies as json, or boxed for services that take no schema
  judge.language=auto      of the instructions: en, zh, or the question's own
  judge.canaries=40        wrong answers per benchmark, and as many right ones
  judge.max_false_positive=0.1  judge.max_false_negative=0.2  judge.force=true: show the scores all the same
  judge.threshold=0.75     a free-text answer counts as right from this grade on
  judge.max_cost=5         ceiling of one command; needs backend.prices.input and .output in judge.overrides
  judge.max_tokens_total=N judge.max_tokens=N (of one reply: thousands for a judge that thinks first)
  rules=NAMES              as in `evalkit score`; default: those that the run was last scored by
  data.dir=PATH            where the run's local data is now, if it has moved

exit code: 0 done, 1 some answers have no verdict, 2 wrong request, 130 interrupted
"""

_DEFAULTS = {"data.dir": "", "label_defects": "", "rules": ""}


def main(arguments: Sequence[str]) -> int:
    from pathlib import Path

    from rich.console import Console

    from evalkit.errors import UserError
    from evalkit.judge.options import given
    from evalkit.judge.settings import settings_of
    from evalkit.judge.stage import judge_run
    from evalkit.report.conclude import conclude
    from evalkit.report.console import output_console
    from evalkit.runner.run import finished_run
    from evalkit.runner.scoring import scored_by

    asked = given("run", arguments, _DEFAULTS)
    if len(asked.folders) != 1:
        raise UserError("judge run: give one run folder: evalkit judge run RUN_DIR judge=...")
    settings = settings_of(asked.judge)
    finished = finished_run(asked.folders[0], asked.options["data.dir"] or None)
    judge_run(finished, settings, Console(stderr=True))
    defects = asked.options["label_defects"] or finished.config.get("label_defects")
    rules = asked.options["rules"] or ",".join(scored_by(finished.path))
    return conclude(finished, rules, output_console(), Path(defects) if defects else None)
