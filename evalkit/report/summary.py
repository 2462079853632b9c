"""What a run shows on the terminal when it has ended: its figures, what to do about them, where to go on.

Eighty columns hold all of it. What the published table says beside it is in the run's table.md, and here on
request (`published=true`).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.cells import cell_len, set_cell_size

from evalkit.fitness import MOSTLY_CUT_OFF
from evalkit.metrics import Result, average, counting_rule, failures, results
from evalkit.report.table import score_cell
from evalkit.run.info import Run
from evalkit.schema import JUDGED, LENGTH, LOOP, Item
from evalkit.text import JUDGED_MARK, duration, percent, printable, size_text

WORTH_SAYING = 0.05
"""From this share of answers on that were cut off, a benchmark's row says so and what to do."""

_HEADER = ("", "right [95 %]", "n", "cut off")
_TITLE = 26  # columns


def summary_lines(run: Run) -> Iterator[str]:
    """The table, line by line: a row a benchmark, with what to do below it where a score says little.

    Accuracies are per cent with the 95 % interval, as in the run's own table and on the leaderboard.
    """
    found = results(run)
    shown = [
        (_row(run, name, result, run.of(name)), list(remedies(run, name, run.of(name))))
        for name, result in found.items()
    ]
    whole = average(found.values())
    if whole is not None and len(found) > 1:
        scored = sum(result.estimate is not None for result in found.values())
        title = "Average" if scored == len(found) else f"Average of {scored}"
        shown.append(((title, percent(whole), f"{sum(each.n for each in found.values()):,}", ""), []))
    rows = [row for row, _ in shown]
    widths = [max(cell_len(row[column]) for row in [_HEADER, *rows]) for column in range(len(_HEADER))]
    yield _aligned(_HEADER, widths)
    for row, remedy in shown:
        yield _aligned(row, widths)
        yield from (f"  {line}" for line in remedy)


def _row(run: Run, name: str, result: Result, items: Sequence[Item]) -> tuple[str, str, str, str]:
    mark = JUDGED_MARK if result.rule == JUDGED and result.estimate else ""
    title = _short(printable(run.info.benchmarks[name].title)) + mark
    found = failures(items, result.rule)
    cut = _share(found.truncated, found.answers) if found.answers else "-"
    count = f"{result.n:,} of {result.covered:,}" if result.left_out else f"{result.n:,}"
    return title, score_cell(run, result), count, cut


def _short(title: str) -> str:
    return title if cell_len(title) <= _TITLE else f"{set_cell_size(title, _TITLE - 1)}…"


def remedies(run: Run, name: str, items: Sequence[Item]) -> Iterator[str]:
    """What makes the score of a benchmark void, or lower than the model's own, and what to do about it."""
    found = failures(items, counting_rule(items, run.info.benchmarks[name].rule))
    if not found.answers:
        return
    looped = sum(sample.finish_reason == LOOP for item in items for sample in item.samples)
    cut = found.truncated - looped
    if cut >= WORTH_SAYING * found.answers:
        yield f"{cut} of {found.answers} cut off{_limit(run, items)}"
    if looped >= WORTH_SAYING * found.answers:
        yield f"{looped} of {found.answers} repeat themselves for ever: no limit cures that"
    if found.all is not None and found.truncated >= WORTH_SAYING * found.answers:
        left = "no other answer is left"
        if found.untruncated is not None:
            left = f"without them: {percent(found.untruncated)}"
        yield f"{left}; this score says little" if found.truncated > MOSTLY_CUT_OFF * found.answers else left


def _share(count: int, of: int) -> str:
    return f"{100 * count / of:.0f} %"


def _limit(run: Run, items: Sequence[Item]) -> str:
    """` at 64 tokens: raise protocol.max_tokens`, where answers were made here and hit the limit."""
    limit = run.info.generation.max_tokens
    hit = any(sample.finish_reason == LENGTH for item in items for sample in item.samples)
    if not hit or not limit or run.info.engine.engine == "replay":
        return ""
    capped = run.info.protocol.max_tokens is not None and limit < run.info.protocol.max_tokens
    return f" at {limit:,} tokens: raise {'model' if capped else 'protocol'}.max_tokens"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = row
    cells = [first + " " * (widths[0] - cell_len(first))]
    cells += [" " * (width - cell_len(text)) + text for text, width in zip(others, widths[1:], strict=True)]
    return "  ".join(cells).rstrip()


def heading(run: Run) -> str:
    """`SmolLM2-135M, greedy, bundled samples, rule financial`: what the table below it is of."""
    rules = sorted({result.rule for result in results(run).values()} - {JUDGED})
    sources = "/".join(sorted({data.source for data in run.info.data.values()}))
    parts = [printable(run.info.model.title), f"protocol {run.info.protocol.name}", f"data {sources}"]
    shots = {each.shots for each in run.info.benchmarks.values()} - {0}
    parts += [f"shots {'/'.join(map(str, sorted(shots)))}"] if shots else []
    depths = {each.depth for each in run.info.benchmarks.values() if each.depth}
    parts += [f"depth {'/'.join(f'{depth:,}' for depth in sorted(depths))}"] if depths else []
    if rules:
        parts.append(f"rule {', '.join(rules)}")
    return ", ".join(parts)


def cost_text(run: Run) -> str:
    """Memory, speed and time in one line; "" for outputs made elsewhere."""
    measured = run.info.measured
    parts = []
    if measured.peak_memory_bytes:
        parts.append(f"memory {size_text(measured.peak_memory_bytes)}")
    if measured.peak_gpu_memory_bytes:
        parts.append(f"GPU memory {size_text(measured.peak_gpu_memory_bytes)}")
    if measured.decode_tokens_per_second:
        parts.append(f"{measured.decode_tokens_per_second:,.1f} tokens/s")
    if measured.wall_seconds:
        parts.append(duration(measured.wall_seconds))
    return " · ".join(parts)


def next_lines(run: str | Path) -> list[str]:
    """Where the answers of a run are, and how to put another beside it; `run` is what names it."""
    name = shlex.quote(str(run))
    return [f"answers: evalkit view {name}", f"compare: evalkit compare {name} OTHER"]
