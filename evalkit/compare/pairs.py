"""Which examples two runs have in common, and which of those can be compared.

Refused are differences that would pass for a difference of the models: settings that shape answers, data,
prompts, gold answers. Of the protocol these are temperature, repetition penalty, system prompt and
`max_tokens` (a model whose own cap is lower than the protocol's is that model, and no refusal); top_p, top_k,
min_p and the seed only where answers are sampled: at temperature 0 they decide nothing. The number of samples
may differ: an item's score is their mean either way.

Free text, which no rule can score, counts as judged where both runs have a judge whose scores are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evalkit.benchmarks.depth import unpadded
from evalkit.metrics import counting_rule
from evalkit.run.info import Run, different_data, judging, question_settings
from evalkit.schema import DEFAULT, JUDGED, Item, Key, UserError
from evalkit.text import named, shown

Pair = tuple[Item, Item]
"""The candidate's item and the reference's, of one example."""


@dataclass(frozen=True, slots=True)
class PairedBenchmark:
    """The examples of one benchmark that both runs have; ``pairs`` holds those scored on both sides.

    `rule` is the one whose scores are compared. The rest is counted: ``failed`` have no answer on a side
    because its engine gave none, ``unscored`` are free text without a judge's verdict on a side, or (``code``
    of them) code that was not run, ``only_…`` have no record in the other run. ``judge`` is the name of the
    judge whose verdicts are compared, None where a rule's are.
    """

    benchmark: str
    title: str
    rule: str
    pairs: list[Pair]
    only_candidate: int
    only_reference: int
    failed: int
    unscored: int
    judge: str | None = None
    code: int = 0


def pair(
    candidate: Run, reference: Run, *, rule: str | None = None, same_examples: bool, judged: bool = True
) -> list[PairedBenchmark]:
    """The benchmarks that both runs have, in the reference's order, example by example.

    Args:
        rule: the one to compare under; None: the one that counts in the reference.
        same_examples: whether an example, or a benchmark, that only one side has is a refusal; else the
            common ones are paired and the rest is counted.
        judged: whether free text counts as judged, if it was; not under a `rule` that was asked for.

    Raises:
        UserError: nothing in common, nothing scored, or the two differ in what they were asked: settings that
            shape answers, data, prompts, gold answers. The line says which.
    """
    check_protocols(candidate, reference)
    common = _common_benchmarks(candidate, reference, same_examples)
    paired = []
    for name in common:
        counts = rule or reference.info.benchmarks[name].rule
        if judged and rule in (None, DEFAULT) and _is_judged(name, counts, candidate, reference):
            counts = JUDGED
        paired.append(_pair_benchmark(name, counts, candidate, reference, same_examples))
    if not any(benchmark.pairs for benchmark in paired):
        raise _nothing_scored(candidate, reference, paired)
    return paired


def _is_judged(name: str, rule: str, candidate: Run, reference: Run) -> bool:
    """Whether a benchmark counts as judged on both sides, which must then be in the same way."""
    if any(counting_rule(run.of(name), rule) != JUDGED for run in (candidate, reference)):
        return False
    check_judges(name, candidate, reference)
    return True


def _common_benchmarks(candidate: Run, reference: Run, same_examples: bool) -> list[str]:
    ours, theirs = (
        [name for name, items in run.by_benchmark().items() if items] for run in (candidate, reference)
    )
    common = [name for name in theirs if name in ours]
    what = f"the first has {', '.join(ours) or 'none'}, the second {', '.join(theirs) or 'none'}"
    if not common:
        raise refusal(
            candidate, reference, f"no common benchmark ({what})", "run both on the same benchmarks"
        )
    if same_examples and set(ours) != set(theirs):
        raise refusal(
            candidate, reference, f"different benchmarks ({what})", "run both on the same benchmarks"
        )
    return common


def _pair_benchmark(
    name: str, rule: str, candidate: Run, reference: Run, same_examples: bool
) -> PairedBenchmark:
    check_data(name, candidate, reference)
    ours, theirs = candidate.keyed(name), reference.keyed(name)
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
    scored = [(a, b) for a, b in both if a.value(rule) is not None and b.value(rule) is not None]
    answered = [(a, b) for a, b in both if not (a.failed or b.failed)]
    failed = len(both) - len(answered)
    judge = reference.info.judge
    return PairedBenchmark(
        benchmark=name,
        title=reference.info.benchmarks[name].title,
        rule=rule,
        pairs=scored,
        only_candidate=len(only_ours),
        only_reference=len(only_theirs),
        failed=failed,
        unscored=len(both) - len(scored) - failed,
        code=sum(a.gold_kind == "code" and None in (a.value(rule), b.value(rule)) for a, b in answered),
        judge=judge.judge.name if judge and scored and rule == JUDGED else None,
    )


def _only(keys: Sequence[Key], which: str) -> str:
    return f"{len(keys)} only in the {which}, such as {named(keys[0])}"


def _nothing_scored(candidate: Run, reference: Run, paired: Sequence[PairedBenchmark]) -> UserError:
    failed = sum(benchmark.failed for benchmark in paired)
    unscored = sum(benchmark.unscored for benchmark in paired)
    names = ", ".join(benchmark.benchmark for benchmark in paired)
    if not failed + unscored:
        return refusal(
            candidate, reference, f"no common examples in {names}", "run both with the same limit and seed"
        )
    what = (
        f"of the common examples in {names}, {failed} have no answer on a side and {unscored} are free text"
        " or code that was not run"
    )
    return refusal(candidate, reference, f"nothing is scored on both sides ({what})", "add a benchmark")


_SHAPING = ("temperature", "repetition_penalty", "max_tokens", "system")
_SAMPLING = ("top_p", "top_k", "min_p")


def refusal(candidate: Run, reference: Run, what: str, do: str) -> UserError:
    """The error that says in one line why two runs are not compared, and what to do."""
    return UserError(f"{candidate.path} cannot be compared with {reference.path}: {what}: {do}")


def check_protocols(candidate: Run, reference: Run) -> None:
    """Raises UserError, naming the setting, if the two were not asked for answers in the same way."""
    ours, theirs = candidate.info, reference.info
    # Temperature comes first: of two runs that differ in it, the reader must hear of nothing else.
    sampled = bool(ours.protocol.temperature)
    names = (*_SHAPING, *(_SAMPLING if sampled else ()))
    values = [
        (f"protocol.{name}", getattr(ours.protocol, name), getattr(theirs.protocol, name)) for name in names
    ]
    if sampled:
        values.append(("seed", ours.selection.seed, theirs.selection.seed))
    for key, mine, other in values:
        if mine != other:
            what = f"{key} is {shown(mine)} in the first and {shown(other)} in the second"
            raise refusal(candidate, reference, what, f"run both with the same {key}")


def check_data(benchmark: str, candidate: Run, reference: Run) -> None:
    """Raises UserError if the records of `benchmark` were not the same."""
    different = different_data(candidate.info.data[benchmark], reference.info.data[benchmark])
    if different:
        what = f"{benchmark}: their data differ ({different})"
        raise refusal(candidate, reference, what, "run both on the same data")


def check_judges(benchmark: str, candidate: Run, reference: Run) -> None:
    """Raises UserError if both sides' scores of `benchmark` are judged, and not in the same way."""
    if judging(candidate.info) != judging(reference.info):
        names = " and ".join(
            shown(run.info.judge.judge.name if run.info.judge else None) for run in (candidate, reference)
        )
        what = f"{benchmark}: its free text was judged in two ways (by {names})"
        raise refusal(candidate, reference, what, "judge both by the same judge with the same settings")


def check_prompts(benchmark: str, candidate: Run, reference: Run, keys: Iterable[Key]) -> None:
    """Raises UserError, naming the first example, if an example's messages or gold answer differ.

    Where both sides show the model its own earlier answers (ConvFinQA, history=own), those may differ; and at
    two depths of context, the other pages' text before the page.
    """
    first, second = (question_settings(run.info, benchmark) for run in (candidate, reference))
    own = [run.info.benchmarks[benchmark].history == "own" for run in (candidate, reference)]
    depths = [run.info.benchmarks[benchmark].depth or 0 for run in (candidate, reference)]
    other_depth = depths[0] != depths[1]
    ours, theirs = candidate.keyed(benchmark), reference.keyed(benchmark)
    for key in keys:
        part = _different_part(ours[key], theirs[key], all(own), other_depth)
        if part:
            what = f"{benchmark}: the {part} of example {named(key)} differs{_why(first, second)}"
            raise refusal(candidate, reference, what, "run both with the same prompts")


def _different_part(ours: Item, theirs: Item, own_history: bool, other_depth: bool) -> str:
    if (ours.gold_kind, ours.gold) != (theirs.gold_kind, theirs.gold):
        return "gold answer"
    mine, other = (_messages(side, own_history, other_depth) for side in (ours, theirs))
    if mine == other:
        return ""
    if [role for role, _ in mine] != [role for role, _ in other]:
        return "order of messages"
    role = next(a for (a, text), (_, b) in zip(mine, other, strict=True) if text != b)
    return f"{shown(role)} message"


def _messages(item: Item, own_history: bool, other_depth: bool) -> list[tuple[str, str | None]]:
    """Role and text of each message as sent; the model's own earlier answers have None for a text.

    Args:
        other_depth: without other pages' text.
    """
    return [
        (role, None if own_history and role == "assistant" else unpadded(text) if other_depth else text)
        for role, text in item.samples[0].messages
    ]


def _why(ours: Mapping[str, object], theirs: Mapping[str, object]) -> str:
    """The settings of the benchmark that explain different prompts, if any."""
    found = [
        f"{name} is {shown(ours.get(name))} and {shown(theirs.get(name))}"
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    ]
    return f" ({'; '.join(found[:2])})" if found else ""
