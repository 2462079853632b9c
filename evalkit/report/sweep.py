"""A sweep for people: report.md, table.csv, and what the terminal shows of it.

The report begins with the answer in one sentence, says which file for which memory, then what to doubt, then
gives the tables: short text with units, `-` for what is not known. table.csv has a row a member with raw
values. The terminal has one compact table. A recommendation is in `evalkit.report.recommend`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from evalkit.files import write_atomically, write_bytes
from evalkit.report.behaviour import sweep_behaviour
from evalkit.report.compare import p_value
from evalkit.report.curves import (
    AXES,
    axis_points,
    curves,
    names,
    panels,
    pareto_front,
    serving_shape,
)
from evalkit.report.divergence import divergence_cells, fidelity_section, is_measured, kl_cell
from evalkit.report.looks import looks_lines, looks_section
from evalkit.report.verdict import foretold_words, points, sweep_answer, verdict_sentence
from evalkit.schema import AVERAGE, Comparison
from evalkit.sweep.recommend import Need, every_choice, foretold, need, needed_of, steps, unfit_member
from evalkit.sweep.record import FILE, Member, Sweep, overall, to_json
from evalkit.text import (
    change,
    code,
    file_size,
    percent,
    plain,
    printable,
    safe,
    size_text,
    table,
    terminal_table,
)


def report(sweep: Sweep) -> str:
    """The whole report as Markdown; the same sweep gives the same text."""
    parts = [
        f"# {plain(sweep.title)}: which file to deploy",
        sweep_answer(sweep, *every_choice(sweep), plain),
        _summary(sweep),
        _doubts(sweep),
        "## What each loses",
        _losses(sweep),
        "## What each costs",
        _costs(sweep),
        sweep_behaviour(sweep),
        "## Curves",
        _curves(sweep),
        "## Benchmark by benchmark",
        *(_benchmark(sweep, name, title) for name, title in panels(sweep)),
        looks_section(sweep),
        fidelity_section(sweep),
        _noise(sweep),
        "## How to read this",
        _reading(sweep),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(sweep: Sweep) -> str:
    found = steps(sweep)
    if not found:
        measured = any(need(member) is not None for member in sweep.members)
        why = "no member's memory was measured"
        return "" if measured else f"Which file fits which memory is not known: {why}."
    lines = step_lines(sweep, found, [f"**{plain(step.member.title)}**" for step in found])
    kinds = {comparison.verdict.kind for m in sweep.members if (comparison := overall(m)) is not None}
    by_bits = kinds == {"unresolved"} and not any(foretold(sweep, member) for member in sweep.members)
    unresolved = " Until there is an answer, this goes by bits per weight." * by_bits
    return "\n".join(
        [
            f"Which file for which memory{_serving(sweep)} (below "
            f"{size_text(found[0].bytes, up=True)} none fits):{unresolved}",
            "",
            *(f"- {line}" for line in lines),
            "",
            "`evalkit recommend memory=SIZE` answers for your memory, context and slots.",
        ]
    )


def _serving(sweep: Sweep) -> str:
    shape = serving_shape(sweep)
    return f", serving {shape}" if shape else ""


def _doubts(sweep: Sweep) -> str:
    """What a reader must know before any figure; one line each."""
    lines = [f"**{text}**"] if (text := requantized(sweep)) else []
    for member in sweep.members:
        if why := unfit_member(member):
            lines.append(f"{plain(member.title)} is unfit, and no choice: {why.reason}")
        if member.status != "done":
            reason = code(member.reason or "no reason recorded", 300)
            lines.append(
                f"{plain(member.title)} {'failed' if member.status == 'failed' else 'is partial'}: {reason}"
            )
        for warning in member.weights.warnings if member.weights else ():
            lines.append(f"{plain(member.title)} contradicts its recipe: {code(warning, 300)}")
    return "\n".join(f"> - {line}" for line in lines)


def _losses(sweep: Sweep) -> str:
    shown = panels(sweep)
    titles = [_title(name, title) for name, title in shown]
    measured, rows = is_measured(sweep), []
    for member in sweep.members:
        decisive = overall(member)
        rows.append(
            [
                plain(member.title),
                verdict_cell(sweep, member, decisive),
                change(decisive.difference) if decisive else "-",
                *(percent(member.accuracy.get(name)) for name, _ in shown),
                number_cell(_percent(member.truncated), 1, " %"),
                bits(member),
                *([kl_cell(member)] if measured else []),
            ]
        )
    header = ["Member", "Verdict", "Difference", *titles, "Truncated", "Bits/weight"]
    header += ["KL, nats/token"] if measured else []
    noise = "".join(f"\n- {line}" for line in _noise_lines(sweep, plain))
    return table(header, rows, text_columns=2) + (f"\n{noise}" if noise else "")


def _noise_lines(sweep: Sweep, shown: Callable[[str], str]) -> Iterator[str]:
    """What the reference differs from itself, where differences are claimed; one line a repeated run.

    Args:
        shown: makes a text of the sweep's record fit to be shown.
    """
    for floor in sweep.noise:
        if not floor.comparisons:
            continue
        found = next((c for c in floor.comparisons if c.benchmark == AVERAGE), floor.comparisons[0])
        changed = ""
        if found.flips is not None:
            flips = found.flips.right_to_wrong + found.flips.wrong_to_right
            changed = f", {flips:,} of {found.flips.n:,} verdicts changed"
        yield f"Noise floor, the reference again ({shown(floor.what)}): {change(found.difference)}{changed}"


def _title(name: str, title: str) -> str:
    return title if name == AVERAGE else plain(title)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _costs(sweep: Sweep) -> str:
    header = [
        *("Member", "File", "Bits/weight", "Recipe found", "Peak memory", "Predicted", "Load s"),
        *("Prefill tok/s", "Decode tok/s", "First token s", "Tokens/answer", "Pareto front"),
    ]
    on_front = fronts(sweep)
    rows = []
    for member in sweep.members:
        cost, weights = member.cost, member.weights
        rows.append(
            [
                plain(member.title),
                size_cell(member),
                bits(member),
                plain(weights.found) if weights and weights.found else "-",
                peak_cell(member),
                predicted(member),
                number_cell(cost.load_seconds if cost else None),
                number_cell(cost.prefill_tokens_per_second if cost else None),
                number_cell(cost.decode_tokens_per_second if cost else None),
                number_cell(cost.first_token_seconds if cost else None, 2),
                number_cell(cost.tokens_per_answer if cost else None, 0),
                on_front[member.name],
            ]
        )
    return table(header, rows)


def _curves(sweep: Sweep) -> str:
    return "\n\n".join(f"![{title}]({file}.svg)" for file, title in names(sweep).items())


def _benchmark(sweep: Sweep, name: str, title: str) -> str:
    header = [
        *(
            "Member",
            "Verdict",
            "n",
            "Difference",
            "Right→wrong",
            "Wrong→right",
            "Other wrong",
            "McNemar p",
            "Holm",
        ),
        *("p different", "p not worse", "Detectable", "Tokens"),
    ]
    holm = mcnemar_holm(sweep)
    rows = [
        _comparison(sweep, member, found, holm.get((member.name, name)))
        for member in sweep.members
        if (found := member.compared(name)) is not None
    ]
    return f"### {_title(name, title)}\n\n{table(header, rows, text_columns=2)}" if rows else ""


def _comparison(sweep: Sweep, member: Member, found: Comparison, holm: float | None) -> list[str]:
    return [
        plain(member.title),
        verdict_cell(sweep, member, found),
        f"{found.difference.n:,}",
        change(found.difference),
        *_flips(found),
        p_value(found.p_mcnemar),
        p_value(holm),
        p_value(found.adjusted_p_difference),
        p_value(found.adjusted_p_non_inferior),
        number_cell(_percent(found.detectable)),
        number_cell(found.tokens.value if found.tokens else None, 0),
    ]


def _flips(found: Comparison) -> list[str]:
    if found.flips is None:
        return ["-"] * 3
    counts = (found.flips.right_to_wrong, found.flips.wrong_to_right, found.flips.wrong_to_other_wrong)
    return [f"{count:,}" for count in counts]


def _noise(sweep: Sweep) -> str:
    if not sweep.noise:
        return ""
    titles = {AVERAGE: "Average"} | sweep.benchmarks
    rows = []
    for floor in sweep.noise:
        if not floor.comparisons:
            rows.append([plain(floor.what, 200), *["-"] * 5])
        for found in floor.comparisons:
            title = _title(found.benchmark, titles.get(found.benchmark, found.benchmark))
            rows.append([plain(floor.what), title, change(found.difference), *_flips(found)])
    header = ["The reference again", "Benchmark", "Difference", "Right→wrong", "Wrong→right", "Other wrong"]
    return (
        "## Noise floor\n\nThe reference against itself: a difference within this is not the recipe's doing."
        f"\n\n{table(header, rows, text_columns=2)}"
    )


def _reading(sweep: Sweep) -> str:
    machine = ", ".join(f"{plain(str(key))} {plain(str(value))}" for key, value in sweep.machine.items())
    lines = [
        f"Rule {code(sweep.rule)}; reference {code(sweep.reference)}; margin {points(sweep.margin)}.",
        "Accuracies are per cent, differences are member - reference in points on the same items, both with "
        "95 % intervals (paired ones for differences), clustered by page, dialogue or file.",
        "A verdict rests on `p different` or on `p not worse` (by the margin), after Holm's correction over "
        "members × benchmarks; for the average, over the members. McNemar's exact test takes items for "
        "independent; `Holm` is its p corrected in the same way. `Detectable`: the smallest true difference, "
        "in points, that this n shows with power 0.8. `Tokens`: change in tokens per answer.",
        "Peak memory is that of the process that served the run; pictures and choices count host and GPU "
        "together. Prefill, decode and first token come from "
        "one request at a time. `Pareto front`: no other member is as accurate at less of that cost, by the "
        "point estimates.",
        f"Machine: {machine}." if machine else "",
        *(f"Note: {plain(note, 300)}" for note in sweep.notes),
    ]
    return "\n".join(f"- {line}" for line in lines if line)


def number_cell(value: float | None, digits: int = 1, unit: str = "") -> str:
    """`12.3`, with thousands separated and the unit behind."""
    return "-" if value is None else f"{value:,.{digits}f}{unit}"


def size_cell(member: Member) -> str:
    """Decimal, as files are listed: `8.10 GB`, `145 MB`."""
    if member.weights is None:
        return "-"
    return file_size(member.weights.size_bytes)


def bits(member: Member) -> str:
    """Bits per weight."""
    return number_cell(member.weights.bits_per_weight if member.weights else None, 2)


def peak_cell(member: Member) -> str:
    """Measured peak memory, with the GPU's if there is one."""
    cost = member.cost
    if cost is None or cost.peak_memory_bytes is None:
        return "-"
    gpu = f" + {size_text(cost.gpu_memory_bytes)} GPU" if cost.gpu_memory_bytes else ""
    return size_text(cost.peak_memory_bytes) + gpu


def predicted(member: Member) -> str:
    """Predicted memory, and how far it is from the measured: `6.21 GiB (+1.2 %)`."""
    cost = member.cost
    if cost is None or cost.predicted is None:
        return "-"
    total = cost.predicted.total
    if not cost.peak_memory_bytes or cost.gpu_memory_bytes:
        return size_text(total)
    return f"{size_text(total)} ({100 * (total / cost.peak_memory_bytes - 1):+.1f} %)"


def verdict_cell(sweep: Sweep, member: Member, comparison: Comparison | None) -> str:
    """The verdict in words; what a member without one is."""
    if member.status == "failed":
        return "failed"
    is_overall = comparison is None or comparison is overall(member)
    if is_overall and (why := unfit_member(member)):
        return f"{'the reference, ' * (member.name == sweep.reference)}unfit: {why.short}"
    if member.name == sweep.reference:
        return "the reference"
    if comparison is None:
        return "not compared"
    said = verdict_sentence(comparison, sweep.margin, needed_of(sweep, member, comparison))
    return said + (foretold_words(sweep, member) if is_overall else "")


def fronts(sweep: Sweep) -> dict[str, str]:
    """Per member's name, the costs on whose Pareto front it is, by the first panel of the curves."""
    found: dict[str, list[str]] = {member.name: [] for member in sweep.members}
    for name, _ in panels(sweep)[:1]:
        for axis in AXES:
            for point in pareto_front(axis_points(sweep, name, axis), axis):
                found[point.name].append(axis.title)
    return {name: ", ".join(costs) or "-" for name, costs in found.items()}


def step_lines(sweep: Sweep, found: Sequence[Need], name: Sequence[str]) -> list[str]:
    """`from 6.26 GiB: NAME, as good as the reference …` for each step of the choice."""
    return [
        f"from {size_text(step.bytes, up=True)}: {label}, "
        f"{verdict_cell(sweep, step.member, overall(step.member))}"
        for step, label in zip(found, name, strict=True)
    ]


def requantized(sweep: Sweep) -> str:
    """What must be said of members made from already quantized files; '' if there are none."""
    sources = sorted({w.requantized_from for m in sweep.members if (w := m.weights) and w.requantized_from})
    if not sources:
        return ""
    count = sum(bool(m.weights and m.weights.requantized_from) for m in sweep.members)
    return (
        f"Requantized: {count} of {len(sweep.members)} files were made from an already quantized one "
        f"({', '.join(code(source, 20) for source in sources)}), not from full precision. They carry its "
        "losses too, and no reference here is better than it: do not take these figures for those of files "
        "made from the original weights."
    )


_WEIGHTS = ("file", "sha256", "size_bytes", "bits_per_weight", "claimed", "found", "requantized_from")
_COST = (
    *(
        "context",
        "slots",
        "peak_memory_bytes",
        "gpu_memory_bytes",
        "load_seconds",
        "prefill_tokens_per_second",
    ),
    *("decode_tokens_per_second", "first_token_seconds", "throughput_tokens_per_second", "tokens_per_answer"),
    *("energy_joules", "wall_seconds"),
)


def sweep_csv(sweep: Sweep) -> str:
    """The table as CSV. Bytes, seconds and joules; accuracies and differences are fractions of 1."""
    best, holm = fronts(sweep), mcnemar_holm(sweep)
    rows = [
        _member(member)
        | {"pareto_front": best[member.name]}
        | _scores(sweep, member, holm)
        | _fidelity(sweep, member)
        for member in sweep.members
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["member"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: safe(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def mcnemar_holm(sweep: Sweep) -> dict[tuple[str, str], float | None]:
    """(member, benchmark) -> McNemar's p after Holm's correction over all members and benchmarks."""
    from evalkit.stats.paired import holm

    tests = {
        (member.name, found.benchmark): found.p_mcnemar
        for member in sweep.members
        for found in member.comparisons
    }
    return dict(zip(tests, holm(list(tests.values())), strict=True))


def _member(member: Member) -> dict[str, object]:
    weights, cost = member.weights, member.cost
    return {
        "member": member.name,
        "title": member.title,
        "status": member.status,
        "reason": member.reason,
        **{key: getattr(weights, key, None) for key in _WEIGHTS},
        **{key: getattr(cost, key, None) for key in _COST},
        "predicted_memory_bytes": cost.predicted.total if cost and cost.predicted else None,
        "truncated": member.truncated,
        "unfit": why.kind if (why := unfit_member(member)) else None,
    }


def _scores(sweep: Sweep, member: Member, holm: Mapping[tuple[str, str], float | None]) -> dict[str, object]:
    cells: dict[str, object] = {}
    for name, _ in panels(sweep):
        estimate, found = member.accuracy.get(name), member.compared(name)
        for key in ("value", "error", "low", "high", "n"):
            cells[f"{name}_accuracy_{key}"] = getattr(estimate, key, None)
        cells |= {f"{name}_{key}": value for key, value in _difference(found).items()}
        cells[f"{name}_p_mcnemar_holm"] = holm.get((member.name, name))
    return cells


def _fidelity(sweep: Sweep, member: Member) -> dict[str, object]:
    if not is_measured(sweep):
        return {}
    parts, cells = member.fidelity.parts if member.fidelity else {}, dict[str, object]()
    for name, _ in panels(sweep):
        cells |= divergence_cells(name, parts.get(name))
    return cells


def _difference(found: Comparison | None) -> dict[str, object]:
    difference, flips = (found.difference, found.flips) if found else (None, None)
    return {
        **{f"difference_{key}": getattr(difference, key, None) for key in ("value", "low", "high")},
        "verdict": found.verdict.kind if found else None,
        "needed_n": found.verdict.needed_n if found else None,
        **{
            key: getattr(flips, key, None)
            for key in ("right_to_wrong", "wrong_to_right", "wrong_to_other_wrong")
        },
        **{
            key: getattr(found, key, None)
            for key in ("p_mcnemar", "adjusted_p_difference", "adjusted_p_non_inferior", "detectable")
        },
    }


WIDE = 110
"""Characters from which on a terminal's table has the lesser columns too."""


def sweep_terminal(sweep: Sweep, width: int) -> Group:
    """The table with what must be known of it, for rich; lesser columns are left out below 110 characters."""
    return Group(
        Text(sweep_answer(sweep, *every_choice(sweep), printable), style="bold"),
        _sweep_table(sweep, width),
        *(Text(line) for line in _terminal_lines(sweep)),
    )


def _sweep_table(sweep: Sweep, width: int) -> Table:
    wide = width >= WIDE
    columns = ["member", *(["file", "bits"] if wide else []), "peak", *(["decode tok/s"] if wide else [])]
    measured = wide and is_measured(sweep)
    columns += [
        "accuracy %",
        *(["difference"] if wide else []),
        *(["KL nats"] if measured else []),
        "verdict",
    ]
    rows = []
    first = panels(sweep)[0][0] if panels(sweep) else AVERAGE
    for member in sweep.members:
        decisive = overall(member)
        speed = member.cost.decode_tokens_per_second if member.cost else None
        row = [
            member.title,
            *([size_cell(member), bits(member)] if wide else []),
            peak_cell(member),
            *([number_cell(speed)] if wide else []),
            percent(member.accuracy.get(first)),
            *([change(decisive.difference) if decisive else "-"] if wide else []),
            *([kl_cell(member)] if measured else []),
            verdict_cell(sweep, member, decisive),
        ]
        rows.append(row)
    return terminal_table(columns, rows, width, left=(0, len(columns) - 1))


def _terminal_lines(sweep: Sweep) -> Iterator[str]:
    if text := requantized(sweep):
        yield text
    for member in sweep.members:
        if why := unfit_member(member):
            yield f"{printable(member.title)} is unfit, and no choice: {why.reason}"
        if member.status != "done":
            yield f"{printable(member.title)} {member.status}: {printable(member.reason or '', 200)}"
        for warning in member.weights.warnings if member.weights else ():
            yield f"{printable(member.title)} contradicts its recipe: {printable(warning, 200)}"
    yield from looks_lines(sweep)
    yield from _noise_lines(sweep, printable)
    found = steps(sweep)
    yield from step_lines(sweep, found, [printable(step.member.title) for step in found])


def write_sweep(sweep: Sweep, folder: Path) -> None:
    """Everything that is derived from a sweep's record, into its folder; the same record, the same bytes."""
    write_atomically(folder / FILE, to_json(sweep))
    write_atomically(folder / "report.md", report(sweep))
    write_atomically(folder / "table.csv", sweep_csv(sweep))
    for name, content in curves(sweep).items():
        write_bytes(folder / name, content)
