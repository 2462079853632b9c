"""How answers fail: the taxonomy, truncation, length, and accuracy with and without truncated outputs.

Low-bit quantizations can fail by rambling rather than by arithmetic, and a token cap can pass for a loss of
accuracy: so accuracy, length and truncation stand together.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from evalkit.report.items import Item, Mean, items_of, mean_of
from evalkit.report.markdown import percent, share, table
from evalkit.report.material import Material, Section
from evalkit.runner.scoring import Score
from evalkit.scorers.verdict import Failure

_NOTE = (
    "Counts are outputs. *Truncated* in italics: the output hit the token limit or ends inside its "
    "reasoning; among the outcomes, that it holds no answer either. *Right, then abandoned*: not correct, "
    "though the right value appears before another is committed to. Tokens: those generated, reasoning "
    "included. `-`: not known."
)


@dataclass(frozen=True, slots=True)
class Failures:
    """One benchmark. ``tokens_*`` are of completions; ``abandoned`` is None where it was not looked for."""

    outputs: int
    kinds: dict[str, int]
    truncated: int
    abandoned: int | None
    tokens_median: float | None
    tokens_p95: int | None
    all: Mean
    untruncated: Mean

    def as_json(self) -> dict[str, Any]:
        return {
            "outputs": self.outputs,
            "failures": self.kinds,
            "truncated": self.truncated,
            "right_then_abandoned": self.abandoned,
            "completion_tokens": {"median": self.tokens_median, "p95": self.tokens_p95},
            "all": self.all.as_json(),
            "without_truncated": self.untruncated.as_json(),
        }


def section(material: Material) -> Section | None:
    """Every benchmark of the run."""
    found = {name: failures(items) for name, items in material.main().items()}
    if not found:
        return None
    columns = list(found)
    titles = [material.titles[name] for name in columns]
    body = table(["Outcome", *titles], _rows([found[name] for name in columns])) + "\n\n" + _NOTE
    lines = [_line(material.titles[name], result) for name, result in found.items()]
    return Section(
        name="failures",
        title="Failures, truncation and length",
        body=body,
        data={name: result.as_json() for name, result in found.items()},
        lines=[line for line in lines if line],
    )


def failures(items: Sequence[Item]) -> Failures:
    """The taxonomy of one benchmark under one rule."""
    scores = [score for item in items for score in item.scores]
    tokens = sorted(
        score.record.completion_tokens for score in scores if score.record.completion_tokens is not None
    )
    marked = [score.abandoned for score in scores if score.abandoned is not None]
    kinds = Counter(score.verdict.failure for score in scores)
    return Failures(
        outputs=len(scores),
        kinds={kind: kinds[kind] for kind in get_args(Failure) if kinds[kind]},
        truncated=sum(truncated(score) for score in scores),
        abandoned=sum(marked) if marked else None,
        tokens_median=statistics.median(tokens) if tokens else None,
        tokens_p95=nearest_rank(tokens, 0.95) if tokens else None,
        all=mean_of(items),
        untruncated=mean_of(items_of(score for score in scores if not truncated(score))),
    )


def truncated(score: Score) -> bool:
    """Whether the output was cut off: at the token limit, or (made elsewhere) inside its reasoning."""
    return score.record.finish_reason == "length" or score.verdict.failure == "truncated"


def nearest_rank(ordered: Sequence[int], quantile: float) -> int:
    """The quantile by nearest rank: the smallest value that at least that share does not exceed."""
    return ordered[max(0, math.ceil(quantile * len(ordered)) - 1)]


def _rows(columns: Sequence[Failures]) -> list[list[str]]:
    kinds = [kind for kind in get_args(Failure) if any(kind in column.kinds for column in columns)]
    rows = [["outputs", *(str(column.outputs) for column in columns)]]
    rows += [
        [kind.replace("_", " "), *(share(column.kinds.get(kind, 0), column.outputs) for column in columns)]
        for kind in kinds
    ]
    rows += [
        ["*right, then abandoned*", *(_optional(column.abandoned) for column in columns)],
        ["*truncated*", *(share(column.truncated, column.outputs) for column in columns)],
        ["tokens, median", *(_optional(column.tokens_median) for column in columns)],
        ["tokens, 95th percentile", *(_optional(column.tokens_p95) for column in columns)],
        ["accuracy, %", *(_accuracy(column.all) for column in columns)],
        ["accuracy without truncated, %", *(_accuracy(column.untruncated) for column in columns)],
    ]
    return rows


def _optional(value: float | None) -> str:
    return "-" if value is None else f"{value:g}" if value < 1e5 else f"{value:.0f}"


def _accuracy(mean: Mean) -> str:
    return f"{percent(mean)} (n={mean.n})" if mean.n else "-"


def _line(title: str, result: Failures) -> str:
    if not result.truncated or not result.all.n:
        return ""
    kept = (
        f"accuracy without them {percent(result.untruncated)}" if result.untruncated.n else "no other is left"
    )
    return f"{title}: {result.truncated} of {result.outputs} outputs are truncated; {kept}"
