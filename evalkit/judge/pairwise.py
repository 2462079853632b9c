"""Two models' free-text answers to the same questions, each pair put before a judge in both orders."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from evalkit.compare.pairs import check_data, check_prompts, check_protocols
from evalkit.judge.judge import language_of
from evalkit.judge.prompt import Case
from evalkit.run.info import Run
from evalkit.run.judgements import answered
from evalkit.schema import Estimate, Item, Judgement, Language, Name, UserError, rank
from evalkit.text import code, percent, plain, table

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
class PairOutcome:
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


def matches(a: Run, b: Run, benchmark: str | None = None) -> dict[str, list[Match]]:
    """The free-text answers that both runs have to the same examples, by benchmark, in A's order.

    Raises:
        UserError: the runs were asked differently, or have no free-text answers in common.
    """
    check_protocols(a, b)
    names = [name for name in a.info.benchmarks if name in b.info.benchmarks and benchmark in (None, name)]
    found = {name: pairs for name in names if (pairs := _of_benchmark(a, b, name))}
    if not found:
        of = f" of {benchmark}" if benchmark else ""
        raise UserError(
            f"{a.path} and {b.path} have no free-text answers{of} in common: "
            "pairwise needs a benchmark such as finance_instruct in both runs"
        )
    return found


def _of_benchmark(a: Run, b: Run, name: str) -> list[Match]:
    ours, theirs = a.keyed(name), b.keyed(name)
    keys = [key for key, item in ours.items() if key in theirs and item.gold_kind == "text"]
    if keys:
        check_data(name, a, b)
        check_prompts(name, a, b, keys)
    return [match for key in keys for match in _of_example(ours[key], theirs[key])]


def _of_example(ours: Item, theirs: Item) -> Iterator[Match]:
    others = {sample.number: sample for sample in theirs.samples}
    for sample in ours.samples:
        other = others.get(sample.number)
        if other is None or sample.error is not None or other.error is not None:
            continue
        case = Case(
            "pairwise",
            ours.question,
            ours.gold,
            answer=sample.text or "",
            other=other.text or "",
            language=language_of(ours.question),
        )
        yield Match((ours.benchmark, ours.id, ours.turn, sample.number), ours.group, case)


def drawn(
    pairs: Sequence[Match], n: int | None, seed: int, language: Language | Literal["auto"]
) -> list[Match]:
    """A random sample of `n` pairs (None: all), under the judge's language."""
    chosen = sorted(pairs, key=lambda pair: rank(seed, f"pair\0{pair.name!r}"))[:n]
    if language == "auto":
        return chosen
    return [replace(pair, case=replace(pair.case, language=language)) for pair in chosen]


def play(pairs: Sequence[Match], judge: Judge) -> list[PairOutcome]:
    """The outcome of each pair, in order. A pair is won only if both orders say so."""
    decided = {pair.name: outcome for pair in pairs if (outcome := _without_judge(pair.case))}
    open_ = [pair for pair in pairs if pair.name not in decided]
    shown = [pair.case for pair in open_]
    said = judge([*shown, *map(swapped, shown)])
    rulings = zip(said[: len(open_)], said[len(open_) :], strict=True)
    judged = {pair.name: _judged(pair, *both) for pair, both in zip(open_, rulings, strict=True)}
    return [judged.get(pair.name) or PairOutcome(pair, decided[pair.name], judged=False) for pair in pairs]


def swapped(case: Case) -> Case:
    """The same pair with the other answer shown first."""
    return replace(case, answer=case.other, other=case.answer)


def _without_judge(case: Case) -> Outcome | None:
    ours, theirs = answered(case.answer), answered(case.other)
    if ours and theirs:
        return "tie" if case.answer.strip() == case.other.strip() else None
    return "tie" if ours == theirs else "win" if ours else "loss"


def _judged(pair: Match, shown: Judgement, reversed_: Judgement) -> PairOutcome:
    if shown.ruling is None or reversed_.ruling is None:
        return PairOutcome(pair, "error", judged=True)
    first, second = shown.ruling.score, reversed_.ruling.score
    outcomes: dict[float, Outcome] = {1.0: "win", 0.5: "tie", 0.0: "loss"}
    outcome = outcomes[first] if first == 1 - second else "inconsistent"
    return PairOutcome(pair, outcome, True, (first, second))


def tally(benchmark: str, played: Sequence[PairOutcome]) -> Tally:
    """The pairs of one benchmark, counted."""
    from evalkit.stats.paired import mcnemar_exact

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


SCHEMA = 1
HEADER = (
    "Benchmark",
    "Pairs",
    "Win",
    "Tie",
    "Loss",
    "Inconsistent",
    "Errors",
    "Win rate",
    "p",
    "First wins",
)


@dataclass(frozen=True, slots=True)
class Pairwise:
    """What is said of two runs. ``judge`` is the judge's name and identity, ``settings`` n and seed."""

    a: str
    b: str
    judge: Mapping[str, Any]
    settings: Mapping[str, Any]
    tallies: Sequence[Tally]
    played: Sequence[PairOutcome]

    @property
    def errors(self) -> int:
        return sum(found.error for found in self.tallies)


def to_json(found: Pairwise) -> str:
    content = {
        "schema": SCHEMA,
        "a": found.a,
        "b": found.b,
        "judge": found.judge,
        "settings": found.settings,
        "benchmarks": {each.benchmark: asdict(each) for each in found.tallies},
        "pairs": [_pair(each) for each in found.played],
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _pair(each: PairOutcome) -> dict[str, Any]:
    benchmark, id_, turn, sample = each.match.name
    place = {"benchmark": benchmark, "id": id_, "turn": turn, "sample": sample}
    return {**place, "outcome": each.outcome, "judged": each.judged, "first_won": each.first_won}


def to_markdown(found: Pairwise) -> str:
    rows = [[code(row[0]), *row[1:]] for row in rows_of(found)]
    parts = [
        f"# {plain(found.a)} against {plain(found.b)}",
        f"Judge: {plain(str(found.judge['name']))}. A is {plain(found.a)}.",
        *(plain(line, cap=400) for line in findings(found)),
        table(HEADER, rows),
        "\n".join(f"- {line}" for line in notes(found)),
    ]
    return "\n\n".join(parts) + "\n"


def rows_of(found: Pairwise) -> list[list[str]]:
    """The table's rows as text; counts and rates are those of the first run."""
    return [
        [
            each.benchmark,
            *(str(count) for count in (each.pairs, each.win, each.tie, each.loss, each.inconsistent)),
            str(each.error),
            percent(each.rate),
            f"{each.p_sign:.3g}",
            percent(each.first_rate),
        ]
        for each in found.tallies
    ]


def findings(found: Pairwise) -> list[str]:
    return [finding(found.a, found.b, each) for each in found.tallies]


def notes(found: Pairwise) -> list[str]:
    unjudged = sum(each.unjudged for each in found.tallies)
    return [
        "Each pair was judged in both orders; it is won only if both say so. Inconsistent: the order changed "
        "the verdict; such pairs count as ties.",
        "Win rate: wins plus half the ties, with a 95 % interval clustered by group. p: exact sign test of "
        "wins against losses.",
        "First wins: share of verdicts for the answer shown first, ties left out; 50 % without a position "
        "bias.",
        f"{unjudged} pairs needed no judge (equal answers, or no answer after the reasoning, which loses); "
        f"{found.errors} have no verdict in an order and are left out.",
        "A judge prefers longer and more confident answers, and those of its own family: a win rate is the "
        "judge's taste until it was calibrated.",
    ]
