"""What became of a member of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import UserError
from evalkit.sweep.plan import Member
from evalkit.sweep.settings import Settings


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run folder and its run.json, or the reason why there is none to use.

    `partial`: some examples have no answer.
    """

    member: Member
    path: Path | None
    run: dict[str, Any]
    reason: str | None = None
    partial: bool = False

    @property
    def bits_per_weight(self) -> float:
        """Of the file's tensor data; 0 where it is not known (an engine that serves no GGUF file)."""
        weights = self.run.get("engine", {}).get("weights", {})
        return float(weights.get("gguf", {}).get("bits_per_weight") or 0.0)


def highest_precision(outcomes: Sequence[Outcome]) -> Outcome | None:
    """The outcome with a run whose file has the most bits per weight; of equals the first."""
    done = [outcome for outcome in outcomes if outcome.path is not None]
    return max(done, key=lambda outcome: outcome.bits_per_weight, default=None)


def reference_of(settings: Settings, outcomes: Sequence[Outcome]) -> Outcome:
    """The member that the others are compared with.

    Raises:
        UserError: it failed, or all did.
    """
    if settings.reference is None:
        best = highest_precision(outcomes)
        if best is None:
            raise UserError(f"every member of the sweep failed; the first: {outcomes[0].reason}")
        return best
    named = next(outcome for outcome in outcomes if outcome.member.name == settings.reference)
    if named.path is None:
        raise UserError(
            f"the reference {settings.reference} failed ({named.reason}): mend that, or choose another with "
            "sweep.reference=NAME; the members that are done stay done"
        )
    return named
