"""`evalkit statistics`: whether the statistics keep their promises, and how many items a question needs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from evalkit.errors import UserError, nearest

HELP = """
usage: evalkit statistics simulate [repeats=10000] [seed=0] [clusters=20,50,150]
       evalkit statistics judge [repeats=4000] [seed=0]
       evalkit statistics required difference=POINTS discordant=PERCENT [power=80] [level=95]

simulate  draw benchmarks whose truth is known, and count: how often the 95 % intervals hold it (promise:
          93 to 97 %), how often a family of 10 members on 5 benchmarks holds a false "worse" or "as good"
          after Holm's correction (5 %), the power; beside them what unclustered errors and plain t tests say
judge     draw judges whose errors are known, and count how often the 95 % intervals of the corrected and of
          the prediction-powered score hold the truth (93 to 97 %); beside them the judge's own score
required  items to plan for, so that a difference of so many points is shown with that power if the two
          systems differ on so many per cent of the items

  repeats=N           samples for each point of the grid, a fifth of it for each family; 10,000 take a minute
                      (of judge: for each point; 4,000 take a minute and a half)
  clusters=N,N,...    numbers of pages; promised from 20 pages and 10 independent changed items on

exit code: 0 done and as promised, 1 a promise broken, 2 wrong request
"""

_SETTINGS = {
    "simulate": {"repeats": "10000", "seed": "0", "clusters": "20,50,150"},
    "judge": {"repeats": "4000", "seed": "0"},
    "required": {"difference": "", "discordant": "", "power": "80", "level": "95"},
}
_MOST_REPEATS, _MOST_CLUSTERS = 1_000_000, 2_000


def main(arguments: Sequence[str]) -> int:
    kind = arguments[0] if arguments else ""
    if kind not in _SETTINGS:
        raise UserError("statistics: say what to do: evalkit statistics judge|simulate|required")
    options = dict(_SETTINGS[kind])
    for argument in arguments[1:]:
        name, given, text = argument.partition("=")
        if name not in options or not given:
            known = ", ".join(f"{key}=..." for key in options)
            raise UserError(
                f"statistics {kind}: no such setting: '{argument}'.{nearest(name, options)} ({known})"
            )
        options[name] = text
    return {"simulate": _simulate, "judge": _judge, "required": _required}[kind](options)


def _simulate(options: Mapping[str, str]) -> int:
    from evalkit.report.console import output_console
    from evalkit.stats.simulation.promises import simulate
    from evalkit.stats.simulation.report import print_simulation

    repeats, seed = _draws(options, "simulate")
    pages = tuple(
        _whole(text, "simulate: clusters", 2, _MOST_CLUSTERS) for text in options["clusters"].split(",")
    )
    return 0 if print_simulation(simulate(repeats, seed, pages), output_console()) else 1


def _judge(options: Mapping[str, str]) -> int:
    from evalkit.report.console import output_console
    from evalkit.stats.judged.simulation.promises import paged_settings, settings, simulate_judges
    from evalkit.stats.judged.simulation.report import print_judges

    repeats, seed = _draws(options, "judge")
    found = simulate_judges(repeats, seed, [*settings(), *paged_settings()])
    return 0 if print_judges(found, output_console()) else 1


def _required(options: Mapping[str, str]) -> int:
    from evalkit.report.console import output_console
    from evalkit.stats.power import required_items

    difference, discordant, power, level = (
        _percent(options[name], name) for name in ("difference", "discordant", "power", "level")
    )
    if difference > discordant:
        raise UserError(
            "statistics required: difference cannot exceed discordant: no more can be lost than changes"
        )
    items = required_items(difference, discordant, power, level)
    line = (
        f"{items:,} independent items show a difference of {100 * difference:g} points with power "
        f"{100 * power:g} % at {100 * (1 - level):g} % (two-sided) if {100 * discordant:g} % of them differ"
    )
    output_console().print(line, highlight=False, markup=False)
    return 0


def _draws(options: Mapping[str, str], kind: str) -> tuple[int, int]:
    repeats = _whole(options["repeats"], f"{kind}: repeats", 100, _MOST_REPEATS)
    return repeats, _whole(options["seed"], f"{kind}: seed", 0, 2**32 - 1)


def _whole(text: str, name: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and least <= int(text) <= most):
        raise UserError(f"statistics {name}={text}: give a whole number from {least:,} to {most:,}")
    return int(text)


def _percent(text: str, name: str) -> float:
    """A per cent between 0 and 100, as a fraction."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 100:
        raise UserError(f"statistics required: {name}={text}: give a number between 0 and 100")
    return value / 100
