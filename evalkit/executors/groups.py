"""The prefix groups of a run: who works on which, and what of each is still missing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from evalkit.example import OwnAnswer
from evalkit.runner.answers import Answers
from evalkit.runner.order import Group
from evalkit.runner.request import Name, Request

_SHARES_PER_SLOT = 4
_SHORTEST_SHARE = 4


def longest_share(requests: int, slots: int) -> int:
    """How many requests a group may have, so that none keeps one slot at work when the others are done.

    A quarter of an even share, but not so few that shared prefixes are computed again and again.

    Args:
        slots: of all workers.
    """
    return max(_SHORTEST_SHARE, -(-requests // (slots * _SHARES_PER_SLOT)))


def split(groups: Sequence[Group], slots: int) -> list[Group]:
    """Groups of at most `longest_share` requests; one whose requests build on each other stays whole."""
    longest = longest_share(sum(map(len, groups)), slots)
    return [part for group in groups for part in (_parts(group, longest) if _is_loose(group) else [group])]


def _is_loose(group: Group) -> bool:
    return not any(isinstance(m, OwnAnswer) for request in group for m in request.example.messages)


def _parts(group: Group, longest: int) -> list[Group]:
    return [group[start : start + longest] for start in range(0, len(group), longest)]


@dataclass(order=True, slots=True)
class Share:
    """A group on its way to being finished. ``losses``: how many workers were lost with it.

    Groups are taken by number. One that has seen two workers go waits behind all others, so that a group
    which no worker survives keeps none of them from being finished.
    """

    is_late: bool = field(init=False, default=False)
    number: int
    requests: tuple[Request, ...] = field(compare=False)
    missing: dict[Name, Request] = field(compare=False)
    losses: int = field(init=False, default=0, compare=False)


class Shares:
    """All groups that lack something, in the order in which they should be taken."""

    def __init__(self, groups: Sequence[Group], answers: Answers) -> None:
        self._queue: asyncio.PriorityQueue[Share] = asyncio.PriorityQueue()
        self._of: dict[Name, Share] = {}
        for number, group in enumerate(groups):
            missing = {r.name: r for r in group if answers.record(r) is None}
            share = Share(number, tuple(group), missing)
            self._of.update(dict.fromkeys(missing, share))
            if missing:
                self._queue.put_nowait(share)

    @property
    def count(self) -> int:
        """How many groups wait for a worker."""
        return self._queue.qsize()

    @property
    def missing(self) -> int:
        """How many answers are still to come."""
        return len(self._of)

    async def take(self) -> Share:
        """The next group; waits for one that a lost worker gives back."""
        return await self._queue.get()

    def settle(self, name: Name) -> Request | None:
        """The request that an answer is for; None if it has one already."""
        share = self._of.pop(name, None)
        if share is None:
            return None
        return share.missing.pop(name)

    def give_back(self, shares: Iterable[Share]) -> None:
        """Take back what a lost worker had."""
        for share in shares:
            if share.missing:
                share.losses += 1
                share.is_late = share.losses > 1
                self._queue.put_nowait(share)
