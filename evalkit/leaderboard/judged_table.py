"""The judge's part of leaderboard.md: how wrong it is, and its scores raw and corrected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evalkit.compare.report import accuracy
from evalkit.judge.facts import Rate
from evalkit.leaderboard.board import Board
from evalkit.leaderboard.judged import Judged
from evalkit.report.markdown import code
from evalkit.report.markdown import table as markdown_table

NOTES = (
    "Wrong accepted, right refused: mistakes on canaries, answers made from the run's own examples whose "
    "verdict is known, with Wilson's 95 % interval. Above its limits a judge is not fit, and its scores are "
    "withheld.",
    "Corrected: raw score put right by the judge's sensitivity and specificity on labelled answers; "
    "prediction-powered: the same labels as a correction of the mean. Both with the labels' own uncertainty.",
)


def judged_part(board: Board, labels: Sequence[str]) -> Iterator[str]:
    """The section, if any run was judged.

    Args:
        labels: what each measured row is called.
    """
    lines = [
        (label, board.benchmarks.get(each.benchmark, each.benchmark), each)
        for label, entry in zip(labels, board.measured, strict=True)
        for each in entry.judged
    ]
    tested = [[label, title, *_tested(each)] for label, title, each in lines if each.fitness]
    calibrated = [[label, title, *_calibrated(each)] for label, title, each in lines if each.calibrated]
    if not lines:
        return
    yield "## Judged"
    if tested:
        header = ["Model", "Benchmark", "Judge", "Left to it", "Wrong accepted", "Right refused", "Raw", ""]
        yield markdown_table(header, tested, text_columns=3)
    if calibrated:
        header = ["Model", "Benchmark", "Judge", "Labels", "κ", "Raw", "Corrected", "Prediction-powered"]
        yield markdown_table(header, calibrated, text_columns=3)
    yield "\n".join(f"- {note}" for note in NOTES)


def _tested(each: Judged) -> list[str]:
    of = each.fitness
    assert of is not None
    mistakes = [of.canaries.false_positive, of.canaries.false_negative] if of.canaries else [None, None]
    raw = accuracy(each.raw) if each.raw else "-"
    return [code(each.judge), f"{of.paths.judge:,}", *map(rate, mistakes), raw, code(standing(each))]


def standing(each: Judged) -> str:
    """Whether the judge's scores are shown, in words."""
    assert each.fitness is not None
    reason = each.fitness.canaries.reason if each.fitness.canaries else None
    if each.fitness.shown == "fit":
        return "fit"
    how = "not fit, withheld" if each.fitness.shown == "withheld" else "not fit, shown by force"
    return f"{how}: it {reason}" if reason else how


def _calibrated(each: Judged) -> list[str]:
    found = each.calibrated
    assert found is not None
    scores = (found.raw, found.corrected, found.prediction_powered)
    return [
        code(each.judge),
        f"{found.n:,} by {'people' if each.labels == 'people' else 'rule'}",
        found.kappa.text if found.kappa else "undefined",
        *(score.text if score else "-" for score in scores),
    ]


def rate(found: Rate | None) -> str:
    """`12 % [5, 25] of 40`"""
    if found is None or found.rate is None:
        return "-"
    low, high = found.interval
    return f"{100 * found.rate:.0f} % [{100 * low:.0f}, {100 * high:.0f}] of {found.n:,}"
