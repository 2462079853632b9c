"""Measured scores against published ones."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from evalkit.board.board import Board, BoardEntry
from evalkit.board.published import against, published_differences, row_of
from evalkit.metrics import Result
from evalkit.published import PublishedTable, read_table
from evalkit.schema import Estimate
from evalkit.stats.intervals import wilson


def estimate(k: int, n: int) -> Estimate:
    low, high = wilson(k, n)
    return Estimate(k / n, 0.05, low, high, n, n)


def result(benchmark: str, each: Estimate | None) -> Result:
    return Result(benchmark, "financial", each, 100, 0, 0, 0, 0, {})


def measured(model: str, parameters: int | None = 7_615_616_512, **cells: Estimate | None) -> BoardEntry:
    return BoardEntry(
        model=model,
        title=model.upper(),
        family=None,
        parameters=parameters,
        run="greedy-local-70-00000000",
        file="records/x.jsonl.gz",
        rule="financial",
        protocol="greedy",
        data="local",
        cells={name: result(name, each) for name, each in cells.items()},
        average=None,
        size_bytes=None,
        bits_per_weight=None,
        peak_memory_bytes=None,
        decode_tokens_per_second=None,
    )


def board(*entries: BoardEntry) -> Board:
    return Board({}, entries, ())


@pytest.fixture(scope="module")
def table() -> PublishedTable:
    return read_table()


def test_the_interval_is_newcombes(table: PublishedTable) -> None:
    """His example (a): 56 of 70 against 48 of 80, method 10: 0.2000, 0.0524 to 0.3339."""
    columns = {**table.benchmarks, "finqa": replace(table.benchmarks["finqa"], n=80)}
    row = replace(table.rows[1], scores={**table.rows[1].scores, "finqa": Decimal("60.0")})
    small = replace(table, benchmarks=columns, rows=(row,))
    (found,) = against(board(measured("fin-r1", finqa=estimate(56, 70))), small)
    assert found.difference == pytest.approx(20.0)
    assert [found.low, found.high] == pytest.approx([5.24, 33.39], abs=0.005)


def test_what_else_differs_is_named(table: PublishedTable) -> None:
    entry = measured("fin-r1-q4_k", finqa=estimate(40, 60), finance_instruct=estimate(3, 4), tfns=None)
    finqa, instruct = against(board(entry), table)
    assert (finqa.row, finqa.published, finqa.published_n) == ("Fin-R1", Decimal("76.0"), 1000)
    assert finqa.differences == (
        "file: fin-r1-q4_k here, the model as released there",
        "protocol: greedy here; temperature 0.6, top_p 0.95, 4,096 tokens there",
        "rule: financial here; GPT-4o as judge there",
        "items: 60 of data=local here; 1,000 there "
        "(1,000 at random; the split is not stated (test has 1,147))",
    )
    assert (instruct.low, instruct.high) == (None, None)
    same = replace(measured("fin-r1", finqa=estimate(40, 60)), protocol="fin-r1-paper")
    (closer,) = against(board(same), table)
    assert [text.partition(":")[0] for text in closer.differences] == ["rule", "items"]


@pytest.mark.parametrize(
    ("model", "parameters", "row"),
    [
        ("fin-r1", None, "fin-r1"),
        ("fin-r1-q4_0", 7_615_616_512, "fin-r1"),
        ("fin-r1-sft-q4_0", 7_615_616_512, "fin-r1-sft"),
        ("deepseek-r1-distill-qwen-7b-q8_0", 7_615_616_512, "deepseek-r1-distill-qwen-7b"),
        ("deepseek-r1-distill-other", 7_615_616_512, None),
        ("fin-r1-of-unknown-size", None, None),
        ("fin-r10", 7_615_616_512, None),
        ("smollm2-135m", 134_515_008, None),
    ],
)
def test_which_row_is_the_same_model(
    table: PublishedTable, model: str, parameters: int | None, row: str | None
) -> None:
    found = row_of(measured(model, parameters), table)
    assert (found.model if found else None) == row


def test_the_markdown_keeps_foreign_text_harmless(table: PublishedTable) -> None:
    entry = replace(measured("fin-r1", finqa=estimate(40, 60)), title="<b>|`x`", protocol="a\n| b | <img>")
    titles = {name: column.title for name, column in table.benchmarks.items()}
    text = published_differences(against(board(entry), table), titles)
    assert len(text.splitlines()) == 3
    assert text.count("|") == 3 * 7
    assert "66.7 | 76.0 | -9.3 [-22." in text
    assert published_differences([], titles).startswith("No measured entry")
