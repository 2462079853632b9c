"""Questions that are asked twice: the same words, or nearly, about the same page, with the same answer.

Nearly the same has to be narrow where numbers matter: "the change from 2014 to 2015" and "from 2015 to 2016"
share nearly every word and are two questions. So two questions are near duplicates if their gold answers, the
numbers in them and their pages are the same, and their sets of 3-grams of words have a Jaccard index of at
least 0.8. All such pairs are found, without comparing all: two sets that alike share one of their rarest
grams (prefix filtering: Chaudhuri, Ganti and Kaushik 2006, ICDE).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from typing import Literal

from evalkit.overlap.index import from_examples, grams, words_of
from evalkit.overlap.variants import NUMBER
from evalkit.schema import ChoiceGold, Example, TextGold, gold_text

Duplicate = Literal["exact", "near"]

NEAR = 0.8
_N = 3


def duplicates(examples: Sequence[Example]) -> dict[int, tuple[Duplicate, int]]:
    """By place: what an example repeats, and how. The first of several that are the same is no duplicate."""
    found: dict[int, tuple[Duplicate, int]] = {}
    seen: dict[Hashable, int] = {}
    blocks: dict[Hashable, list[tuple[int, frozenset[int]]]] = defaultdict(list)
    for place, (example, asked) in enumerate(zip(examples, from_examples(examples), strict=True)):
        words = words_of(asked.question)
        same = (_gold(example), words_of(example.context).hashes.tobytes())
        first = seen.setdefault((*same, words.hashes.tobytes()), place)
        if first != place:
            found[place] = "exact", first
            continue
        numbers = tuple(sorted(number.replace(",", "") for number in NUMBER.findall(asked.question)))
        own = frozenset(grams(words, min(_N, max(len(words), 1))).tolist())
        blocks[*same, numbers].append((place, own))
    for members in blocks.values():
        found.update(_near(members))
    return found


def _near(members: Sequence[tuple[int, frozenset[int]]]) -> dict[int, tuple[Duplicate, int]]:
    """Of one block, whose examples differ in nothing but words: those near an earlier one that is kept."""
    if len(members) < 2:
        return {}
    counts = Counter(gram for _, own in members for gram in own)
    found: dict[int, tuple[Duplicate, int]] = {}
    kept: dict[int, list[tuple[int, frozenset[int]]]] = defaultdict(list)
    for place, own in members:
        rarest = sorted(own, key=lambda gram: (counts[gram], gram))[
            : len(own) - math.ceil(NEAR * len(own)) + 1
        ]
        near = {
            other
            for gram in rarest
            for other, theirs in kept[gram]
            if len(own & theirs) >= NEAR * len(own | theirs)
        }
        if near:
            found[place] = "near", min(near)
            continue
        for gram in rarest:
            kept[gram].append((place, own))
    return found


def _gold(example: Example) -> str:
    gold = example.gold
    if isinstance(gold, ChoiceGold):
        return gold.options[gold.letter]
    return gold.reference if isinstance(gold, TextGold) else gold_text(gold)
