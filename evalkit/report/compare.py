"""A comparison of two runs for people: on the terminal, and as comparison.md, comparison.json and flips.csv.

Both show the same cells. Text that is somebody else's is made printable.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from evalkit.compare.comparison import RunComparison, cost_rows, costs
from evalkit.compare.pairs import PairedBenchmark
from evalkit.files import write_atomically
from evalkit.flips import Flip, FlipKind, GradedAnswer
from evalkit.report.behaviour import behaviour_json, behaviour_parts
from evalkit.run.info import Run
from evalkit.schema import AVERAGE, Comparison, Estimate, UserError
from evalkit.text import cell, change, code, percent, plain, printable, shown, table, tenths

COMPARISON_SCHEMA = 1
FLIP_HEADER = ("Flip", "Benchmark", "Example", "Gold", "Reference said", "Candidate said")
KINDS: dict[FlipKind, str] = {
    "right_to_wrong": "right→wrong",
    "wrong_to_right": "wrong→right",
    "wrong_to_other_wrong": "other wrong",
}


def write_comparison(folder: Path, compared: RunComparison, examples: int) -> None:
    """Write the three files into `folder`, which is made if it is not there.

    Args:
        examples: how many flips comparison.md shows; flips.csv has them all.

    Raises:
        UserError: the folder cannot be made or written.
    """
    files = {
        "comparison.md": comparison_markdown(compared, examples),
        "comparison.json": json.dumps(
            comparison_json(compared), ensure_ascii=False, indent=2, allow_nan=False
        )
        + "\n",
        "flips.csv": flips_csv(compared.flips),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_atomically(folder / name, text)
    except OSError as error:
        raise UserError(f"out={folder}: cannot write there: {error.strerror or error}") from error


def comparison_markdown(compared: RunComparison, examples: int) -> str:
    """The comparison as GitHub-flavoured Markdown."""
    reference, candidate = compared.reference, compared.candidate
    flips = compared.flips
    sides = [
        ("Model", plain(reference.info.model.title), plain(candidate.info.model.title)),
        ("Run", code(str(reference.path), 200), code(str(candidate.path), 200)),
        *((f"`{name}`", code(shown(a)), code(shown(b))) for name, a, b in compared.differences),
    ]
    accuracies, flipped, tests = map(_markdown_table, comparison_tables(compared))
    parts = [
        f"# {plain(candidate.info.model.title)} against {plain(reference.info.model.title)}",
        table(("", "Reference", "Candidate"), sides, text_columns=3),
        "## Accuracy",
        accuracies,
        "## Flips, and the length of answers",
        flipped,
        "## Tests",
        tests,
        "\n".join(f"- {line}" for line in comparison_legend(compared)),
        *behaviour_parts(compared.pairs),
    ]
    left_out = not_compared(compared)
    if left_out:
        parts += ["## Not compared, and what else to know", "\n".join(f"- {line}" for line in left_out)]
    rows = cost_rows(reference, candidate)
    if rows:
        parts += ["## Cost", table(("", "Reference", "Candidate"), rows)]
    if flips and examples:
        parts += [f"## Flips: {min(examples, len(flips))} of {len(flips)}", _flip_table(flips, examples)]
    return "\n\n".join(parts) + "\n"


def _markdown_table(rows: Rows) -> str:
    return table(rows.header, [(code(row[0]), *row[1:]) for row in rows.rows], rows.text_columns)


def _flip_table(flips: Sequence[Flip], examples: int) -> str:
    rows = [
        [name, *(code(text) for text in texts)] for name, *texts in map(flip_cells, mixed(flips, examples))
    ]
    return table(FLIP_HEADER, rows, text_columns=len(FLIP_HEADER))


def flip_cells(flip: Flip) -> tuple[str, ...]:
    """Kind, benchmark, example, gold, what the reference said, what the candidate said: raw text."""
    item = flip.reference.item
    example = item.id if item.turn is None else f"{item.id} turn {item.turn}"
    gold = "" if item.gold_kind == "text" else item.gold
    return (
        KINDS[flip.kind],
        item.benchmark,
        example,
        gold,
        _answer(flip.reference),
        _answer(flip.candidate),
    )


def _answer(answer: GradedAnswer) -> str:
    return answer.score.extracted or f"({answer.score.outcome})"


def mixed(flips: Iterable[Flip], count: int) -> list[Flip]:
    """The first `count` flips, the kinds taking turns, so that the frequent one does not hide the others."""
    seen = dict.fromkeys(KINDS, 0)
    ranked = []
    for flip in flips:
        ranked.append((seen[flip.kind], flip))
        seen[flip.kind] += 1
    order = list(KINDS)
    ranked.sort(key=lambda each: (each[0], order.index(each[1].kind)))
    return [flip for _, flip in ranked[:count]]


def flips_csv(flips: Iterable[Flip]) -> str:
    """All flips, one line each; safe to open in a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    sides = ("reference_extracted", "candidate_extracted", "reference_failure", "candidate_failure")
    writer.writerow(["kind", "benchmark", "id", "turn", "gold", *sides])
    for flip in flips:
        item, before, after = flip.reference.item, flip.reference.score, flip.candidate.score
        writer.writerow(
            [
                flip.kind,
                cell(item.benchmark),
                cell(item.id),
                "" if item.turn is None else item.turn,
                cell("" if item.gold_kind == "text" else item.gold),
                cell(before.extracted or ""),
                cell(after.extracted or ""),
                before.outcome,
                after.outcome,
            ]
        )
    return text.getvalue()


def comparison_json(compared: RunComparison) -> dict[str, Any]:
    """The content of comparison.json: accuracies, differences and margin are fractions of 1."""
    return {
        "schema": COMPARISON_SCHEMA,
        "reference": _side(compared.reference),
        "candidate": _side(compared.candidate),
        "rule": compared.rule,
        "margin": compared.margin,
        "comparisons": [asdict(each) for each in compared.comparisons],
        "benchmarks": [
            {
                "benchmark": each.benchmark,
                "title": each.title,
                "compared": len(each.pairs),
                "only_reference": each.only_reference,
                "only_candidate": each.only_candidate,
                "failed": each.failed,
                "unscored": each.unscored,
            }
            for each in compared.pairs
        ],
        "differences": {name: [before, after] for name, before, after in compared.differences},
        "same_weights": compared.same_weights,
        "behaviour": behaviour_json(compared.pairs),
    }


def _side(run: Run) -> dict[str, Any]:
    return {
        "name": run.info.model.name,
        "title": run.info.model.title,
        "path": str(run.path),
        "weights_sha256": run.info.engine.weights_sha256,
        "cost": asdict(costs(run)),
    }


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
    return f"{tenths(value)} [{tenths(low)}, {tenths(high)}] points"


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


def comparison_tables(compared: RunComparison) -> list[Rows]:
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
        percent(each.reference),
        percent(each.candidate),
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
    return tenths(difference) if difference < 1 else ">100"


def comparison_legend(compared: RunComparison) -> list[str]:
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


def not_compared(compared: RunComparison) -> list[str]:
    """What was left out or judged, by benchmark, and what the reader must know besides."""
    lines = []
    for each in compared.pairs:
        counts = {
            "only in the reference's run": each.only_reference,
            "only in the candidate's run": each.only_candidate,
            "without an answer on a side (engine failures)": each.failed,
            "free text without a judge's verdict on a side": each.unscored,
        }
        lines += [f"{each.title}: {count:,} {what}: not compared" for what, count in counts.items() if count]
        if each.judge is not None:
            lines.append(
                f"{each.title}: as judged by {code(each.judge)}; its errors are not in the intervals, "
                "the runs' reports say how many it makes"
            )
    for side, other, which in (
        (compared.reference, compared.candidate, "reference"),
        (compared.candidate, compared.reference, "candidate"),
    ):
        there = {item.benchmark for item in other.items}
        lines += [
            f"{name}: only in the {which}'s run: not compared"
            for name in dict.fromkeys(item.benchmark for item in side.items)
            if name not in there
        ]
    if compared.same_weights:
        lines.append("Both runs used the same weights: what differs here is noise, the floor for others.")
    return lines


def show(compared: RunComparison, examples: int, console: Console) -> None:
    """Print a comparison, with up to `examples` of its flips."""
    flips = compared.flips

    def say(text: str, style: str = "") -> None:
        console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)

    for which, side in (("reference", compared.reference), ("candidate", compared.candidate)):
        say(f"{which}: {printable(side.info.model.title)} ({side.path})")
    for name, before, after in compared.differences:
        say(f"{name}: {shown(before)} in the reference's run, {shown(after)} in the candidate's")
    for rows in comparison_tables(compared):
        console.print(_terminal_table(rows.header, rows.rows, rows.text_columns))
    for line in comparison_legend(compared):
        say(line, "dim")
    for line in not_compared(compared):
        say(line)
    costs = cost_rows(compared.reference, compared.candidate)
    if costs:
        console.print(_terminal_table(("Cost", "Reference", "Candidate"), costs))
    if flips and examples:
        say(f"{min(examples, len(flips))} of {len(flips)} flips:")
        cells = [flip_cells(flip) for flip in mixed(flips, examples)]
        console.print(_terminal_table(FLIP_HEADER, cells, text_columns=len(FLIP_HEADER)))


def _terminal_table(header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for index, name in enumerate(header):
        table.add_column(name, justify="left" if index < text_columns else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(text)) for text in row))
    return table
