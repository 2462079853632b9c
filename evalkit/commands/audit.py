"""`evalkit audit`: a published table checked against itself, and against what was measured here."""

from __future__ import annotations

from collections.abc import Sequence

HELP = """
usage: evalkit audit [published=fin-r1-paper] [results_dir=results] [json=true]

Check a published table (results/published/NAME.yaml) against itself: averages that its scores do not have,
rounding, digits that no number of right answers gives, scores below what needs no model or below the model's
own base; the 95 % interval that every score implies at its number of items; the pairs of models that it does
not tell apart; and what is known of the benchmarks' items in training data. Then every measured score of the
same models against the published one, and what else differs. Markdown in a file or a pipe.

exit code: 0 done (findings are results), 2 wrong request
"""


def main(arguments: Sequence[str]) -> int:
    from pathlib import Path

    from evalkit.audit import audit_table, to_markdown
    from evalkit.board.board import board_of, collect
    from evalkit.board.published import against
    from evalkit.board.published import published_differences as against_markdown
    from evalkit.config.options import no_places, read_arguments
    from evalkit.published import DEFAULT, read_table
    from evalkit.schema import UserError
    from evalkit.text import output_console, show_markdown, write_json

    given = no_places(
        read_arguments("audit", arguments, {"published": DEFAULT, "results_dir": "", "json": "false"})
    )
    as_json = given.truth("json")
    table = read_table(given.text("published"))
    results = given.path("results_dir") or Path("results")
    if given.text("results_dir") and not results.is_dir():
        raise UserError(f"audit: results_dir={results}: there is no such folder")
    found = collect(results, local=True)
    board = board_of(found.runs, [table], found.problems)
    if as_json:
        write_json({"audit": audit_table(table), "measured_against_published": against(board, table)})
        return 0
    measured = against_markdown(against(board, table), board.benchmarks)
    parts = [to_markdown(audit_table(table)), "### Measured against published\n", measured]
    show_markdown(output_console(), "\n".join(parts))
    return 0
