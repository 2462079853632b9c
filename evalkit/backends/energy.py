"""Energy that the machine itself counts: processor packages (RAPL, Linux) and NVIDIA boards.

It is the energy of everything that runs on the machine, not of one process.
RAPL: https://docs.kernel.org/power/powercap/powercap.html; reading it usually takes root.
"""

from __future__ import annotations

from pathlib import Path

from evalkit.backends.gpu import energy_joules

_POWERCAP = Path("/sys/class/powercap")


class EnergyMeter:
    """Joules since it was made. `update` must be called more often than a counter wraps (some 40 minutes)."""

    def __init__(self, powercap: Path = _POWERCAP) -> None:
        self._packages = [
            (domain / "energy_uj", _number(domain / "max_energy_range_uj") or 0)
            # Sub-domains (intel-rapl:0:0) are parts of their package, and psys holds the packages.
            for domain in sorted(powercap.glob("intel-rapl:*"))
            if domain.name.count(":") == 1 and _name(domain).startswith("package")
        ]
        self._last = [_number(file) for file, _ in self._packages]
        self._microjoules = 0
        self._boards = energy_joules()

    def update(self) -> None:
        """Add what the processors have used since the last look."""
        for index, (file, span) in enumerate(self._packages):
            now, before = _number(file), self._last[index]
            if now is not None and before is not None:
                self._microjoules += now - before if now >= before else now - before + span
            self._last[index] = now

    def joules(self) -> float | None:
        """Energy used since the start; None if nothing here counts it."""
        self.update()
        parts: list[float] = []
        if any(value is not None for value in self._last):
            parts.append(self._microjoules / 1e6)
        boards = energy_joules()
        if boards is not None and self._boards is not None:
            parts.append(boards - self._boards)
        return round(sum(parts), 3) if parts else None


def _name(domain: Path) -> str:
    try:
        return (domain / "name").read_text()
    except OSError:
        return ""


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
