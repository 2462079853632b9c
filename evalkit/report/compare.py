"""A comparison of two runs for people: on the terminal, and as comparison.md, comparison.json and flips.csv.

Both show the same cells. Text that is somebody else's is made printable.
"""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from evalkit.compare.comparison import RunComparison, cost_rows, costs
from evalkit.compare.control import narrower
from evalkit.compare.needed import seconds_per_question
from evalkit.compare.pairs import PairedBenchmark
from evalkit.compare.texts import Texts
from evalkit.files import write_atomically
from evalkit.fitness import Unfit
from evalkit.flips import Flip, FlipKind, GradedAnswer
from evalkit.report.behaviour import behaviour_json, behaviour_parts
from evalkit.report.verdict import WORDS, points, size_of, verdict_sentence, would
from evalkit.run.info import Run
from evalkit.schema import AVERAGE, Comparison, Estimate, UserError
from evalkit.text import (
    cell,
    change,
    code,
    percent,
    plain,
    printable,
    show_lines,
    shown,
    size_text,
    table,
    tenths,
    terminal_table,
)

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
        answer(compared, plain),
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
        "reference": _side(compared.reference, compared.unfit_reference),
        "candidate": _side(compared.candidate, compared.unfit_candidate),
        "answer": answer(compared, printable),
        "rule": compared.rule,
        "margin": compared.margin,
        "comparisons": [asdict(each) for each in compared.comparisons],
        "benchmarks": [
            {
                "benchmark": each.benchmark,
                "title": each.title,
                "compared": len(each.pairs),
                "controlled": _controlled(compared, each.benchmark),
                "only_reference": each.only_reference,
                "only_candidate": each.only_candidate,
                "failed": each.failed,
                "unscored": each.unscored,
            }
            for each in compared.pairs
        ],
        "differences": {name: [before, after] for name, before, after in compared.differences},
        "same_weights": compared.same_weights,
        "texts": asdict(compared.texts) if compared.texts else None,
        "behaviour": behaviour_json(compared.pairs),
    }


def _controlled(compared: RunComparison, benchmark: str) -> dict[str, Any] | None:
    found = compared.controlled.get(benchmark)
    return asdict(found) if found else None


def _side(run: Run, unfit: Unfit | None) -> dict[str, Any]:
    return {
        "name": run.info.model.name,
        "title": run.info.model.title,
        "path": str(run.path),
        "weights_sha256": run.info.engine.weights_sha256,
        "cost": asdict(costs(run)),
        "unfit": unfit.reason if unfit else None,
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
    accuracies = [
        _accuracies(title, each, verdict_sentence(each, compared.margin, compared.needed(each)))
        for title, each in named
    ]
    return [
        Rows(ACCURACY, accuracies, text_columns=2),
        Rows(FLIPS, [_flips(title, each) for title, each in named]),
        Rows(TESTS, [_tests(title, each) for title, each in named]),
    ]


def _accuracies(title: str, each: Comparison, verdict: str) -> tuple[str, ...]:
    return (
        title,
        verdict,
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
            "free text without a judge's verdict on a side": each.unscored - each.code,
            "code tasks that were not run on a side (allow_code=true)": each.code,
        }
        lines += [f"{each.title}: {count:,} {what}: not compared" for what, count in counts.items() if count]
        lines += _with_others(compared, each)
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
        served = [name for name, _, _ in compared.differences if name in _SERVING]
        what = "comes of how they are served, or is noise" if served else "is noise, the floor for others"
        lines.append(f"Both runs used the same weights: what differs here {what}.")
    if compared.texts is not None:
        lines.append(texts_line(compared.texts))
    return lines


def _with_others(compared: RunComparison, paired: PairedBenchmark) -> list[str]:
    """The difference by the reference's answers to other questions, where that makes it more certain."""
    made = compared.controlled.get(paired.benchmark)
    if made is None:
        return []
    before = next(each.difference for each in compared.comparisons if each.benchmark == paired.benchmark)
    if not narrower(made, before.low, before.high):
        return []
    return [
        f"{paired.title}: put right by the reference's {made.others:,} other answers (a control variate, "
        f"weight {made.weight:.2f}), the difference is {change(made.difference)} points instead of "
        f"{change(before)}; the verdict rests on the latter"
    ]


def texts_line(texts: Texts) -> str:
    """How many texts are the same, and where the first that is not leaves the other."""
    same = f"{texts.same:,} of {texts.answers:,} texts are the same to the letter"
    if (first := texts.first) is None:
        return f"{same}."
    turn = "" if first.turn is None else f" turn {first.turn}"
    sides = " against ".join(code(text) if text else "its end" for text in (first.reference, first.candidate))
    where = f"{first.benchmark} {code(first.id)}{turn}"
    return f"{same}; {where} is the first that is not, after {first.at:,} characters: {sides}."


_SERVING = frozenset({"engine.cache_type_k", "engine.cache_type_v", "engine.draft_sha256"})
# As a reader calls the settings that can move a score; the others of `differences` are details.
_MOVES = {
    "engine.engine": "engine",
    "engine.build": "engine build",
    "engine.chat_template_sha256": "chat template",
    "engine.flash_attention": "flash attention",
    "engine.cache_type_k": "cache of keys",
    "engine.cache_type_v": "cache of values",
    "engine.draft_sha256": "draft model",
    "engine.slots": "slots",
    "engine.gpu_layers": "layers on the GPU",
    "sampling.max_tokens": "max_tokens",
    "protocol.samples": "answers a question",
}
_SHORT = 16


def answer(compared: RunComparison, said: Callable[[str], str]) -> str:
    """One sentence: better, worse, as good or no answer yet; by how much; where; cost against cost.

    Args:
        said: makes a title fit to be shown.
    """
    reference, candidate = _names(compared, said)
    decisive = compared.decisive
    parts = [each for each in compared.comparisons if each.benchmark != AVERAGE]
    titles = [said(title_of(each, compared.pairs)) for each in parts]
    of = " and ".join(titles) if len(titles) < 3 else f"{len(titles)} benchmarks"
    asked = f"{decisive.difference.n:,} questions of {of}"
    by, kind = f"{change(decisive.difference)} points", decisive.verdict.kind
    if compared.unfit_candidate:
        start = f"{candidate} is unfit, and no choice: {compared.unfit_candidate.reason}"
        start += f"; against {reference} {by} on {asked}"
    elif kind == "unresolved":
        start = f"No answer yet: {asked} cannot tell {candidate} from {reference} ({by}){_would(compared)}"
    elif kind == "as_good":
        start = f"{candidate} is as good as {reference} on {asked} ({by}, margin {points(compared.margin)})"
    else:
        start = f"{candidate} is {kind} than {reference} by {size_of(decisive)} points on {asked}"
    where = [
        f"{word} on {said(title_of(each, compared.pairs))} ({change(each.difference)})"
        for word, wanted in (("worse", "worse"), ("better", "better"))
        for each in parts
        if each.verdict.kind == wanted and len(parts) > 1
    ]
    return "; ".join([start, *([", ".join(where)] if where else []), *_costs(compared)]) + "."


def _names(compared: RunComparison, said: Callable[[str], str]) -> tuple[str, str]:
    """What the sentence calls the reference and the candidate."""
    first, second = (said(run.info.model.title) for run in (compared.reference, compared.candidate))
    return ("the reference", "the candidate") if first == second else (first, second)


def _would(compared: RunComparison) -> str:
    """What would settle it, and how long that takes for both."""
    needed = compared.needed(compared.decisive)
    paces = [seconds_per_question(run) for run in (compared.reference, compared.candidate)]
    seconds = sum(pace * needed.more for pace in paces if pace) if needed and all(paces) else None
    source = next(iter(compared.reference.info.data.values())).source
    return would(needed, source, one=len(compared.comparisons) == 1, seconds=seconds)


def _costs(compared: RunComparison) -> Iterator[str]:
    """The candidate's cost against the reference's: memory (of the file, if none was measured) and speed."""
    theirs, ours = costs(compared.reference), costs(compared.candidate)
    found = []
    for name, what in (("peak_memory_bytes", "memory"), ("peak_gpu_memory_bytes", "GPU memory")):
        here, there = getattr(ours, name), getattr(theirs, name)
        if here and there:
            found.append(f"{what} {size_text(here)} against {size_text(there)}")
    here, there = ours.decode_tokens_per_second, theirs.decode_tokens_per_second
    if here and there:
        found.append(f"{here:,.1f} against {there:,.1f} tokens/s")
    if found:
        yield ", ".join(found)


def show(compared: RunComparison, examples: int, console: Console, *, details: bool) -> None:
    """Print a comparison: the answer, what may have moved it, and a row a benchmark.

    Args:
        examples: how many flips are shown.
        details: whether everything else is shown too: settings, tests, costs, and how to read it all.
    """
    show_lines(console, [answer(compared, printable)], "bold")
    for which, side, unfit in (
        ("reference", compared.reference, compared.unfit_reference),
        ("candidate", compared.candidate, None),
    ):
        why = f": unfit, {unfit.reason}" if unfit else ""
        show_lines(console, [f"{which}: {printable(side.info.model.title)} ({side.path}){why}"])
    if details:
        _show_details(compared, console)
    else:
        show_lines(console, _also_different(compared))
        console.print(terminal_table(_SHORT_HEADER, _short_rows(compared), console.width, compact=True))
    show_lines(console, not_compared(compared))
    flips = compared.flips
    if flips and examples:
        show_lines(console, [f"{min(examples, len(flips))} of {len(flips)} flips:"])
        cells = [flip_cells(flip) for flip in mixed(flips, examples)]
        console.print(terminal_table(FLIP_HEADER, cells, console.width, left=range(len(FLIP_HEADER))))
    if not details:
        show_lines(console, _next(compared), "dim")


def _show_details(compared: RunComparison, console: Console) -> None:
    for name, before, after in compared.differences:
        line = f"{name}: {shown(before)} in the reference's run, {shown(after)} in the candidate's"
        show_lines(console, [line])
    for rows in comparison_tables(compared):
        console.print(terminal_table(rows.header, rows.rows, console.width, left=range(rows.text_columns)))
    show_lines(console, comparison_legend(compared), "dim")
    found = cost_rows(compared.reference, compared.candidate)
    if found:
        console.print(terminal_table(("Cost", "Reference", "Candidate"), found, console.width, left=(0,)))


def _also_different(compared: RunComparison) -> list[str]:
    """The settings that differ and can move a score, in one line; none if there are none."""
    found = []
    for name, before, after in compared.differences:
        if name in _MOVES:
            values = [shown(before), shown(after)]
            said = f" {values[0]} and {values[1]}" if max(map(len, values)) <= _SHORT else ""
            found.append(f"{_MOVES[name]}{said}")
    return [f"also different, which can move a score: {', '.join(found)}"] if found else []


_SHORT_HEADER = ("", "verdict", "n", "reference", "candidate", "difference")


def _short_rows(compared: RunComparison) -> list[tuple[str, ...]]:
    return [
        (
            title_of(each, compared.pairs),
            WORDS[each.verdict.kind],
            f"{each.difference.n:,}",
            tenths(each.reference.value),
            tenths(each.candidate.value),
            change(each.difference),
        )
        for each in compared.comparisons
    ]


def _next(compared: RunComparison) -> Iterator[str]:
    flips = compared.decisive.flips
    if flips is not None:
        yield f"of {flips.n:,} answers {flips.right_to_wrong:,} lost and {flips.wrong_to_right:,} won"
    yield "tests, costs, settings and flips: details=true"
    paths = (shlex.quote(str(run.path)) for run in (compared.reference, compared.candidate))
    yield f"answers: evalkit view {' '.join(paths)}"
