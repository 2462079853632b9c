"""A measurement of fidelity for people and tools: on the terminal, as fidelity.md and as fidelity.json."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from evalkit.fidelity.classes import CLASSES, TITLES
from evalkit.fidelity.figures import BenchmarkFidelity, FlipForecast, Means
from evalkit.fidelity.likelihood import OptionScores
from evalkit.fidelity.measure import Fidelity, FileFidelity
from evalkit.files import write_atomically
from evalkit.schema import AVERAGE, Estimate, UserError
from evalkit.text import file_size, percent, plain, printable, show_table, table

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Rows:
    """A table of plain text."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def figure(value: float) -> str:
    """Three significant digits: `0.00158`, `1.2e-06`, `0`."""
    return "∞" if math.isinf(value) else f"{value:.3g}"


def estimate(found: Estimate | None) -> str:
    """`0.0016 [0.0011, 0.0023]`; without the interval where nothing is known of it."""
    if found is None:
        return "-"
    if found.error is None or found.low == found.high:
        return figure(found.value)
    return f"{figure(found.value)} [{figure(found.low)}, {figure(found.high)}]"


def tables(found: Fidelity) -> list[Rows]:
    """All tables, those without rows left out."""
    made = [_main(found), _classes(found), _differences(found), _forecasts(found)]
    return [each for each in made if each.rows]


def _parts(file: FileFidelity) -> Iterator[tuple[str, Means, BenchmarkFidelity | None]]:
    for name, part in file.benchmarks.items():
        yield name, part.means, part
    if len(file.benchmarks) > 1:
        yield AVERAGE, file.average, None


def _main(found: Fidelity) -> Rows:
    header = (
        "File",
        "Benchmark",
        "Size",
        "KL, nats per token",
        "Same likeliest token, %",
        "Taken token, nats",
        "Tokens until greedy leaves",
        "Never leaves, %",
        "Final answer flips, %",
        "Answers",
        "Seconds per answer",
    )
    rows = []
    for file in found.files:
        for name, means, part in _parts(file):
            kept = None if part is None else part.median_kept
            rows.append(
                (
                    file.name,
                    name,
                    file_size(file.size_bytes),
                    estimate(means.kl),
                    percent(means.agreement),
                    f"{means.change.value:+.3g}",
                    "-" if part is None else "all" if kept is None else f"{kept:g}",
                    "-" if part is None else percent(part.whole),
                    "-" if part is None else percent(part.final_flip),
                    str(means.kl.n),
                    f"{file.cost.seconds / max(1, file.cost.answers):.2f}",
                )
            )
    return Rows("Fidelity to the reference", header, tuple(rows))


def _classes(found: Fidelity) -> Rows:
    kinds = [
        kind
        for kind in CLASSES
        if any(kind in part.by_class for file in found.files for part in file.benchmarks.values())
    ]
    rows = []
    for file in found.files:
        for name, part in file.benchmarks.items():
            cells = [estimate(part.by_class[kind].kl) if kind in part.by_class else "-" for kind in kinds]
            rows.append((file.name, name, *cells))
    return Rows(
        "KL by kind of token, nats per token",
        ("File", "Benchmark", *(TITLES[kind] for kind in kinds)),
        tuple(rows),
    )


def _differences(found: Fidelity) -> Rows:
    rows = [
        (each.file, each.other, each.benchmark, estimate(each.kl), told_apart(each.kl))
        for each in found.differences
    ]
    header = ("File", "Against", "Benchmark", "KL difference", "Apart")
    return Rows("Neighbours, paired by answer", header, tuple(rows))


def told_apart(found: Estimate) -> str:
    """`yes` where the interval of a difference leaves zero out, else `no`; `-` where there is none."""
    if found.error is None:
        return "-"
    return "yes" if found.low > 0 or found.high < 0 else "no"


def _forecasts(found: Fidelity) -> Rows:
    header = (
        "File",
        "Benchmark",
        "Answers",
        "Flipped",
        "Foretold",
        "AUC: final answer",
        "AUC: any token",
        "AUC: KL",
        "Brier",
        "Calibration: foretold → flipped, %",
    )
    rows = [
        (file.name, name, *_forecast(each)) for file in found.files for name, each in file.forecasts.items()
    ]
    return Rows("Flips of the generated runs", header, tuple(rows))


def _forecast(each: FlipForecast) -> tuple[str, ...]:
    def area(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    bins = ", ".join(f"{100 * b.predicted:.0f} → {100 * b.observed:.0f}" for b in each.bins)
    return (
        str(each.n),
        str(each.flipped),
        f"{each.predicted:.1f}",
        area(each.auc_final),
        area(each.auc_any),
        area(each.auc_kl),
        f"{each.brier:.3f}",
        bins,
    )


def legend(found: Fidelity) -> list[str]:
    """What was measured, what the figures mean, and what it cost."""
    cost = found.reference_cost
    reuse = [("reference", cost), *((printable(file.name), file.cost) for file in found.files)]
    lines = [
        f"Reference: {printable(found.reference, 200)}, run {printable(found.run_id, 200)}; {found.answers} "
        f"answers on {found.groups} pages, {found.predicted} predicted tokens, of which "
        f"{100 * found.greedy:.1f} % are the reference's likeliest here. Engine: {found.library}.",
        f"KL is over the reference's {found.top} likeliest tokens, which hold {100 * found.kept_mass:.2f} % "
        "on average, and all others as one: a lower bound of the full KL.",
        "Means over answers with 95 % intervals, clustered by page. A flip's chance is 1 - Π min(1, q/p) "
        "over the tokens of the final answer, given the reference's text before it.",
        "Prompt tokens computed / distinct: "
        + ", ".join(f"{name} {_reuse(each.prompt_computed, found)}" for name, each in reuse)
        + f"; the reference took {cost.seconds / max(1, cost.answers):.2f} s per answer.",
    ]
    if found.recounted:
        lines.append(
            f"{found.recounted} answers have other tokens than the run counted: a text need not be tokenized "
            "as it was generated, least of all where it was cut off."
        )
    lines += [f"Left out: {count} answers {why}." for why, count in found.left_out.items()]
    lines += [f"{printable(f.name, 200)}: {note}." for f in found.files for note in f.notes]
    return lines


def _reuse(computed: int, found: Fidelity) -> str:
    return f"{computed / max(1, found.distinct_prompt_tokens):.3f}"


def markdown(found: Fidelity) -> str:
    """fidelity.md"""
    parts = ["# Fidelity to the reference", f"Of {plain(found.model)}."]
    for each in tables(found):
        rows = [tuple(plain(cell, 400) for cell in row) for row in each.rows]
        parts += [f"## {each.title}", table(tuple(map(plain, each.header)), rows, text_columns=2)]
    parts += [f"- {plain(line, 2000)}" for line in legend(found)]
    return "\n\n".join(parts) + "\n"


def as_json(found: Fidelity) -> dict[str, Any]:
    """fidelity.json: all figures, those of every answer too, and no paths; infinite limits are null."""
    content = asdict(found)
    del content["folder"]
    for file in content["files"]:
        for part in file["benchmarks"].values():
            for answer in part["answers"]:
                answer["id"], answer["turn"] = answer.pop("key")
    finite: dict[str, Any] = _finite({"schema": SCHEMA, **content})
    return finite


def _finite(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def write_fidelity(found: Fidelity) -> None:
    """fidelity.json and fidelity.md in the measurement's folder.

    Raises:
        UserError: it cannot be written.
    """
    try:
        content = json.dumps(as_json(found), ensure_ascii=False, indent=1, allow_nan=False)
        write_atomically(found.folder / "fidelity.json", content + "\n")
        write_atomically(found.folder / "fidelity.md", markdown(found))
    except OSError as error:
        raise UserError(f"{found.folder}: cannot write there: {error.strerror or error}") from error


def show(found: Fidelity, console: Console) -> None:
    """Print all tables and the legend."""
    for each in tables(found):
        rows: Sequence[Sequence[str]] = [[printable(cell, 200) for cell in row] for row in each.rows]
        show_table(console, each.title, each.header, rows)
    for line in legend(found):
        console.print(line, highlight=False, markup=False)


def likelihoods_json(found: OptionScores) -> dict[str, Any]:
    """The content of loglikelihood.json."""
    content = asdict(found)
    del content["folder"]
    finite: dict[str, Any] = _finite({"schema": SCHEMA, **content})
    return finite


def write_likelihoods(found: OptionScores) -> None:
    """loglikelihood.json in the folder of what was computed.

    Raises:
        UserError: it cannot be written.
    """
    try:
        text = json.dumps(likelihoods_json(found), ensure_ascii=False, indent=1)
        write_atomically(found.folder / "loglikelihood.json", text + "\n")
    except OSError as error:
        raise UserError(f"{found.folder}: cannot write there: {error.strerror or error}") from error


def show_likelihoods(found: OptionScores, console: Console) -> None:
    """Print the figures of options scored by log-likelihood."""
    rows = [
        (
            printable(file.name, 200),
            name,
            percent(each.accuracy),
            percent(each.gold),
            f"{100 * each.calibration_error:.1f}",
            ", ".join(f"{100 * b.confidence:.0f} → {100 * b.accuracy:.0f} ({b.n})" for b in each.bins),
            percent(each.generated),
            f"{file.seconds:.1f}",
        )
        for file in found.files
        for name, each in file.benchmarks.items()
    ]
    header = (
        "File",
        "Benchmark",
        "Likeliest option right, %",
        "Probability of the right one, %",
        "Calibration error, points",
        "Confidence → right, % (n)",
        "Generated answers right, %",
        "Seconds",
    )
    show_table(console, "Options by log-likelihood", header, rows)
