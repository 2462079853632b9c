"""What a run shows when it has ended: a row a benchmark, and what to do where a score says little."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from evalkit.report.summary import cost_text, next_lines, summary_lines
from evalkit.run.info import GenerationInfo, MeasuredInfo, ProtocolInfo, Run
from evalkit.schema import Item
from evalkit.text import duration

from .helpers import make, score


def run_of(items: list[Item], limit: int | None = None, asked: int = 4096) -> Run:
    run = make(items)
    generation = GenerationInfo(max_tokens=limit)
    info = replace(run.info, generation=generation, protocol=ProtocolInfo("greedy", max_tokens=asked))
    return replace(run, info=info)


def test_cut_off_answers_are_in_the_row_and_the_cure_below_it() -> None:
    scores = [
        score("a", 1, tokens=10),
        score("b", 0, tokens=20, failure="sign"),
        score("c", 0, tokens=64, failure="truncated", finish="length"),
        score("d", 1, tokens=64, finish="length"),
        score("e", 0, failure="truncated"),
    ]
    header, row, cure, left = summary_lines(run_of(scores, 64, 64))
    assert header.split() == ["right", "[95", "%]", "n", "cut", "off"]
    assert (row.split()[:2], row.split()[-3:]) == (["Title", "40.0"], ["5", "60", "%"])
    assert cure == "  3 of 5 cut off at 64 tokens: raise protocol.max_tokens"
    assert left == "  without them: 50.0 [0.2, 99.8]; this score says little"
    assert "raise model.max_tokens" in "\n".join(summary_lines(run_of(scores, 64, 4096)))
    assert "raise" not in "\n".join(summary_lines(run_of(scores)))


def test_a_few_cut_answers_of_many_are_only_counted() -> None:
    scores = [score(f"q{number}", 1) for number in range(40)]
    assert len(list(summary_lines(run_of([*scores, score("cut", 0, finish="length")], 64)))) == 2


def test_loops_have_no_cure() -> None:
    scores = [score("a", 1), score("b", 0, failure="loop", finish="loop")]
    lines = list(summary_lines(run_of(scores, 64)))
    assert lines[2] == "  1 of 2 repeat themselves for ever: no limit cures that"
    assert not any("raise" in line for line in lines)


def test_what_has_no_score_says_why_and_counts_in_no_average() -> None:
    scores = [
        score("a", 1),
        score("b", 0),
        score("c", None, benchmark="finance_instruct"),
        score("d", None, benchmark="tfns", error="engine_error: gone", failure="engine_error"),
    ]
    lines = [line.split() for line in summary_lines(run_of(scores))]
    assert [line[1] for line in lines[1:4]] == ["50.0", "unscored", "failed"]
    assert lines[4][:3] == ["Average", "of", "1"]


def test_a_partial_run_says_of_how_many() -> None:
    run = run_of([score("a", 1), score("b", 0)])
    [(name, benchmark)] = run.info.benchmarks.items()
    info = replace(run.info, benchmarks={name: replace(benchmark, covered=60)})
    assert list(summary_lines(replace(run, info=info)))[1].split()[-5:-2] == ["2", "of", "60"]


def test_every_line_fits_80_columns_also_with_a_long_title() -> None:
    run = run_of([score("a", 1), score("b", 0, finish="length", failure="truncated")], 4096, 4096)
    [(name, benchmark)] = run.info.benchmarks.items()
    info = replace(run.info, benchmarks={name: replace(benchmark, title="金融" * 40, covered=123_456)})
    lines = list(summary_lines(replace(run, info=info)))
    assert max(map(cell_len, lines)) <= 80


def test_the_cost_is_one_line() -> None:
    run = run_of([score("a", 1)])
    cost = MeasuredInfo(wall_seconds=1980.0, peak_memory_bytes=708_669_603, decode_tokens_per_second=12.41)
    measured = replace(run, info=replace(run.info, measured=cost))
    assert cost_text(measured) == "memory 675.84 MiB · 12.4 tokens/s · 33 min"
    assert cost_text(run) == ""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"), (99.4, "99 s"), (99.6, "2 min"), (5_940, "99 min"), (7_500, "2 h 5 min"),
        (10_800, "3 h"), (39_600, "11 h"), (417_600, "4 d 20 h"), (172_800, "2 d"),
    ],
)  # fmt: skip
def test_a_time_as_one_says_it(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_the_last_lines_can_be_pasted_into_a_shell() -> None:
    answers, compare = next_lines("my runs/a")
    assert answers == "answers: evalkit view 'my runs/a'"
    assert compare == "compare: evalkit compare 'my runs/a' OTHER"
