"""`evalkit verify`: whether a run is what it was, and whether its engine would say the same again."""

from __future__ import annotations

from collections.abc import Sequence

HELP = """
usage: evalkit verify RUN_DIR [KEY=VALUE ...]

Look whether a run's folder is what its run left there: no answer changed, removed, added or moved since it
was written (each is chained to the one before it by a hash); data and weights those that were used, where
they can still be had; the record the same as the answers. What cannot be looked at is said, and no failure.

  ask=N                    put N random questions of the run to its engine again, on this machine: how many
                           texts and verdicts are the same. llama.cpp with one slot at temperature 0 must
                           repeat all; otherwise only shares that no noise explains are a failure
  seed=N                   which questions (default: 0)
  mend=true                drop answers that were changed, so that the run's command asks them again; that
                           it was done stays in run.json and in the record
  data.dir=PATH            where the local data is now, if it has moved since the run
  json=true                the same as JSON

exit code: 0 all is as it was, 1 something is not, 2 wrong request
"""

_DEFAULTS = {"ask": "0", "seed": "0", "mend": "false", "data.dir": "", "json": "false"}


def main(arguments: Sequence[str]) -> int:

    from evalkit.config.options import read_arguments
    from evalkit.run.find import find_run
    from evalkit.run.verify import ask_again, check_run, mend
    from evalkit.schema import EngineUnusable, UserError
    from evalkit.text import output_console, show_lines, write_json

    given = read_arguments("verify", arguments, _DEFAULTS)
    count, seed = given.whole("ask", least=0), given.whole("seed", least=0)
    if len(given.places) != 1:
        raise UserError("verify: give the run's folder: evalkit verify RUN_DIR")
    path, data_dir = find_run(given.places[0]), given.text("data.dir") or None
    console, as_json = output_console(), given.truth("json")
    mended = mend(path) if given.truth("mend") else None
    if mended is not None and not as_json:
        show_lines(console, [f"mended: {reason}" for reason in mended] or ["nothing to mend"])
    checks = check_run(path, data_dir)
    if count and not any(check.outcome == "wrong" for check in checks):
        try:
            checks += ask_again(path, data_dir, count, seed).checks()
        except EngineUnusable as error:
            raise UserError(f"the engine does not serve, so nothing can be asked again: {error}") from error
    wrong = any(check.outcome == "wrong" for check in checks)
    if as_json:
        write_json({"run": path, "as_it_was": not wrong, "checks": checks, "mended": mended})
        return int(wrong)
    marks = {"right": "ok", "wrong": "NOT AS IT WAS", "unknown": "not checked"}
    show_lines(console, [f"{check.what}: {marks[check.outcome]}: {check.detail}" for check in checks])
    return int(wrong)
