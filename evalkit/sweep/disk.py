"""Members' files come one at a time and may go after use, but for the one that may be the reference."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from evalkit.models.discard import discard
from evalkit.sweep.outcome import Outcome, highest_precision
from evalkit.sweep.settings import Settings


class Disk:
    """Removes files that no later run of the sweep needs, if `delete_weights` says so.

    The reference runs again for the noise floor, so the best candidate's file stays until `clear`: at most
    two files are there at once. A file that the user gave by `model.path` stays.
    """

    def __init__(self, settings: Settings, console: Console) -> None:
        self._settings = settings
        self._console = console
        self._kept: Outcome | None = None

    def finished(self, outcome: Outcome) -> None:
        """A member is done: remove what is not needed any more."""
        if not self._settings.delete_weights or outcome.path is None:
            return
        kept, self._kept = self._kept, self._candidate(outcome)
        for done in (kept, outcome):
            if done is not None and done is not self._kept:
                self._remove(done)

    def _candidate(self, outcome: Outcome) -> Outcome | None:
        if self._settings.reference is not None:
            return outcome if outcome.member.name == self._settings.reference else self._kept
        return highest_precision([done for done in (self._kept, outcome) if done is not None])

    def clear(self) -> None:
        """All runs are done."""
        if self._kept is not None:
            self._remove(self._kept)
            self._kept = None

    def _remove(self, outcome: Outcome) -> None:
        if outcome.member.config["model"].get("path"):
            return
        weights = outcome.run["engine"].get("weights")
        if weights is None:  # a whole checkpoint, or a service: there is no one file to remove
            return
        freed = discard(Path(weights["path"]))
        if freed:
            line = f"  removed the file of {outcome.member.name} ({freed / 1e9:.1f} GB)"
            self._console.print(line, highlight=False, markup=False)
