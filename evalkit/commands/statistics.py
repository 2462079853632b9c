"""`evalkit statistics required`: how many items a question needs."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.config.options import no_places, read_arguments
from evalkit.schema import UserError

HELP = """
usage: evalkit statistics required difference=POINTS discordant=PERCENT [power=80] [level=95] [json=true]

Items to plan for, so that a difference of so many points is shown with that power if the two systems differ
on so many per cent of the items.

exit code: 0 done, 2 wrong request
"""

_NUMBERS = {"difference": "", "discordant": "", "power": "80", "level": "95"}
_DEFAULTS = {**_NUMBERS, "json": "false"}


def main(arguments: Sequence[str]) -> int:
    from evalkit.stats.paired import required_items
    from evalkit.text import output_console, write_json

    if not arguments or arguments[0] != "required":
        raise UserError("statistics: say what to do: evalkit statistics required difference=2 discordant=10")
    given = no_places(read_arguments("statistics required", arguments[1:], _DEFAULTS))
    difference, discordant, power, level = (given.number(name, 0, 100) / 100 for name in _NUMBERS)
    if difference > discordant:
        raise UserError(
            "statistics required: difference cannot exceed discordant: no more can be lost than changes"
        )
    items = required_items(difference, discordant, power, level)
    if given.truth("json"):
        asked = {"difference": difference, "discordant": discordant, "power": power, "level": level}
        write_json({"items": items, **asked})
        return 0
    line = (
        f"{items:,} independent items show a difference of {100 * difference:g} points with power "
        f"{100 * power:g} % at {100 * (1 - level):g} % (two-sided) if {100 * discordant:g} % of them differ"
    )
    output_console().print(line, highlight=False, markup=False)
    return 0
