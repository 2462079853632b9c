"""Two models' free-text answers to the same questions, each pair put before a judge in both orders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from evalkit.benchmarks.sampling import rank
from evalkit.compare.comparison import Estimate
from evalkit.compare.refusals import check_data, check_prompts, check_protocols
from evalkit.compare.side import Side
from evalkit.errors import UserError
from evalkit.example import TextGold
from evalkit.judge.case import Case, Judgement, Language
from evalkit.judge.subject import language_of, question_of, reference_of
from evalkit.judge.verdicts import answered
from evalkit.runner.request import Name

Judge = Callable[[Sequence[Case]], list[Judgement]]
Outcome = Literal["win", "tie", "loss", "inconsistent", "error"]

_VALUE = {"win": 1.0, "tie": 0.5, "inconsistent": 0.5, "loss": 0.0}


@dataclass(frozen=True, slots=True)
class Match:
    """Both runs' answers to one example; ``case`` shows A's first."""

    name: Name
    group: str
    case: Case


@dataclass(frozen=True, slots=True)
class Judged:
    """How a pair went for A. ``judged`` is False where no judge was needed: equal answers, or no answer.

    ``first_won`` holds, for each order, 1 if the answer shown first won, 0 if the second did, 0.5 for a tie.
    """

    match: Match
    outcome: Outcome
    judged: bool
    first_won: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Tally:
    """A's results against B on one benchmark.

    ``inconsistent`` pairs went to another answer in the other order, or to a tie in one of them: they count
    as ties in ``rate``, A's wins plus half its ties, clustered by group. ``p_sign`` is the exact sign test of
    wins against losses. ``first_rate`` is the share of verdicts (other than ties) won by the answer shown
    first: 0.5 without a position bias, as each pair was shown in both orders. None where there is nothing.
    """

    benchmark: str
    pairs: int
    win: int
    tie: int
    loss: int
    inconsistent: int
    error: int
    unjudged: int
    rate: Estimate | None
    p_sign: float
    first_rate: Estimate | None


def matches(a: Side, b: Side, benchmark: str | None = None) -> dict[str, list[Match]]:
    """The free-text answers that both runs have to the same examples, by benchmark, in A's order.

    Raises:
        UserError: the runs were asked differently, or have no free-text answers in common.
    """
    check_protocols(a, b)
    names = [name for name in a.items if name in b.items and benchmark in (None, name)]
    found = {name: pairs for name in names if (pairs := _of_benchmark(a, b, name))}
    if not found:
        of = f" of {benchmark}" if benchmark else ""
        raise UserError(
            f"{a.path} and {b.path} have no free-text answers{of} in common: "
            "pairwise needs a benchmark such as finance_instruct in both runs"
        )
    return found


def _of_benchmark(a: Side, b: Side, name: str) -> list[Match]:
    ours, theirs = a.items[name], b.items[name]
    keys = [key for key in ours if key in theirs and isinstance(ours[key].example.gold, TextGold)]
    if keys:
        check_data(name, a, b)
        check_prompts(name, a, b, keys)
    found = []
    for key in keys:
        example = ours[key].example
        question = question_of(example)
        reference = reference_of(example.gold)
        others = {score.record.sample: score for score in theirs[key].scores}
        for score in ours[key].scores:
            other = others.get(score.record.sample)
            if other is None or score.failed or other.failed:
                continue
            case = Case(
                "pairwise",
                question,
                reference,
                answer=score.record.text or "",
                other=other.record.text or "",
                language=language_of(question),
            )
            found.append(Match(score.record.name, score.record.group, case))
    return found


def drawn(
    pairs: Sequence[Match], n: int | None, seed: int, language: Language | Literal["auto"]
) -> list[Match]:
    """A random sample of `n` pairs (None: all), under the judge's language."""
    chosen = sorted(pairs, key=lambda pair: rank(seed, f"pair\0{pair.name!r}"))[:n]
    if language == "auto":
        return chosen
    return [replace(pair, case=replace(pair.case, language=language)) for pair in chosen]


def play(pairs: Sequence[Match], judge: Judge) -> list[Judged]:
    """The outcome of each pair, in order. A pair is won only if both orders say so."""
    decided = {pair.name: outcome for pair in pairs if (outcome := _without_judge(pair.case))}
    open_ = [pair for pair in pairs if pair.name not in decided]
    shown = [pair.case for pair in open_]
    said = judge([*shown, *map(swapped, shown)])
    rulings = zip(said[: len(open_)], said[len(open_) :], strict=True)
    judged = {pair.name: _judged(pair, *both) for pair, both in zip(open_, rulings, strict=True)}
    return [judged.get(pair.name) or Judged(pair, decided[pair.name], judged=False) for pair in pairs]


def swapped(case: Case) -> Case:
    """The same pair with the other answer shown first."""
    return replace(case, answer=case.other, other=case.answer)


def _without_judge(case: Case) -> Outcome | None:
    ours, theirs = answered(case.answer), answered(case.other)
    if ours and theirs:
        return "tie" if case.answer.strip() == case.other.strip() else None
    return "tie" if ours == theirs else "win" if ours else "loss"


def _judged(pair: Match, shown: Judgement, reversed_: Judgement) -> Judged:
    if shown.ruling is None or reversed_.ruling is None:
        return Judged(pair, "error", judged=True)
    first, second = shown.ruling.score, reversed_.ruling.score
    outcomes: dict[float, Outcome] = {1.0: "win", 0.5: "tie", 0.0: "loss"}
    outcome = outcomes[first] if first == 1 - second else "inconsistent"
    return Judged(pair, outcome, True, (first, second))


def tally(benchmark: str, played: Sequence[Judged]) -> Tally:
    """The pairs of one benchmark, counted."""
    from evalkit.stats.mcnemar import mcnemar_exact

    counts = Counter(each.outcome for each in played)
    valued = [(_VALUE[each.outcome], each.match.group) for each in played if each.outcome != "error"]
    firsts = [(won, each.match.group) for each in played for won in each.first_won if won != 0.5]
    return Tally(
        benchmark=benchmark,
        pairs=len(played),
        win=counts["win"],
        tie=counts["tie"],
        loss=counts["loss"],
        inconsistent=counts["inconsistent"],
        error=counts["error"],
        unjudged=sum(not each.judged for each in played),
        rate=_mean(valued),
        p_sign=mcnemar_exact(counts["loss"], counts["win"]),
        first_rate=_mean(firsts),
    )


def _mean(valued: Sequence[tuple[float, str]]) -> Estimate | None:
    from evalkit.stats.paired import mean_estimate

    if not valued:
        return None
    values, groups = zip(*valued, strict=True)
    return mean_estimate(values, groups)


def finding(a: str, b: str, found: Tally) -> str:
    """What the pairs say, in one sentence."""
    if found.rate is None:
        return f"no pair of {found.benchmark} could be judged"
    if found.first_rate is not None and not found.first_rate.low <= 0.5 <= found.first_rate.high:
        place = "first" if found.first_rate.value > 0.5 else "second"
        bias = f"; the judge favours the answer shown {place}"
    else:
        bias = ""
    share = f"wins {found.win}, loses {found.loss} of {found.pairs - found.error} pairs"
    if found.p_sign >= 0.05:
        return f"{found.benchmark}: {a} and {b} cannot be told apart ({share}){bias}"
    better = a if found.win > found.loss else b
    return f"{found.benchmark}: {better} is preferred ({a} {share}){bias}"
