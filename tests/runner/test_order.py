"""The order of requests and the floor of prompt work."""

from __future__ import annotations

import random
from array import array

from evalkit.run.schedule import common_prefix, distinct_tokens, grouped, requests_of
from tests.runner.toy import example


def trie_size(prompts: list[list[int]]) -> int:
    """The definition, built literally: one node per distinct prefix."""
    return len({tuple(prompt[: end + 1]) for prompt in prompts for end in range(len(prompt))})


def test_distinct_tokens_is_the_size_of_the_trie() -> None:
    chance = random.Random(0)
    for _ in range(200):
        prompts = [
            [chance.randrange(3) for _ in range(chance.randrange(8))] for _ in range(chance.randrange(12))
        ]
        assert distinct_tokens(array("i", prompt) for prompt in prompts) == trie_size(prompts)


def test_a_shared_page_counts_once() -> None:
    page = list(range(100))
    assert distinct_tokens([array("i", [*page, 200, 201]), array("i", [*page, 300])]) == 103


def test_common_prefix() -> None:
    assert common_prefix([1, 2, 3], [1, 2, 4]) == 2
    assert common_prefix([], [1]) == 0
    assert common_prefix([1, 2], [1, 2]) == 2


def test_groups_are_whole_and_the_longest_comes_first() -> None:
    examples = [
        example("a1", "a"),
        example("b1", "b"),
        example("a2", "a"),
        example("b2", "b"),
        example("b3", "b"),
    ]
    groups = grouped(requests_of(examples, 1), lambda _: 10)
    assert [[r.example.id for r in group] for group in groups] == [["b1", "b2", "b3"], ["a1", "a2"]]


def test_samples_of_one_example_are_neighbours() -> None:
    requests = requests_of([example("a"), example("b")], 2)
    assert [(r.example.id, r.sample) for r in requests] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
