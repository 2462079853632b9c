"""`evalkit benchmarks`: what can be named after benchmark=."""

from __future__ import annotations

from collections.abc import Sequence

HELP = """
usage: evalkit benchmarks

List the benchmarks that `benchmark=NAME` knows: split, size, licence, source. Each has a data card,
benchmarks/<name>/README.md.
"""


def main(arguments: Sequence[str]) -> int:
    from rich.table import Table

    from evalkit.config import compose, to_dict
    from evalkit.errors import UserError
    from evalkit.report.console import output_console

    if arguments:
        raise UserError(f"benchmarks takes no arguments, got '{arguments[0]}'")
    config = to_dict(compose(["data=sample"]))
    table = Table("name", "title", "split", "records", "scored items", "licence", "source", box=None)
    for name, benchmark in config["benchmark"].items():
        table.add_row(
            name,
            str(benchmark["title"]),
            str(benchmark["split"]),
            f"{benchmark['records']:,}",
            f"{benchmark['items']:,}",
            str(benchmark["licence"]),
            str(benchmark["source"]),
        )
    output_console().print(table)
    return 0
