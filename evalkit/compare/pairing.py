"""Which examples two runs have in common, and which of those can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.compare.refusals import check_data, check_prompts, check_protocols, refusal
from evalkit.compare.side import Side
from evalkit.compare.wording import named
from evalkit.errors import UserError
from evalkit.report.items import Item, Key

Pair = tuple[Item, Item]
"""The candidate's item and the reference's, of one example."""


@dataclass(frozen=True, slots=True)
class PairedBenchmark:
    """The examples of one benchmark that both runs have; ``pairs`` holds those scored on both sides.

    The rest is counted: ``failed`` have no answer on a side because its engine gave none, ``unscored`` are
    free text without a judge, ``only_…`` have no record in the other run.
    """

    benchmark: str
    title: str
    pairs: list[Pair]
    only_candidate: int
    only_reference: int
    failed: int
    unscored: int


def pair(candidate: Side, reference: Side, *, same_examples: bool) -> list[PairedBenchmark]:
    """The benchmarks that both runs have, in the reference's order, example by example.

    Args:
        same_examples: whether an example, or a benchmark, that only one side has is a refusal; else the
            common ones are paired and the rest is counted.

    Raises:
        UserError: nothing in common, nothing scored, or the two differ in what they were asked: settings that
            shape answers, data, prompts, gold answers (see `refusals`). The line says which.
    """
    check_protocols(candidate, reference)
    common = _common_benchmarks(candidate, reference, same_examples)
    paired = [_pair_benchmark(name, candidate, reference, same_examples) for name in common]
    if not any(benchmark.pairs for benchmark in paired):
        raise _nothing_scored(candidate, reference, paired)
    return paired


def _common_benchmarks(candidate: Side, reference: Side, same_examples: bool) -> list[str]:
    common = [name for name in reference.items if name in candidate.items]
    ours, theirs = ", ".join(candidate.items), ", ".join(reference.items)
    what = f"the first has {ours or 'none'}, the second {theirs or 'none'}"
    if not common:
        raise refusal(
            candidate, reference, f"no common benchmark ({what})", "run both on the same benchmarks"
        )
    if same_examples and candidate.items.keys() != reference.items.keys():
        raise refusal(
            candidate, reference, f"different benchmarks ({what})", "run both on the same benchmarks"
        )
    return common


def _pair_benchmark(name: str, candidate: Side, reference: Side, same_examples: bool) -> PairedBenchmark:
    check_data(name, candidate, reference)
    ours, theirs = candidate.items[name], reference.items[name]
    common = [key for key in theirs if key in ours]
    only_ours = [key for key in ours if key not in theirs]
    only_theirs = [key for key in theirs if key not in ours]
    if same_examples and (only_ours or only_theirs):
        parts = [
            _only(keys, which) for keys, which in ((only_ours, "first"), (only_theirs, "second")) if keys
        ]
        do = "run both to their end with the same limit, seed and sampling"
        raise refusal(candidate, reference, f"{name}: different examples ({', '.join(parts)})", do)
    check_prompts(name, candidate, reference, common)
    both = [(ours[key], theirs[key]) for key in common]
    scored = [(a, b) for a, b in both if a.value is not None and b.value is not None]
    failed = sum(a.failed or b.failed for a, b in both)
    return PairedBenchmark(
        benchmark=name,
        title=str(reference.config["benchmark"][name]["title"]),
        pairs=scored,
        only_candidate=len(only_ours),
        only_reference=len(only_theirs),
        failed=failed,
        unscored=len(both) - len(scored) - failed,
    )


def _only(keys: Sequence[Key], which: str) -> str:
    return f"{len(keys)} only in the {which}, such as {named(keys[0])}"


def _nothing_scored(candidate: Side, reference: Side, paired: Sequence[PairedBenchmark]) -> UserError:
    failed = sum(benchmark.failed for benchmark in paired)
    unscored = sum(benchmark.unscored for benchmark in paired)
    names = ", ".join(benchmark.benchmark for benchmark in paired)
    if not failed + unscored:
        return refusal(
            candidate, reference, f"no common examples in {names}", "run both with the same limit and seed"
        )
    what = (
        f"of the common examples in {names}, {failed} have no answer on a side and {unscored} are free text"
    )
    return refusal(candidate, reference, f"nothing is scored on both sides ({what})", "add a benchmark")
