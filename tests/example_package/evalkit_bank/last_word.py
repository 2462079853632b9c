"""Right if the last word of the output is the gold answer."""

from __future__ import annotations

from evalkit.schema import Gold, Output, Score, YesNoGold
from evalkit.scoring.verdicts import judged, missing


def score(output: Output, gold: Gold) -> Score | None:
    """The verdict; None for anything but yes and no."""
    if not isinstance(gold, YesNoGold):
        return None
    words = output.text.split()
    if not words:
        return missing(output)
    word = words[-1].strip(".").lower()
    return judged(gold, word, word == ("yes" if gold.yes else "no"))
