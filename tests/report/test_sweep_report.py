"""report.md, table.csv and the terminal's table of a sweep."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from evalkit.behaviour import Behaviour
from evalkit.report.curves import curves
from evalkit.report.sweep import report, sweep_csv, sweep_terminal
from evalkit.report.verdict import open_answer
from evalkit.schema import Comparison, Verdict
from evalkit.sweep.record import Sweep
from tests.sweep.ladders import crowd, estimate, fin_r1, tiny


def section(text: str, heading: str) -> str:
    return text.split(f"{heading}\n", 1)[1].split("\n## ", 1)[0]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_which_file_for_which_memory_comes_first() -> None:
    lines = report(fin_r1()).splitlines()
    assert lines[2] == "Deploy Fin-R1 Q4_K: as good as the reference (within 2 points), on 4,000 questions."
    assert (
        lines[4] == "Which file for which memory, serving 4 slots of 4,096 tokens (below 4.65 GiB none fits):"
    )
    assert lines[6] == "- from 4.65 GiB: **Fin-R1 IQ3_XS**, worse by 6.1 [5.1, 7.1] points"
    # The last step is the fastest of those that are as good; slower ones never replace it.
    steps = [line for line in lines if line.startswith("- from")]
    assert steps[-1] == "- from 6.26 GiB: **Fin-R1 Q4_K**, as good as the reference (within 2 points)"


def test_requantized_is_said_at_the_top() -> None:
    text = report(tiny())
    assert "Requantized: 7 of 7 files were made from an already quantized one (`Q8_0`)" in text
    assert text.index("Requantized") < text.index("## What each loses")
    assert "Requantized" not in report(fin_r1())


def test_failures_and_contradictions_are_warnings() -> None:
    sweep = fin_r1()
    weights = sweep.members[2].weights
    assert weights is not None
    wrong = replace(
        sweep.members[2], weights=replace(weights, warnings=("claimed pure Q4_0: 3 tensors are Q4_1",))
    )
    text = report(replace(sweep, members=(*sweep.members[:2], wrong, *sweep.members[3:])))
    assert "> - Fin-R1 F16 failed: `the file has a bad checksum`" in text
    assert "contradicts its recipe: `claimed pure Q4_0: 3 tensors are Q4_1`" in text


def test_losses_and_costs_have_one_row_a_member() -> None:
    text = report(fin_r1())
    for heading in ("## What each loses", "## What each costs"):
        rows = [cells(line) for line in section(text, heading).splitlines() if line.startswith("| Fin-R1 ")]
        assert len(rows) == 11
        assert len({len(row) for row in rows}) == 1
    assert "| Fin-R1 Q8_0 | 8.10 GB | 8.50 | pure Q8_0 | 9.07 GiB | 9.06 GiB (-0.1 %) | 7.2 |" in text
    q4 = next(cells(line) for line in section(text, "## What each loses").splitlines() if "Q4_K |" in line)
    assert q4[1:4] == ["as good as the reference (within 2 points)", "-1.0 [-2.0, 0.0]", "77.2 [76.0, 78.5]"]


def test_how_members_answer_is_beside_the_reference() -> None:
    assert "## How they answer" not in report(tiny())
    share, more = estimate(0.5, 0.05, 100), estimate(0.1, 0.02, 100)
    alone = (Behaviour("in a | box", None, share, None), Behaviour("refused", None, None, None))
    beside = (Behaviour("in a | box", share, estimate(0.6, 0.05, 100), more), alone[1])
    sweep = tiny()
    members = [replace(each, behaviours=beside) for each in sweep.members]
    reference = next(i for i, each in enumerate(members) if each.name == sweep.reference)
    members[reference] = replace(members[reference], behaviours=alone)
    text = section(report(replace(sweep, members=tuple(members))), "## How they answer")
    shares, differences = text.split("Difference to the reference")
    rows = [
        [cells(line)[-1] for line in part.splitlines() if "SmolLM2" in line] for part in (shares, differences)
    ]
    assert rows[0].count("60.0 [50.2, 69.8]") == len(members) - 1
    assert rows[0].count("50.0 [40.2, 59.8]") == 1
    assert rows[1] == ["+10.0 [+6.1, +13.9]"] * (len(members) - 1)
    assert "refused" not in shares  # of no answer can it be told
    assert "in a | box" not in shares  # a record may be anybody's, and its bar makes no column


def test_benchmarks_show_flips_and_both_mcnemars() -> None:
    found = section(report(tiny()), "### FinQA")
    rows = [line for line in found.splitlines() if line.startswith("| SmolLM2")]
    row = cells(rows[0])
    # 12 tests of 0.0123 in the family: Holm's smallest is 12 times that.
    assert row[4:9] == ["2", "2", "3", "0.012", "0.148"]


def test_the_noise_floor_is_shown() -> None:
    text = section(report(fin_r1()), "## Noise floor")
    assert "| 2 slots instead of 4 | FinQA | 0.0 [-0.6, +0.6] | 5 | 5 | 3 |" in text
    assert "Noise floor" not in report(tiny())


def test_the_noise_floor_stands_where_a_difference_is_claimed() -> None:
    line = "Noise floor, the reference again (2 slots instead of 4): 0.0 [-0.6, +0.6], 10 of "
    assert f"- {line}" in section(report(fin_r1()), "## What each loses")
    console = Console(width=120, record=True)
    console.print(sweep_terminal(fin_r1(), 120))
    assert line.split(":")[0] in " ".join(console.export_text().split())


def test_links_are_to_files_that_curves_makes() -> None:
    for sweep in (fin_r1(), replace(tiny(), members=tuple(replace(m, cost=None) for m in tiny().members))):
        links = [line.split("](")[1][:-1] for line in report(sweep).splitlines() if line.startswith("![")]
        assert links == [name for name in curves(sweep) if name.endswith(".svg")]


def test_no_answer_is_said_first() -> None:
    assert (
        report(crowd())
        .splitlines()[2]
        .startswith("No answer yet: 500 questions cannot tell these files apart")
    )
    assert "Until there is an answer" in report(crowd())
    assert "Until there is an answer" not in report(fin_r1())


def test_an_unfit_member_is_no_step_and_says_why() -> None:
    sweep = fin_r1()
    rambling = replace(sweep.members[-1], truncated=0.7)
    text = report(replace(sweep, members=(*sweep.members[:-1], rambling)))
    assert "from 4.65 GiB" not in text
    assert "Fin-R1 IQ3_XS is unfit, and no choice: 70 % of its answers are cut off" in text
    assert "| Fin-R1 IQ3_XS | unfit: 70 % cut off |" in text


def test_no_word_is_broken_at_eighty_columns() -> None:
    text = shown(fin_r1(), 80)
    for word in ("accuracy", "verdict", "member", "reference", "points"):
        assert re.search(rf"\b{word}\b", text)


def test_csv_has_raw_values() -> None:
    rows = list(csv.DictReader(io.StringIO(sweep_csv(fin_r1()))))
    assert [row["member"] for row in rows][:3] == ["bf16", "f16", "bf16-q8_0"]
    q8 = next(row for row in rows if row["member"] == "q8_0")
    assert int(q8["size_bytes"]) == 8_100_000_000
    assert float(q8["finqa_accuracy_value"]) == pytest.approx(0.763)
    assert q8["average_verdict"] == "as_good"
    assert q8["finqa_right_to_wrong"] == "48"
    failed = rows[1]
    assert (failed["status"], failed["finqa_accuracy_value"]) == ("failed", "")


@pytest.mark.parametrize(
    "title", ["a|b", "`code`", "<b>x</b>", "two\nlines", "[red]x[/red]", "W" * 300, "$x_{"]
)
def test_hostile_titles_break_no_table(title: str) -> None:
    sweep = crowd(3, title)
    failed = replace(sweep.members[1], status="failed", reason=title)
    sweep = replace(sweep, members=(sweep.members[0], failed, sweep.members[2]), notes=(title,))
    text = report(sweep)
    tables = [line for line in text.splitlines() if line.startswith("|")]
    widths = {
        line.count(" | ") for line in section(text, "## What each loses").splitlines() if line[:1] == "|"
    }
    assert len(widths) == 1
    assert all(line.endswith("|") for line in tables)
    assert "<b>" not in text.replace("`<b>x</b>`", "")


def shown(sweep: Sweep, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), legacy_windows=False)
    with console.capture() as capture:
        console.print(sweep_terminal(sweep, width))
    return capture.get()


def test_the_terminal_fits_and_reads_no_markup() -> None:
    for width in (80, 160):
        text = shown(fin_r1(), width)
        assert all(len(line) <= width for line in text.splitlines())
        assert "Fin-R1 F16 failed: the file has a bad checksum" in text
    assert "decode" in shown(fin_r1(), 160)
    assert "decode" not in shown(fin_r1(), 80)
    assert "[red]x[/red]" in shown(crowd(2, "[red]x[/red]"), 160)


def test_a_sweep_without_any_comparison_still_reports() -> None:
    sweep = fin_r1()
    bare = replace(
        sweep, members=tuple(replace(m, comparisons=(), cost=None, accuracy={}) for m in sweep.members)
    )
    text = report(replace(bare, noise=()))
    assert "Which file fits which memory is not known" in text
    assert shown(bare, 80)
    assert sweep_csv(bare)


def test_better_counts_as_good() -> None:
    sweep = tiny()
    best = tuple(replace(each, verdict=Verdict("better")) for each in sweep.members[3].comparisons)
    members = (*sweep.members[:3], replace(sweep.members[3], comparisons=best), *sweep.members[4:])
    last = [
        line for line in report(replace(sweep, members=members)).splitlines() if line.startswith("- from")
    ][-1]
    assert "Q4_K_S" in last


def test_questions_of_one_page_are_named_where_they_leave_no_answer() -> None:
    sweep = tiny()
    one = sweep.members[1]
    name = next(iter(sweep.benchmarks))

    def alone(found: Comparison) -> Comparison:
        known = 1 if found.benchmark == name else 20
        difference = replace(found.difference, error=None, clusters=known)
        return replace(found, difference=difference, verdict=Verdict("unresolved"))

    member = replace(one, comparisons=tuple(alone(found) for found in one.comparisons))
    assert f"all of {sweep.benchmarks[name]} are of one page, dialogue or file" in open_answer(
        sweep, [member]
    )
    assert "of one page" not in open_answer(sweep, [one])
