"""What the check found, per benchmark: shares, and accuracy with and without what was found."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.compare.comparison import Estimate
from evalkit.overlap.asked import Asked
from evalkit.overlap.check import Level, Match
from evalkit.report.markdown import code, share, table

_COLUMNS: dict[Level, str] = {
    "exact": "Exact",
    "near": "Near",
    "page": "Only the page",
    "shared": "A shared n-gram",
    "short": "Too short to tell",
}


@dataclass(frozen=True, slots=True)
class Summary:
    """One benchmark: how many of its `n` examples are of each level, and accuracy as fractions of 1.

    `found` examples are the exact and near ones, `without` all others; None where nothing of it is scored.
    """

    benchmark: str
    n: int
    levels: dict[Level, int]
    everything: Estimate | None
    without: Estimate | None
    found: Estimate | None


def summaries(asked: Sequence[Asked], matches: Sequence[Match]) -> list[Summary]:
    """One a benchmark, in the order of their first examples."""
    pairs = list(zip(asked, matches, strict=True))
    return [
        _summary(name, [pair for pair in pairs if pair[0].benchmark == name])
        for name in dict.fromkeys(each.benchmark for each in asked)
    ]


def _summary(benchmark: str, pairs: Sequence[tuple[Asked, Match]]) -> Summary:
    counts = Counter(match.level for _, match in pairs)
    return Summary(
        benchmark=benchmark,
        n=len(pairs),
        levels={level: counts[level] for level in _COLUMNS},
        everything=_accuracy([each for each, _ in pairs]),
        without=_accuracy([each for each, match in pairs if not match.found]),
        found=_accuracy([each for each, match in pairs if match.found]),
    )


def _accuracy(asked: Sequence[Asked]) -> Estimate | None:
    from evalkit.stats.paired import mean_estimate

    scored = [(each.score, each.group) for each in asked if each.score is not None]
    if not scored:
        return None
    return mean_estimate([score for score, _ in scored], [group for _, group in scored])


def to_markdown(found: Sequence[Summary], titles: Mapping[str, str], training: str, n: int) -> str:
    """The report as Markdown.

    Args:
        titles: of the benchmarks, by name.
        training: the training file's name.
        n: words of an n-gram.
    """
    rows = [
        [_title(titles, each), str(each.n), *(share(count, each.n) for count in each.levels.values())]
        for each in found
    ]
    parts = [
        f"Evaluated examples in {code(training)}, by {n}-grams of words (of characters in Chinese).",
        table(["Benchmark", "Examples", *_COLUMNS.values()], rows),
        "Exact: the whole question, and at least 70 % of its page if it has one, in one training record. "
        "Near: at least 70 % of the question's n-grams. An example counts once. Reworded ones are not found.",
    ]
    if any(each.everything for each in found):
        parts += [_accuracies(found, titles), _CAUTION]
    return "\n\n".join(parts) + "\n"


_CAUTION = (
    "Accuracy in %, with 95 % intervals. Examples that were found may be easier or harder than the others: a "
    "difference is no measure of what was learnt by heart."
)


def _accuracies(found: Sequence[Summary], titles: Mapping[str, str]) -> str:
    rows = [
        [_title(titles, each), *(_shown(part) for part in (each.everything, each.without, each.found))]
        for each in found
    ]
    return table(["Benchmark", "Accuracy, all", "Without exact and near", "Exact and near only"], rows)


def _title(titles: Mapping[str, str], summary: Summary) -> str:
    """As it is if it is a plain name: a record's titles are somebody else's text."""
    title = titles.get(summary.benchmark, summary.benchmark)
    return title if title.replace("_", "").replace("-", "").isalnum() else code(title)


def _shown(part: Estimate | None) -> str:
    if part is None:
        return "-"
    return f"{100 * part.value:.1f} [{100 * part.low:.1f}, {100 * part.high:.1f}] (n={part.n})"


def to_csv(asked: Sequence[Asked], matches: Sequence[Match]) -> str:
    """Every example with what was found of it, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["benchmark", "id", "turn", "level", "share_of_question", "training_record"])
    for each, match in zip(asked, matches, strict=True):
        place = (each.benchmark, each.id, "" if each.turn is None else each.turn)
        writer.writerow([*place, match.level, f"{match.share:.3f}", match.record or ""])
    return text.getvalue()
