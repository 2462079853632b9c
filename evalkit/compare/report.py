"""A comparison in words and tables: every figure as text, for Markdown and for the terminal alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.compare.compared import Compared
from evalkit.compare.comparison import AVERAGE, Comparison, Estimate
from evalkit.compare.pairing import PairedBenchmark

ACCURACY = ("Benchmark", "Verdict", "n", "Reference", "Candidate", "Difference")
FLIPS = ("Benchmark", "right→wrong", "wrong→right", "other wrong", "McNemar p", "Tokens", "Cut off")
TESTS = ("Benchmark", "Difference", "p different", "p not worse", "Detectable")


@dataclass(frozen=True, slots=True)
class Rows:
    """A table as text: the first `text_columns` are words, the others numbers. The first is a title."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    text_columns: int = 1


def verdict_sentence(comparison: Comparison, margin: float) -> str:
    """The verdict in words, the difference in points with its 95 % interval; `margin` is a fraction of 1."""
    difference, verdict = comparison.difference, comparison.verdict
    if verdict.kind == "as_good":
        return f"as good as the reference (within {points(margin)})"
    if verdict.kind == "worse":
        return f"worse by {_by(-difference.value, -difference.high, -difference.low)}"
    if verdict.kind == "better":
        return f"better by {_by(difference.value, difference.low, difference.high)}"
    if verdict.needed_n is None:
        return "not resolvable at this n"
    return f"not resolvable at this n (needs about {verdict.needed_n:,} items)"


def points(fraction: float) -> str:
    """A fraction of 1 in points: `2 points`, `1 point`, `0.5 points`."""
    number = f"{100 * fraction:g}"
    return f"{number} point" if number == "1" else f"{number} points"


def _by(value: float, low: float, high: float) -> str:
    return f"{_hundredths(value)} [{_hundredths(low)}, {_hundredths(high)}] points"


def _hundredths(value: float, sign: str = "") -> str:
    # Adding zero turns -0.0, which would print as -0.0, into 0.0.
    shown = round(100 * value, 1) + 0.0
    return f"{shown:{sign if shown else ''}.1f}"


def accuracy(estimate: Estimate) -> str:
    """`72.5 [60.1, 82.3]`, per cent with the 95 % interval."""
    return f"{_hundredths(estimate.value)} [{_hundredths(estimate.low)}, {_hundredths(estimate.high)}]"


def change(estimate: Estimate | None) -> str:
    """`-3.1 [-5.0, -1.2]`, points with the 95 % interval; `-` for none."""
    if estimate is None:
        return "-"
    low, high = _hundredths(estimate.low, "+"), _hundredths(estimate.high, "+")
    return f"{_hundredths(estimate.value, '+')} [{low}, {high}]"


def tokens(estimate: Estimate | None) -> str:
    """`+12 [-3, +27]`, tokens per answer with the 95 % interval; `-` for none."""
    if estimate is None:
        return "-"
    value, low, high = (round(part) for part in (estimate.value, estimate.low, estimate.high))
    return f"{_signed(value)} [{_signed(low)}, {_signed(high)}]"


def _signed(number: int) -> str:
    return f"{number:+,}" if number else "0"


def p_value(p: float | None) -> str:
    """Three decimals, `<0.001` below, `-` for none."""
    if p is None:
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def title_of(comparison: Comparison, pairs: Sequence[PairedBenchmark]) -> str:
    """The benchmark's title."""
    titles = {paired.benchmark: paired.title for paired in pairs}
    return "Average" if comparison.benchmark == AVERAGE else titles[comparison.benchmark]


def tables(compared: Compared) -> list[Rows]:
    """What a comparison says, per benchmark: accuracies and verdict, flips and lengths, tests."""
    named = [(title_of(each, compared.pairs), each) for each in compared.comparisons]
    accuracies = [_accuracies(title, each, compared.margin) for title, each in named]
    return [
        Rows(ACCURACY, accuracies, text_columns=2),
        Rows(FLIPS, [_flips(title, each) for title, each in named]),
        Rows(TESTS, [_tests(title, each) for title, each in named]),
    ]


def _accuracies(title: str, each: Comparison, margin: float) -> tuple[str, ...]:
    return (
        title,
        verdict_sentence(each, margin),
        f"{each.difference.n:,}",
        accuracy(each.reference),
        accuracy(each.candidate),
        change(each.difference),
    )


def _flips(title: str, each: Comparison) -> tuple[str, ...]:
    flips = each.flips
    counts = (flips.right_to_wrong, flips.wrong_to_right, flips.wrong_to_other_wrong) if flips else None
    return (
        title,
        *((f"{count:,}" for count in counts) if counts else ("-", "-", "-")),
        p_value(each.p_mcnemar),
        tokens(each.tokens),
        change(each.truncated),
    )


def _tests(title: str, each: Comparison) -> tuple[str, ...]:
    return (
        title,
        change(each.difference),
        p_value(each.adjusted_p_difference),
        p_value(each.adjusted_p_non_inferior),
        _detectable(each.detectable),
    )


def _detectable(difference: float | None) -> str:
    if difference is None:
        return "-"
    return _hundredths(difference) if difference < 1 else ">100"


def legend(compared: Compared) -> list[str]:
    """How to read the tables, one line each."""
    return [
        f"Rule `{compared.rule}`, margin {points(compared.margin)}. Accuracies are per cent, differences are "
        "candidate - reference in points, on the same examples; [low, high] is a 95 % interval, clustered by "
        "page, dialogue or file.",
        "Flips are items whose verdict changed, or (`other wrong`) whose wrong answer became another one. "
        "McNemar's exact p takes the items for independent. `Tokens` and `Cut off`: the change in answer "
        "length, and in the share of answers cut at the token limit.",
        "`p different` (two-sided) and `p not worse` (one-sided, against a loss of the margin or more) are "
        "after Holm's correction over the benchmarks, and the verdict rests on them. `Detectable`: the "
        "smallest true difference, in points, that this n shows with power 0.8.",
    ]


def not_compared(compared: Compared) -> list[str]:
    """What was left out, by benchmark, and what the reader must know besides."""
    lines = []
    for each in compared.pairs:
        counts = {
            "only in the reference's run": each.only_reference,
            "only in the candidate's run": each.only_candidate,
            "without an answer on a side (engine failures)": each.failed,
            "free text without a judge": each.unscored,
        }
        lines += [f"{each.title}: {count:,} {what}: not compared" for what, count in counts.items() if count]
    for side, other, which in (
        (compared.reference, compared.candidate, "reference"),
        (compared.candidate, compared.reference, "candidate"),
    ):
        lines += [
            f"{name}: only in the {which}'s run: not compared"
            for name in side.items
            if name not in other.items
        ]
    if compared.same_weights:
        lines.append("Both runs used the same weights: what differs here is noise, the floor for others.")
    return lines
