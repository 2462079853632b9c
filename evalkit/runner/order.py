"""The order in which requests are sent, and how little prompt work that order could cost.

llama.cpp keeps one prefix per slot, so the questions of one page belong on one slot, one after the other.
The longest pages start first, so that the slots finish together.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from evalkit.example import Example
from evalkit.runner.request import Request

Group = list[Request]


def requests_of(examples: Iterable[Example], samples: int) -> list[Request]:
    """Each example `samples` times, the samples of one example next to each other."""
    return [Request(example, sample) for example in examples for sample in range(samples)]


def grouped(requests: Iterable[Request], size: Callable[[Request], int]) -> list[Group]:
    """Requests as prefix groups, in the order in which slots should take them.

    Benchmarks stay together, because all items of one share their instruction; the benchmark with the
    longest prompts comes first, and so does the longest group in it. Ties keep the loader's order, so the
    result depends on nothing but the requests.

    Args:
        size: tokens (or characters) of a request's prompt.
    """
    groups: dict[tuple[str, str], Group] = defaultdict(list)
    for request in requests:
        groups[request.example.benchmark, request.example.group].append(request)
    sizes = {request.name: size(request) for group in groups.values() for request in group}
    longest_of_benchmark: dict[str, int] = defaultdict(int)
    for (benchmark, _), group in groups.items():
        longest = max(sizes[request.name] for request in group)
        longest_of_benchmark[benchmark] = max(longest_of_benchmark[benchmark], longest)

    def rank(item: tuple[tuple[str, str], Group]) -> tuple[int, str, int]:
        (benchmark, _), group = item
        return (-longest_of_benchmark[benchmark], benchmark, -sum(sizes[r.name] for r in group))

    return [group for _, group in sorted(groups.items(), key=rank)]


def distinct_tokens(prompts: Iterable[array[int]]) -> int:
    """How many prompt tokens are left when no shared prefix is computed twice: the nodes of their trie.

    Sorted lexicographically, every prompt shares its longest common prefix with a neighbour, so the sum of
    the lengths less the common prefixes of neighbours counts every node once.
    """
    ordered = sorted(prompts)
    total = 0
    previous = array("i")
    for prompt in ordered:
        total += len(prompt) - common_prefix(previous, prompt)
        previous = prompt
    return total


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the longest common prefix."""
    limit = min(len(a), len(b))
    return next((i for i in range(limit) if a[i] != b[i]), limit)
