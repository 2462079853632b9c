"""`evalkit audit`: a published table checked against itself, and against what was measured here."""

from __future__ import annotations

from collections.abc import Sequence

HELP = """
usage: evalkit audit [published=fin-r1-paper] [results_dir=results]

Check a published table (results/published/NAME.yaml) against itself: averages that its scores do not have,
rounding, digits that no number of right answers gives, scores below what needs no model or below the model's
own base; the 95 % interval that every score implies at its number of items; the pairs of models that it does
not tell apart; and what is known of the benchmarks' items in training data. Then every measured score of the
same models against the published one, and what else differs. Written as Markdown.

exit code: 0 done (findings are results), 2 wrong request
"""

_SETTINGS = ("published", "results_dir")


def main(arguments: Sequence[str]) -> int:
    from pathlib import Path

    from evalkit.audit.against import against
    from evalkit.audit.against import to_markdown as against_markdown
    from evalkit.audit.audit import audit, to_markdown
    from evalkit.audit.table import DEFAULT, read_table
    from evalkit.errors import UserError
    from evalkit.leaderboard.collect import collect
    from evalkit.leaderboard.make import board_of

    options = dict(argument.partition("=")[::2] for argument in arguments)
    unknown = sorted(options.keys() - set(_SETTINGS))
    if unknown:
        known = ", ".join(f"{name}=..." for name in _SETTINGS)
        raise UserError(f"audit: no such setting: '{unknown[0]}' ({known})")
    table = read_table(options.get("published", DEFAULT))
    results = Path(options.get("results_dir", "results"))
    if "results_dir" in options and not results.is_dir():
        raise UserError(f"audit: results_dir={results}: there is no such folder")
    found = collect(results, local=True)
    board = board_of(found.records, [table], found.problems)
    print(to_markdown(audit(table)))
    print("### Measured against published\n")
    print(against_markdown(against(board, table), board.benchmarks), end="")
    return 0
