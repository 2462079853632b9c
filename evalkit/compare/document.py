"""What `evalkit compare out=DIR` writes: comparison.md, comparison.json and flips.csv."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evalkit.compare.compared import Compared
from evalkit.compare.cost import cost_rows, costs
from evalkit.compare.flips import Flip, FlipKind
from evalkit.compare.report import Rows, legend, not_compared, tables
from evalkit.compare.side import Side
from evalkit.compare.wording import shown
from evalkit.errors import UserError
from evalkit.report.disagreements import gold_text
from evalkit.report.markdown import code, plain, table
from evalkit.report.spreadsheet import cell
from evalkit.runner.folder import write_atomically
from evalkit.runner.scoring import Score

SCHEMA = 1
FLIP_HEADER = ("Flip", "Benchmark", "Example", "Gold", "Reference said", "Candidate said")
KINDS: dict[FlipKind, str] = {
    "right_to_wrong": "right→wrong",
    "wrong_to_right": "wrong→right",
    "wrong_to_other_wrong": "other wrong",
}


def write(folder: Path, compared: Compared, flips: Sequence[Flip], examples: int) -> None:
    """Write the three files into `folder`, which is made if it is not there.

    Args:
        examples: how many flips comparison.md shows; flips.csv has them all.

    Raises:
        UserError: the folder cannot be made or written.
    """
    files = {
        "comparison.md": to_markdown(compared, flips, examples),
        "comparison.json": json.dumps(as_json(compared), ensure_ascii=False, indent=2, allow_nan=False)
        + "\n",
        "flips.csv": to_csv(flips),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_atomically(folder / name, text)
    except OSError as error:
        raise UserError(f"out={folder}: cannot write there: {error.strerror or error}") from error


def to_markdown(compared: Compared, flips: Sequence[Flip], examples: int) -> str:
    """The comparison as GitHub-flavoured Markdown."""
    reference, candidate = compared.reference, compared.candidate
    sides = [
        ("Model", plain(reference.title), plain(candidate.title)),
        ("Run", code(str(reference.path), 200), code(str(candidate.path), 200)),
        *((f"`{name}`", code(shown(a)), code(shown(b))) for name, a, b in compared.differences),
    ]
    accuracies, flipped, tests = map(_table, tables(compared))
    parts = [
        f"# {plain(candidate.title)} against {plain(reference.title)}",
        table(("", "Reference", "Candidate"), sides, text_columns=3),
        "## Accuracy",
        accuracies,
        "## Flips, and the length of answers",
        flipped,
        "## Tests",
        tests,
        "\n".join(f"- {line}" for line in legend(compared)),
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


def _table(rows: Rows) -> str:
    return table(rows.header, [(code(row[0]), *row[1:]) for row in rows.rows], rows.text_columns)


def _flip_table(flips: Sequence[Flip], examples: int) -> str:
    rows = [
        [name, *(code(text) for text in texts)] for name, *texts in map(flip_cells, mixed(flips, examples))
    ]
    return table(FLIP_HEADER, rows, text_columns=len(FLIP_HEADER))


def flip_cells(flip: Flip) -> tuple[str, ...]:
    """Kind, benchmark, example, gold, what the reference said, what the candidate said: raw text."""
    record, gold = flip.reference.record, gold_text(flip.reference.example.gold)
    example = record.id if record.turn is None else f"{record.id} turn {record.turn}"
    return (
        KINDS[flip.kind],
        record.benchmark,
        example,
        gold,
        _answer(flip.reference),
        _answer(flip.candidate),
    )


def _answer(score: Score) -> str:
    return score.verdict.extracted or f"({score.verdict.failure})"


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


def to_csv(flips: Iterable[Flip]) -> str:
    """All flips, one line each; safe to open in a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    sides = ("reference_extracted", "candidate_extracted", "reference_failure", "candidate_failure")
    writer.writerow(["kind", "benchmark", "id", "turn", "gold", *sides])
    for flip in flips:
        record = flip.reference.record
        writer.writerow(
            [
                flip.kind,
                cell(record.benchmark),
                cell(record.id),
                "" if record.turn is None else record.turn,
                cell(gold_text(flip.reference.example.gold)),
                cell(flip.reference.verdict.extracted or ""),
                cell(flip.candidate.verdict.extracted or ""),
                flip.reference.verdict.failure,
                flip.candidate.verdict.failure,
            ]
        )
    return text.getvalue()


def as_json(compared: Compared) -> dict[str, Any]:
    """The content of comparison.json: accuracies, differences and margin are fractions of 1."""
    return {
        "schema": SCHEMA,
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
    }


def _side(side: Side) -> dict[str, Any]:
    engine = side.run.get("engine")
    weights = engine.get("weights_sha256") if isinstance(engine, dict) else None
    return {
        "name": side.name,
        "title": side.title,
        "path": str(side.path),
        "weights_sha256": weights,
        "cost": costs(side),
    }
