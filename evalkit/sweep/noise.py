"""The noise floor: the reference against itself, as a yardstick for every other difference."""

from __future__ import annotations

from rich.console import Console

from evalkit.runner.run import load_data
from evalkit.sweep.execute import run_again
from evalkit.sweep.outcome import Outcome
from evalkit.sweep.plan import Plan


def run_noise(plan: Plan, reference: Outcome, console: Console) -> dict[str, Outcome]:
    """The reference's other runs by what is different: nothing, or the number of slots.

    Batching alone makes llama.cpp's greedy answers differ between numbers of slots (llama.cpp #7052).
    """
    slots = reference.member.config["backend"].get("slots")
    data = load_data(reference.member.config) if plan.settings.noise else {}
    found = {}
    for kind in plan.settings.noise:
        if kind == "slots" and slots is None:
            continue
        other = max(1, slots // 2) if slots and slots > 1 else 2
        what, changes = {
            "repeat": ("the same run again", {}),
            "slots": (f"{other} slots instead of {slots}", {"slots": other}),
        }[kind]
        console.print(f"[noise] {reference.member.title}: {what}", highlight=False, markup=False)
        found[what] = run_again(reference.member, plan.folder / "noise" / kind, changes, data, console)
    return found
