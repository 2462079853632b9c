"""Whether a judge is fit to be shown: what it makes of canaries, against the limits that were set."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.stats.error import wilson


@dataclass(frozen=True, slots=True)
class Rate:
    """`k` mistakes in `n` verdicts."""

    k: int
    n: int

    @property
    def value(self) -> float | None:
        return self.k / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval, as fractions."""
        return wilson(self.k, self.n)

    def as_json(self) -> dict[str, Any]:
        return {"rate": self.value, "mistakes": self.k, "n": self.n, "interval": list(self.interval)}

    def __str__(self) -> str:
        if not self.n:
            return "-"
        low, high = self.interval
        return f"{100 * self.k / self.n:.0f} % [{100 * low:.0f}, {100 * high:.0f}] of {self.n}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a canary. ``accepted`` is None where there was no verdict, and ``error`` says why."""

    kind: str
    right: bool
    accepted: bool | None
    error: str | None = None

    @property
    def mistaken(self) -> bool:
        return self.accepted is not None and self.accepted != self.right


@dataclass(frozen=True, slots=True)
class Fitness:
    """A judge on one benchmark's canaries. ``reason`` says why it is not fit; None: it is.

    ``false_positive``: wrong answers accepted; ``false_negative``: right ones refused; ``kinds`` are mistakes
    by kind, those of right answers under `right: …`. Canaries without a verdict count in ``errors`` only.
    """

    false_positive: Rate
    false_negative: Rate
    kinds: dict[str, Rate]
    errors: dict[str, int]
    reason: str | None

    def sentence(self) -> str:
        """Both rates in words, and the verdict."""
        found = f"accepts {self.false_positive} wrong canaries, refuses {self.false_negative} right ones"
        errors = "".join(f", {count} × {kind}" for kind, count in self.errors.items())
        return f"{found}{errors}: {'fit' if self.reason is None else f'not fit: it {self.reason}'}"

    def as_json(self) -> dict[str, Any]:
        return {
            "fit": self.reason is None,
            "reason": self.reason,
            "false_positive": self.false_positive.as_json(),
            "false_negative": self.false_negative.as_json(),
            "kinds": {kind: rate.as_json() for kind, rate in self.kinds.items()},
            "errors": self.errors,
        }


def fitness(outcomes: Sequence[Outcome], max_false_positive: float, max_false_negative: float) -> Fitness:
    """What the canaries of one benchmark say of a judge.

    It is not fit if either rate is above its limit, or if fewer than half of the wrong or of the right
    canaries got a verdict: what it breaks on, it cannot be said to know.
    """
    wrong = [each for each in outcomes if not each.right]
    right = [each for each in outcomes if each.right]
    false_positive, false_negative = _rate(wrong), _rate(right)
    by_kind: dict[str, list[Outcome]] = defaultdict(list)
    for each in outcomes:
        by_kind[f"right: {each.kind}" if each.right else each.kind].append(each)
    return Fitness(
        false_positive,
        false_negative,
        {kind: _rate(of_kind) for kind, of_kind in by_kind.items()},
        dict(sorted(Counter(each.error for each in outcomes if each.error).items())),
        _without_verdicts(wrong, right)
        or _above("accepts", "wrong", false_positive, max_false_positive)
        or _above("refuses", "right", false_negative, max_false_negative),
    )


def _rate(outcomes: Iterable[Outcome]) -> Rate:
    decided = [each for each in outcomes if each.accepted is not None]
    return Rate(sum(each.mistaken for each in decided), len(decided))


def _without_verdicts(wrong: Sequence[Outcome], right: Sequence[Outcome]) -> str | None:
    if not wrong or not right:
        return "no canaries could be made"
    for outcomes in (wrong, right):
        lost = sum(each.accepted is None for each in outcomes)
        if 2 * lost > len(outcomes):
            share = 100 * lost / len(outcomes)
            reasons: Mapping[str | None, int] = Counter(each.error for each in outcomes if each.error)
            return f"gives no verdict on {share:.0f} % of canaries ({max(reasons, key=lambda r: reasons[r])})"
    return None


def _above(does: str, what: str, rate: Rate, limit: float) -> str | None:
    return f"{does} {100 * rate.k / rate.n:.0f} % of {what} answers" if rate.k > limit * rate.n else None
