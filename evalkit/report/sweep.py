"""report.md of a sweep: which file for which memory, what to doubt, then the tables."""

from __future__ import annotations

from evalkit.compare.comparison import AVERAGE, Comparison
from evalkit.compare.report import change, p_value, points
from evalkit.report import sweep_cells as cells
from evalkit.report.curves import names
from evalkit.report.curves.texts import panels, shape
from evalkit.report.markdown import code, plain, table
from evalkit.report.sweep_csv import mcnemar_holm
from evalkit.sweep.recommend import overall, steps
from evalkit.sweep.record import Member, Sweep
from evalkit.sweep.sizes import size


def report(sweep: Sweep) -> str:
    """The whole report as Markdown; the same sweep gives the same text."""
    parts = [
        f"# {plain(sweep.title)}: which file to deploy",
        _summary(sweep),
        _doubts(sweep),
        "## What each loses",
        _losses(sweep),
        "## What each costs",
        _costs(sweep),
        "## Curves",
        _curves(sweep),
        "## Benchmark by benchmark",
        *(_benchmark(sweep, name, title) for name, title in panels(sweep)),
        _noise(sweep),
        "## How to read this",
        _reading(sweep),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(sweep: Sweep) -> str:
    found = steps(sweep)
    if not found:
        return "Which file fits which memory is not known: no member's memory was measured."
    lines = cells.step_lines(sweep, found, [f"**{plain(step.member.title)}**" for step in found])
    kinds = {comparison.verdict.kind for m in sweep.members if (comparison := overall(m)) is not None}
    unresolved = " Nothing is resolvable at this n: the choice goes by bits per weight." * (
        kinds == {"unresolved"}
    )
    return "\n".join(
        [
            f"Which file for which memory{f', serving {shape(sweep)}' if shape(sweep) else ''} (below "
            f"{size(found[0].bytes, up=True)} none fits):{unresolved}",
            "",
            *(f"- {line}" for line in lines),
            "",
            "`evalkit recommend memory=SIZE` answers for your memory, context and slots.",
        ]
    )


def _doubts(sweep: Sweep) -> str:
    """What a reader must know before any figure; one line each."""
    lines = [f"**{text}**"] if (text := cells.requantized(sweep)) else []
    for member in sweep.members:
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
    rows = []
    for member in sweep.members:
        decisive = overall(member)
        rows.append(
            [
                plain(member.title),
                cells.verdict(sweep, member, decisive),
                change(decisive.difference) if decisive else "-",
                *(cells.accuracy(member.accuracy.get(name)) for name, _ in shown),
                cells.number(_percent(member.truncated), 1, " %"),
                cells.bits(member),
            ]
        )
    header = ["Member", "Verdict", "Difference", *titles, "Truncated", "Bits/weight"]
    return table(header, rows, text_columns=2)


def _title(name: str, title: str) -> str:
    return title if name == AVERAGE else plain(title)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _costs(sweep: Sweep) -> str:
    header = [
        *("Member", "File", "Bits/weight", "Recipe found", "Peak memory", "Predicted", "Load s"),
        *("Prefill tok/s", "Decode tok/s", "First token s", "Tokens/answer", "Pareto front"),
    ]
    fronts = cells.fronts(sweep)
    rows = []
    for member in sweep.members:
        cost, weights = member.cost, member.weights
        rows.append(
            [
                plain(member.title),
                cells.file_size(member),
                cells.bits(member),
                plain(weights.found) if weights and weights.found else "-",
                cells.peak(member),
                cells.predicted(member),
                cells.number(cost.load_seconds if cost else None),
                cells.number(cost.prefill_tokens_per_second if cost else None),
                cells.number(cost.decode_tokens_per_second if cost else None),
                cells.number(cost.first_token_seconds if cost else None, 2),
                cells.number(cost.tokens_per_answer if cost else None, 0),
                fronts[member.name],
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
        cells.verdict(sweep, member, found),
        f"{found.difference.n:,}",
        change(found.difference),
        *_flips(found),
        p_value(found.p_mcnemar),
        p_value(holm),
        p_value(found.adjusted_p_difference),
        p_value(found.adjusted_p_non_inferior),
        cells.number(_percent(found.detectable)),
        cells.number(found.tokens.value if found.tokens else None, 0),
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
        "Accuracies are per cent ± one standard error; differences are member - reference in points on the "
        "same items, with paired 95 % intervals; both are clustered by page, dialogue or file.",
        "A verdict rests on `p different` or on `p not worse` (by the margin), after Holm's correction over "
        "members × benchmarks; for the average, over the members. McNemar's exact test takes items for "
        "independent; `Holm` is its p corrected in the same way. `Detectable`: the smallest true difference, "
        "in points, that this n shows with power 0.8. `Tokens`: change in tokens per answer.",
        "Peak memory is that of the process that served the run. Prefill, decode and first token come from "
        "one request at a time. `Pareto front`: no other member is as accurate at less of that cost, by the "
        "point estimates.",
        f"Machine: {machine}." if machine else "",
        *(f"Note: {plain(note, 300)}" for note in sweep.notes),
    ]
    return "\n".join(f"- {line}" for line in lines if line)
