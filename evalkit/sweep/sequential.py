"""A member looked at page by page while it runs, so that it stops when its verdicts are there.

All benchmarks' pages have one order, drawn by the run's seed and in turn from each benchmark. Only the pages
up to the first that is not answered count: which ones these are depends on nothing but the answers, so that a
sweep which was killed and goes on stops at the same page. From there on a benchmark with a verdict is left
out.

The tests are those of `evalkit.stats.sequential`, corrected by Holm's method over members × benchmarks with
what is not known yet taken as showing nothing: what is rejected on the way stays rejected at the end.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evalkit.run.info import Run
from evalkit.run.schedule import Group, by_prefix
from evalkit.run.scoring import items_of
from evalkit.schema import (
    AVERAGE,
    Answer,
    Comparison,
    Estimate,
    Item,
    Key,
    Loaded,
    Name,
    Request,
    rank,
)
from evalkit.stats.control import ControlledDifference
from evalkit.stats.paired import holm
from evalkit.stats.sequential import PageBets
from evalkit.sweep.record import Looked

ALPHA = 0.05
_HALVINGS = 40  # of the logarithm of a p-value


def page_rank(seed: int, benchmark: str, group: str) -> int:
    """The place of a page among those of its benchmark."""
    return rank(seed, f"page\0{benchmark}\0{group}")


@dataclass(frozen=True, slots=True)
class PValues:
    """Of one member and benchmark, at whatever page one looks: see `PageBets`."""

    difference: float = 1.0
    non_inferior: float = 1.0


Family = dict[tuple[str, str], PValues]
"""By member and benchmark: all that a sweep tests."""


def empty_family(members: Sequence[str], benchmarks: Sequence[str]) -> Family:
    """Nothing is known of anything yet."""
    return {(member, benchmark): PValues() for member in members for benchmark in benchmarks}


class PageWatch:
    """Takes the answers of one member as they come, and says which pages are still wanted.

    Args:
        member: its name in `family`, where its p-values are kept up to date.
        reference: the reference's run, scored.
        requests: all that the member would answer.
        margin: a fraction of 1.
        until: no new page after this moment of `time.monotonic`; None: no end.
    """

    def __init__(
        self,
        member: str,
        family: Family,
        reference: Run,
        data: Mapping[str, Loaded],
        requests: Sequence[Request],
        seed: int,
        margin: float,
        until: float | None = None,
    ) -> None:
        self._member, self._family, self._until = member, family, until
        self._reference = {name: reference.keyed(name) for name in reference.info.benchmarks}
        self._rules = {name: each.rule for name, each in reference.info.benchmarks.items()}
        self._data = data
        self._pages = _pages(requests, seed)
        self._at = 0
        self._answers: dict[Name, Answer] = {}
        self._used: set[tuple[str, Key]] = set()
        self._decided: set[str] = set()
        scores: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for page in self._pages:
            scores[page[0].example.benchmark].append(self._scores(page))
        self.bets = {
            name: PageBets([right for right, _ in each], [wrong for _, wrong in each], margin)
            for name, each in scores.items()
        }

    def ordered(self, groups: Sequence[Group]) -> list[Group]:
        """The groups in the order of their pages."""
        places = {_place(page): number for number, page in enumerate(self._pages)}
        return sorted(groups, key=lambda group: places[_place(group)])

    def wants(self, group: Group) -> bool:
        """Whether the page's answers can still change anything, and there is time."""
        if self._until is not None and time.monotonic() >= self._until:
            return False
        return group[0].example.benchmark not in self._decided

    def seen(self, answer: Answer) -> None:
        """An answer is on disk. One that was seen before changes nothing."""
        if answer.name in self._answers or not answer.is_final:
            return
        self._answers[answer.name] = answer
        while self._at < len(self._pages):
            page = self._pages[self._at]
            benchmark = page[0].example.benchmark
            if benchmark not in self._decided:
                if any(request.name not in self._answers for request in page):
                    return
                self._look(benchmark, page)
            self._at += 1

    def looked(self, fixed: Comparison, controlled: ControlledDifference | None) -> Looked:
        """How far it came with a benchmark, beside what is said if one takes that as planned."""
        pages = [page for page in self._pages if page[0].example.benchmark == fixed.benchmark]
        names = {request.name[:3] for page in pages for request in page}
        used = sum(benchmark == fixed.benchmark for benchmark, _ in self._used)
        bets = self.bets[fixed.benchmark]
        return Looked(fixed.benchmark, used, len(names), bets.pages, len(pages), fixed, controlled)

    def kept(self, run: Run) -> Run:
        """The member's run with the answers that were looked at, and no others."""
        return replace(run, items=tuple(i for i in run.items if (i.benchmark, i.key) in self._used))

    def _look(self, benchmark: str, page: Group) -> None:
        examples = [request.example for request in page if request.sample == 0]
        loaded = {benchmark: Loaded(examples, self._data[benchmark].provenance)}
        answers = [self._answers[request.name] for request in page]
        items = items_of(answers, loaded, [self._rules[benchmark]])
        self._used |= {(benchmark, item.key) for item in items}
        gains = [gain for item in items if (gain := self._gain(item)) is not None]
        bets = self.bets[benchmark]
        bets.add(sum(gains), len(gains))
        self._family[self._member, benchmark] = PValues(bets.p_difference, bets.p_non_inferior)
        if min(bets.p_difference, bets.p_non_inferior) < ALPHA:  # no corrected p-value is smaller
            self._decided |= _decided(self._family, self._member)

    def _scores(self, page: Group) -> tuple[float, float]:
        """What the reference has right on a page, and what it has not."""
        benchmark = page[0].example.benchmark
        rule, items = self._rules[benchmark], self._reference[benchmark]
        keys = dict.fromkeys(request.name[1:3] for request in page)
        values = [items[key].value(rule) for key in keys if key in items]
        known = [value for value in values if value is not None]
        return sum(known), len(known) - sum(known)

    def _gain(self, item: Item) -> float | None:
        reference = self._reference[item.benchmark].get(item.key)
        rule = self._rules[item.benchmark]
        ours, theirs = item.value(rule), reference.value(rule) if reference else None
        return None if ours is None or theirs is None else ours - theirs


def _place(group: Group) -> tuple[str, str]:
    example = group[0].example
    return example.benchmark, example.group


def _pages(requests: Sequence[Request], seed: int) -> list[Group]:
    """Every page, in turn from each benchmark; within one by `page_rank`."""
    groups = by_prefix(requests)
    by_benchmark: dict[str, list[Group]] = defaultdict(list)
    for place in sorted(groups, key=lambda place: page_rank(seed, *place)):
        by_benchmark[place[0]].append(groups[place])
    turns = [
        (turn, number, page)
        for number, name in enumerate(sorted(by_benchmark))
        for turn, page in enumerate(by_benchmark[name])
    ]
    return [page for _, _, page in sorted(turns, key=lambda each: each[:2])]


def _decided(family: Family, member: str) -> set[str]:
    """The member's benchmarks of which something is shown."""
    places = list(family)
    different = holm([family[place].difference for place in places])
    as_good = holm([family[place].non_inferior for place in places])
    return {
        place[1]
        for place, one, other in zip(places, different, as_good, strict=True)
        if place[0] == member and min(one or 0.0, other or 0.0) < ALPHA
    }


def anytime(comparisons: Sequence[Comparison], watch: PageWatch, margin: float) -> list[Comparison]:
    """The comparisons with p-values and limits that hold wherever one stopped; not judged yet.

    The average's limits are the mean of the benchmarks' own, each at 1 - α / benchmarks: all of these hold
    at once with probability 1 - α, whatever the benchmarks have to do with each other. Its p-values are twice
    the smaller of two: the smallest α at which these limits exclude the null, and the largest p-value of the
    benchmarks where all of them point the same way (an average at the null has a benchmark at it or beyond:
    an intersection-union test).
    """
    bets = [watch.bets[each.benchmark] for each in comparisons if each.benchmark != AVERAGE]
    found = []
    for each in comparisons:
        if each.benchmark == AVERAGE:
            limits = _average_limits(bets, ALPHA)
            agree = len({one.gain > 0 for one in bets}) == 1
            all_differ = max(one.p_difference for one in bets) if agree else 1.0
            all_as_good = max(one.p_non_inferior for one in bets)
            p_difference = min(1.0, 2 * min(_smallest(bets, 0.0, both=True), all_differ))
            p_non_inferior = min(1.0, 2 * min(_smallest(bets, -margin, both=False), all_as_good))
        else:
            own = watch.bets[each.benchmark]
            limits = own.limits(1 - ALPHA)
            p_difference, p_non_inferior = own.p_difference, own.p_non_inferior
        found.append(
            replace(
                each,
                difference=_with_limits(each.difference, limits),
                p_difference=p_difference,
                p_non_inferior=p_non_inferior,
                detectable=None,
            )
        )
    return found


def _with_limits(estimate: Estimate, limits: tuple[float, float]) -> Estimate:
    low, high = limits
    return replace(estimate, low=min(low, estimate.value), high=max(high, estimate.value))


def _average_limits(bets: Sequence[PageBets], alpha: float) -> tuple[float, float]:
    limits = [each.limits(1 - alpha / len(bets)) for each in bets]
    return sum(low for low, _ in limits) / len(limits), sum(high for _, high in limits) / len(limits)


def _smallest(bets: Sequence[PageBets], null: float, *, both: bool) -> float:
    """The smallest α, down to about 1e-12, at which the average's limits exclude `null`."""

    def excluded(alpha: float) -> bool:
        low, high = _average_limits(bets, alpha)
        return low > null or (both and high < null)

    if not excluded(0.99):
        return 1.0
    low, high = 1e-12, 0.99
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if excluded(middle) else (middle, high)
    return high
