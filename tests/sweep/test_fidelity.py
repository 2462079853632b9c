"""Fidelity in a sweep's record, report and table; what is measured is in tests/fidelity/test_sweep.py."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.fidelity.figures import BenchmarkFidelity, Difference, Means, excess
from evalkit.fidelity.measure import Cost, FileFidelity
from evalkit.report.sweep import report, sweep_csv, sweep_terminal
from evalkit.schema import AVERAGE, Estimate, UserError
from evalkit.sweep.fidelity import member_fidelity
from evalkit.sweep.plan import plan
from evalkit.sweep.record import UNBOUNDED, Sweep, bounded, read_checked, to_json
from tests.sweep.ladders import diverged, tiny


def measured() -> Sweep:
    """The tiny ladder with a divergence for all but the reference."""
    sweep = tiny()
    others = [diverged(each, 0.01 * n) for n, each in enumerate(sweep.members) if n]
    return replace(sweep, members=(sweep.members[0], *others))


def around(value: float, half: float) -> Estimate:
    return Estimate(value, half / 2, value - half, value + half, 30, 30)


def test_a_loss_beyond_noise_has_the_limits_of_both() -> None:
    found = excess(around(0.98, 0.003), around(0.01, 0.004))
    assert (found.value, found.low, found.high) == pytest.approx((0.01, 0.005, 0.015))
    assert excess(around(0.999, 0.001), around(0.01, 0.002)).high < 0


def test_few_answers_are_not_within_a_noise_of_nothing() -> None:
    """Whoever has seen 18 tokens alike has not seen that as many differ as in the reference again: none."""
    alike, none = Estimate(1.0, 0.0, 0.82, 1.0, 3, 3), Estimate(0.0, 0.0, 0.0, 0.0, 3, 3)
    assert excess(alike, none).high == pytest.approx(0.18)


def _file(*parts: BenchmarkFidelity) -> FileFidelity:
    average = Means(around(0, 0), around(1, 0), around(0, 0), 9)
    by_name = {f"b{n}": part for n, part in enumerate(parts)}
    return FileFidelity("a.gguf", "0", 1, by_name, average, Cost(7, 3.14159, 50, 9), {}, ("a note",))


def _part(kl: Estimate, lost: Estimate | None) -> BenchmarkFidelity:
    means = Means(kl, around(0.9, 0.01), around(-0.1, 0.1), 100)
    return BenchmarkFidelity(means, around(0.5, 0.1), None, None, {}, lost, around(0.02, 0.01))


def test_the_average_is_over_the_benchmarks_that_have_a_figure() -> None:
    found = member_fidelity(
        _file(_part(around(0.1, 0.01), None), _part(around(0.3, 0.01), around(0.2, 0.1))), "x", 16
    )
    whole = found.overall
    assert whole is found.parts[AVERAGE]
    assert whole.kl.value == pytest.approx(0.2)
    assert whole.lost is not None
    assert whole.lost.value == pytest.approx(0.2)
    assert (found.answers, found.seconds, found.notes) == (7, 3.14, ("a note",))
    alone = member_fidelity(_file(_part(around(0.1, 0.01), None)), "x", 16)
    assert alone.overall.kl.value == pytest.approx(0.1)


def test_a_record_with_fidelity_is_read_back_and_holds_no_infinity(tmp_path: Path) -> None:
    one = Estimate(0.1, None, 0.0, math.inf, 1, 1)
    found = member_fidelity(_file(_part(one, None), _part(one, None)), "x", 16)
    assert {part.kl.high for part in found.parts.values()} == {UNBOUNDED}
    sweep = measured()
    sweep = replace(sweep, members=(*sweep.members[:-1], replace(sweep.members[-1], fidelity=found)))
    (tmp_path / "sweep.json").write_text(to_json(sweep), encoding="utf-8")
    assert read_checked(tmp_path) == sweep
    empty = replace(sweep.members[-1], fidelity=replace(found, parts={}))
    broken = replace(sweep, members=(*sweep.members[:-1], empty))
    (tmp_path / "sweep.json").write_text(to_json(broken), encoding="utf-8")
    with pytest.raises(UserError, match="a fidelity without a benchmark"):
        read_checked(tmp_path)


def test_neighbours_are_in_the_report_and_hold_no_infinity(tmp_path: Path) -> None:
    apart, unknown = (
        Estimate(0.02, 0.001, 0.018, 0.022, 40, 20),
        Estimate(0.03, None, -math.inf, math.inf, 40, 1),
    )
    differences = (
        Difference("finqa", "q4_k", "q6_k", apart),
        Difference("tfns", "q4_k", "<b>gone</b>", bounded(unknown)),
    )
    sweep = replace(measured(), kl_differences=differences)
    (tmp_path / "sweep.json").write_text(to_json(sweep), encoding="utf-8")
    assert read_checked(tmp_path) == sweep
    text = report(sweep)
    rows = [line for line in text.splitlines() if "| yes | 40 |" in line or "| - | 40 |" in line]
    assert "| FinQA | 0.02 [0.018, 0.022] | yes | 40 |" in rows[0]
    assert "| TFNS | 0.03 | - | 40 |" in rows[1]
    assert "`<b>gone</b>`" in rows[1]
    assert "Neighbours" not in report(measured())


def test_the_report_and_the_table_have_it_only_where_it_was_measured() -> None:
    sweep = measured()
    text = report(sweep)
    section = text.split("## Fidelity to the reference, token by token")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| SmolLM2")]
    assert len(rows) == 3 * (len(sweep.members) - 1)
    assert "| 0.01 [0.009, 0.011] | 95.0 [94.8, 95.2] | 99 | +4.00 [" in rows[0]
    assert "lower bound" in section
    assert "0.30 s per answer, beside" not in section, "generation's pace is not in this record"
    head = text.split("## What each loses")[1].split("\n## ")[0]
    assert "KL, nats/token" in head
    row = list(csv.DictReader(io.StringIO(sweep_csv(sweep))))[2]
    assert float(row["finqa_kl_value"]) == 0.02
    assert float(row["average_agreement_low"]) == pytest.approx(0.948)
    for derived in (report(tiny()), sweep_csv(tiny())):
        assert "Fidelity" not in derived
        assert "_kl_" not in derived
    from rich.console import Console

    console = Console(width=160, record=True, quiet=False, file=io.StringIO())
    console.print(sweep_terminal(sweep, 160))
    assert "KL nats" in console.export_text()


@pytest.mark.parametrize(("word", "meant"), [("auto", "auto"), ("7", 7), ("none", None), ("off", None)])
def test_how_many_answers(word: str, meant: object) -> None:
    words = ["smollm2-135m", "fin-r1-q4_k", "data=sample"]
    assert plan([*words, f"fidelity={word}"]).settings.fidelity == meant
    assert plan([*words, f"sweep.fidelity={word}"]).settings.fidelity == meant


@pytest.mark.parametrize("word", ["0", "-3", "many", "2.5"])
def test_numbers_of_answers_that_are_refused(word: str) -> None:
    with pytest.raises(UserError, match=r"sweep\.fidelity"):
        plan(["smollm2-135m", "fin-r1-q4_k", "data=sample", f"fidelity={word}"])
