"""What each member needs at another shape, the rule that chooses, and the command."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.synthetic import BUILDS, Geometry
from evalkit.commands.recommend import main
from evalkit.report.sweep import report
from evalkit.schema import AVERAGE, Comparison, UserError, Verdict, VerdictKind
from evalkit.sweep.recommend import foretold, need, recommend, steps, unfit_member
from evalkit.sweep.record import Member, Sweep, to_json
from evalkit.text import parse_size, size_text
from evalkit.weights.memory import predicted_memory
from tests.gguf.synthetic_headers import header_of
from tests.sweep.ladders import GIB, MARGIN, accuracies, diverged, fin_r1, member, tiny

BASE = accuracies({"finqa": 0.7, "tfns": 0.7}, {"finqa": 500, "tfns": 500})


def candidate(
    name: str,
    gib: float,
    kind: VerdictKind,
    *,
    decode: float | None = 10.0,
    bits: float = 4.0,
    lost: float = 0.01,
) -> Member:
    """A member that needs `gib` GiB, with that verdict on everything."""
    found = accuracies({"finqa": 0.7 - lost, "tfns": 0.7 - lost}, {"finqa": 500, "tfns": 500})
    made = member(name, gib, bits, decode, found, BASE, peak=round(gib * GIB))
    judged = tuple(_judge(each, kind) for each in made.comparisons)
    return replace(made, comparisons=judged)


def _judge(comparison: Comparison, kind: VerdictKind) -> Comparison:
    return replace(comparison, verdict=Verdict(kind, 9000 if kind == "unresolved" else None))


def sweep_of(*members: Member) -> Sweep:
    reference = member("ref", 16.0, 16.0, 4.0, BASE, None, peak=16 * GIB)
    titles = {"finqa": "FinQA", "tfns": "TFNS"}
    return Sweep("s", "S", "financial", MARGIN, "ref", titles, (reference, *members))


def choice(sweep: Sweep, gib: float) -> str:
    found = recommend(sweep, round(gib * GIB)).chosen
    assert found is not None
    return found.member.name


def test_the_need_as_measured_is_the_measured_peak() -> None:
    one = candidate("a", 5, "as_good")
    for shape in ((None, None), (4096, 4), (None, 4), (4096, None)):
        found = need(one, *shape)
        assert found is not None
        assert (found.bytes, found.basis) == (5 * GIB, "measured")


def test_the_need_grows_with_the_cache_and_the_compute_buffers() -> None:
    one = candidate("a", 5, "as_good")
    kv, compute = 57_344 * 4096 * 4, 550_000_000
    more_slots, longer, shorter = (need(one, *shape) for shape in ((4096, 8), (8192, 4), (2048, 4)))
    assert more_slots is not None
    assert longer is not None
    assert shorter is not None
    # Compute buffers grow with the context of one slot only, and are never scaled down.
    assert more_slots.bytes == 5 * GIB + kv
    assert longer.bytes == 5 * GIB + kv + compute
    assert shorter.bytes == 5 * GIB - kv // 2
    assert {more_slots.basis, longer.basis, shorter.basis} == {"scaled"}


def test_the_same_tokens_in_longer_slots_need_more_compute() -> None:
    found = need(candidate("a", 5, "as_good"), 16_384, 1)
    assert found is not None
    assert found.bytes == 5 * GIB + 3 * 550_000_000


def test_without_a_measurement_the_prediction_counts_and_says_so() -> None:
    one = candidate("a", 5, "as_good")
    assert one.cost is not None
    unmeasured = replace(one, cost=replace(one.cost, peak_memory_bytes=None))
    found = need(unmeasured)
    assert found is not None
    assert one.cost.predicted is not None
    assert (found.bytes, found.basis) == (one.cost.predicted.total, "predicted")
    assert need(replace(one, cost=replace(one.cost, predicted=None)), 8192) is None
    assert need(replace(one, status="failed")) is None


def test_gpu_memory_is_part_of_the_need() -> None:
    one = candidate("a", 2, "as_good")
    assert one.cost is not None
    found = need(replace(one, cost=replace(one.cost, gpu_memory_bytes=3 * GIB)))
    assert found is not None
    assert found.bytes == 5 * GIB


def test_as_good_comes_first_and_the_fastest_of_those() -> None:
    sweep = sweep_of(
        candidate("slow", 8, "as_good", decode=5.0, bits=8.0),
        candidate("fast", 6, "as_good", decode=12.0),
        candidate("unresolved", 5, "unresolved", decode=20.0, bits=9.0),
        candidate("worse", 3, "worse", decode=30.0),
    )
    assert choice(sweep, 20) == "fast"
    assert choice(sweep, 5.5) == "unresolved"
    assert choice(sweep, 4) == "worse"


def test_equal_speed_goes_to_the_smaller_and_an_unknown_speed_last() -> None:
    sweep = sweep_of(
        candidate("large", 7, "as_good"),
        candidate("small", 6, "as_good"),
        candidate("?", 5, "as_good", decode=None),
    )
    assert choice(sweep, 15) == "small"
    assert choice(sweep, 5) == "?"


def test_the_reference_is_as_good_as_itself() -> None:
    assert choice(sweep_of(candidate("open", 6, "unresolved", decode=30.0)), 16) == "ref"


def test_unresolved_goes_by_bits_and_worse_by_loss() -> None:
    sweep = sweep_of(
        candidate("u4", 5, "unresolved", bits=4.0, decode=20.0),
        candidate("u6", 6, "unresolved", bits=6.0, decode=10.0),
        candidate("w1", 4, "worse", lost=0.03),
        candidate("w2", 3, "worse", lost=0.09),
    )
    assert choice(sweep, 7) == "u6"
    assert choice(sweep, 4.5) == "w1"


def test_what_could_not_be_compared_comes_last() -> None:
    odd = replace(candidate("odd", 3, "as_good"), comparisons=())
    assert choice(sweep_of(odd, candidate("worse", 4, "worse")), 5) == "worse"
    assert choice(sweep_of(odd, candidate("worse", 4, "worse")), 3) == "odd"


def test_one_scored_benchmark_decides_without_an_average() -> None:
    one = candidate("a", 5, "as_good")
    only = replace(one, comparisons=tuple(each for each in one.comparisons if each.benchmark == "tfns"))
    assert choice(sweep_of(only, candidate("w", 4, "worse")), 6) == "a"


def test_steps_change_only_for_something_preferred() -> None:
    sweep = sweep_of(
        candidate("w", 3, "worse"),
        candidate("fast", 5, "as_good", decode=20.0),
        candidate("slower", 8, "as_good", decode=9.0),
    )
    assert [(step.member.name, step.bytes) for step in steps(sweep)] == [("w", 3 * GIB), ("fast", 5 * GIB)]


def test_below_the_smallest_need() -> None:
    with pytest.raises(UserError) as error:
        recommend(sweep_of(candidate("a", 5, "as_good")), 4 * GIB)
    assert str(error.value).startswith("no file of s fits 4.00 GiB: the smallest, a, needs 5.00 GiB")
    nothing = replace(sweep_of(), members=tuple(replace(each, cost=None) for each in sweep_of().members))
    with pytest.raises(UserError, match="no member's memory is known: run the sweep again"):
        recommend(nothing, 4 * GIB)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("6GiB", 6 * GIB),
        ("6.5gb", 6_500_000_000),
        ("800 MiB", 800 * 2**20),
        ("1048576", 2**20),
        ("3kB", 3000),
    ],
)
def test_sizes_that_are_read(text: str, count: int) -> None:
    assert parse_size(text, "memory") == count


@pytest.mark.parametrize(
    "text", ["", "0", "-1GiB", "6 bananas", "6G", "nan", "inf", "1e9", "٣GiB", "9" * 5000, "6GiB\n6"]
)
def test_sizes_that_are_refused(text: str) -> None:
    with pytest.raises(UserError) as error:
        parse_size(text, "memory")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


def test_sizes_are_written_so_that_needs_are_not_understated() -> None:
    assert size_text(GIB + 1) == "1.00 GiB"
    assert size_text(GIB + 1, up=True) == "1.01 GiB"
    assert (size_text(512), size_text(2**20 * 3)) == ("512 bytes", "3.00 MiB")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for sweep in (fin_r1(), tiny()):
        folder = tmp_path / "sweeps" / sweep.name / "id"
        folder.mkdir(parents=True)
        (folder / "sweep.json").write_text(to_json(sweep), encoding="utf-8")
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def refused(*arguments: str) -> str:
    with pytest.raises(UserError) as error:
        main(arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_command_names_file_need_reason_and_rest(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, "memory=6.5GiB", "sweep=fin-r1-quants", f"results_dir={results}")
    assert out.splitlines()[:2] == [
        "Deploy Fin-R1 Q4_K: as good as the reference (within 2 points), on 4,000 questions.",
        "Fin-R1 Q4_K (q4_k.gguf, 5.08 GB)",
    ]
    assert "needs 6.26 GiB of 6.50 GiB, measured with 4 slots of 4,096 tokens" in out
    assert "as good as the reference (within 2 points): no other that fits is shown to be as good" in out
    fits, large = out.split("does not fit")
    assert "Fin-R1 Q4_0" in fits
    assert "Fin-R1 Q6_K" in large
    assert "1.10 GiB" in large
    assert "left out: Fin-R1 F16: the file has a bad checksum" in out


def test_the_command_says_what_it_takes_to_be_surer(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, "memory=380MiB", "sweep=smollm2-ladder", f"results_dir={results}")
    assert "requantized from Q8_0" in out
    # 760 of 190 questions: four times as many of each benchmark, or of the smaller one more than that.
    assert re.search(r"to be surer of SmolLM2-135M Q4_K: `limit=\d+`, \d+ more questions", out)
    assert out.startswith("No answer yet: 190 questions cannot tell these files apart; `limit=")
    small = said(capsys, "memory=8GB", f"sweep={results / 'sweeps' / 'smollm2-ladder' / 'id'}")
    assert "the reference: no other that fits is shown to be as good" in small


def recommended(folder: Path, capsys: pytest.CaptureFixture[str], sweep: Sweep, memory: str = "7GiB") -> str:
    (folder / "sweep.json").write_text(to_json(sweep), encoding="utf-8")
    return said(capsys, f"memory={memory}", f"sweep={folder}")


OPEN = (candidate("a", 5, "unresolved"), candidate("b", 6, "unresolved", bits=6.0))


def test_no_answer_says_the_limit_that_would_give_one_and_the_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    enough = replace(sweep_of(*OPEN), questions={"finqa": 10_000, "tfns": 10_000})
    out = recommended(tmp_path, capsys, enough)
    # 9,000 instead of 1,000 questions, 500 of each benchmark now; three files at 612 tokens and 9 tokens/s.
    days = int(3 * 8000 * 612 / 9 / 3600 / 24)
    first = out.splitlines()[0]
    assert first.startswith(
        "No answer yet: 1,000 questions cannot tell these files apart; `limit=4500` would (about "
    )
    assert f"(about {days} d" in first
    assert "to be surer of b: `limit=4500`, 8,000 more questions (about " in out
    sample = recommended(tmp_path, capsys, replace(enough, source="sample"))
    assert "; `data=hub limit=4500` would (about " in sample


def test_no_answer_is_never_to_be_had_from_too_small_a_benchmark(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = recommended(tmp_path, capsys, sweep_of(*OPEN))
    # FinQA has 1,147 questions and TFNS 2,388, by their configs: 9,000 cannot be asked.
    assert out.splitlines()[0] == (
        "No answer yet: 1,000 questions cannot tell these files apart; "
        "never: the benchmarks have too few (3,535 questions)."
    )
    assert "9,000" not in out


def test_the_reference_is_no_answer_while_everything_else_is_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = recommended(tmp_path, capsys, sweep_of(*OPEN), "17GiB")
    assert out.splitlines()[0].startswith("No answer yet: 1,000 questions cannot tell")
    assert out.splitlines()[0].endswith("Until then: ref, the reference.")
    one = recommended(tmp_path, capsys, sweep_of(*OPEN, candidate("c", 4, "worse")), "17GiB")
    assert one.splitlines()[0] == "Deploy ref, the reference: no other is shown to be as good."


def test_an_unfit_file_is_never_a_choice_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rambling = replace(candidate("rambling", 4, "as_good", decode=50.0), truncated=0.96)
    assert choice(sweep_of(rambling, candidate("w", 5, "worse")), 6) == "w"
    out = recommended(tmp_path, capsys, sweep_of(rambling, candidate("w", 5, "worse")))
    assert re.search(r"unfit +needs.*\n.*\n +rambling .* unfit: 96 % cut off", out)
    alone = recommended(tmp_path, capsys, sweep_of(rambling))
    assert alone.startswith("No answer: the only file to choose from is unfit.\n")
    assert [step.member.name for step in steps(sweep_of(rambling))] == ["ref"]


def test_a_file_below_chance_is_unfit() -> None:
    low = accuracies({"finqa": 0.1, "tfns": 0.5}, {"finqa": 500, "tfns": 500})
    made = replace(member("low", 4, 4.0, 50.0, low, BASE), constants={"finqa": 0.05, "tfns": 0.66})
    found = unfit_member(made)
    assert found is not None
    assert found.short == "below chance"
    assert found.reason.startswith("30.0 [27.")
    assert "35.5 %" in found.reason
    assert unfit_member(replace(made, constants={})) is None


def test_another_shape_is_said_to_be_an_estimate(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "memory=5GiB", "slots=1", "sweep=fin-r1-quants", f"results_dir={results}")
    assert "estimated for 1 slot of 4,096 tokens from 5.52 GiB measured with 4 slots of 4,096 tokens" in out
    assert (
        "worse by 2.5 [1.5, 3.5] points: all that fit are worse than the reference; this one loses least"
        in out
    )


def test_headroom_is_kept_free(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("sweep=fin-r1-quants", f"results_dir={results}")
    assert said(capsys, "memory=6.5GiB", "headroom=500MiB", *where).startswith(
        "Every file that can be chosen is worse than the reference: Fin-R1 Q4_K_S loses least, 1.3 ["
    )
    assert "headroom leaves nothing" in refused("memory=1GiB", "headroom=2GiB", *where)


def test_wrong_requests_are_one_line(results: Path, tmp_path: Path) -> None:
    where = f"results_dir={results}"
    assert "say how much memory" in refused(where)
    assert "2 sweeps to choose from" in refused("memory=6GiB", where)
    assert "fin-r1-quants/id" in refused("memory=6GiB", where)
    assert "Did you mean smollm2-ladder?" in refused("memory=6GiB", "sweep=smollm2-lader", where)
    assert "no sweep in" in refused("memory=6GiB", f"results_dir={tmp_path / 'nowhere'}")
    assert "Did you mean memory?" in refused("memroy=6GiB", where)
    assert "give a whole number of at least 1" in refused("memory=6GiB", "slots=0", where)
    assert "give a whole number of at least 1" in refused("memory=6GiB", "context=8k", where)
    assert "give memory=VALUE once" in refused("memory=6GiB", "memory=7GiB", where)
    assert "needs 359.35 MiB" in refused("memory=1MiB", "sweep=smollm2-ladder", where)
    (tmp_path / "broken.json").write_text('{"name": 1}')
    assert "is not a sweep's record" in refused("memory=6GiB", f"sweep={tmp_path / 'broken.json'}")


def test_titles_are_not_markup_and_move_no_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = fin_r1()
    hostile = replace(sweep, members=tuple(replace(m, title="[red]\x1b[2J\nx") for m in sweep.members))
    (tmp_path / "sweep.json").write_text(to_json(hostile), encoding="utf-8")
    out = said(capsys, "memory=6.5GiB", f"sweep={tmp_path}")
    assert "\x1b" not in out
    assert "[red]�[2J x" in out


def test_a_benchmark_that_got_worse_is_mentioned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = candidate("a", 5, "as_good")
    mixed = tuple(_judge(each, "worse") if each.benchmark == "tfns" else each for each in good.comparisons)
    assert any(each.benchmark == AVERAGE for each in mixed)
    (tmp_path / "sweep.json").write_text(
        to_json(sweep_of(replace(good, comparisons=mixed))), encoding="utf-8"
    )
    out = said(capsys, "memory=6GiB", f"sweep={tmp_path}")
    assert "on TFNS: worse by" in out
    assert "on FinQA" not in out


@pytest.mark.parametrize("flash", [False, True])
@pytest.mark.parametrize("shape", [(300, 1), (1000, 8), (4096, 1), (8192, 1), (8192, 8), (16_384, 4)])
def test_a_scaled_need_covers_what_is_predicted_from_the_file_itself(
    shape: tuple[int, int], flash: bool
) -> None:
    header = header_of(BUILDS["q4_k"], Geometry())
    context, slots = shape
    at = predicted_memory(header, context=4096, slots=4, flash_attention=flash)
    asked = predicted_memory(header, context=context, slots=slots, flash_attention=flash)
    one = candidate("a", 5, "as_good")
    assert one.cost is not None
    found = need(
        replace(one, cost=replace(one.cost, predicted=at, peak_memory_bytes=at.total)), context, slots
    )
    assert found is not None
    # Less: the logits of further slots. More: where compute buffers shrink or their constant grows.
    assert 0.995 * asked.total < found.bytes < 1.35 * asked.total


def test_where_accuracy_says_nothing_a_file_within_the_noise_is_as_good(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    near = diverged(candidate("near", 5, "unresolved", decode=20.0), 1e-4, noise=0.01, alike=0.995)
    other = candidate("other", 6, "unresolved", decode=50.0, bits=9.0)
    sweep = sweep_of(near, other)
    assert choice(sweep, 7) == "near"
    assert choice(sweep, 20) == "near", "and it is faster than the reference"
    out = recommended(tmp_path, capsys, replace(sweep, questions={"finqa": 10_000, "tfns": 10_000}))
    assert out.splitlines()[0] == (
        "Deploy near: token by token within the engine's noise, on 40 of the reference's answers; on "
        "accuracy no answer yet (limit=4500 would tell)."
    )
    said = " ".join(out.split())
    assert (
        "it puts 0.5 % of the tokens of the reference's answers otherwise, the reference itself, read again"
        in said
    )
    assert "1.0 %; on accuracy nothing is shown" in said
    # The interval reaches beyond what the reference does itself: that shows nothing.
    wider = diverged(candidate("near", 5, "unresolved", decode=20.0), 1e-4, noise=0.01, alike=0.9905)
    assert choice(sweep_of(wider, other), 7) == "other"


def test_a_verdict_on_accuracy_goes_before_fidelity() -> None:
    near = diverged(candidate("near", 5, "worse", decode=20.0), 1e-4, noise=0.01, alike=0.999)
    assert choice(sweep_of(near, candidate("open", 6, "unresolved")), 7) == "open"
    far = diverged(candidate("far", 5, "as_good", decode=20.0), 0.9, lost=0.3)
    assert choice(sweep_of(far, candidate("open", 6, "unresolved", bits=9.0)), 7) == "far"
    assert [foretold(sweep_of(each), each) for each in (near, far)] == [None, None]


def test_what_would_lose_more_than_the_margin_is_tested_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    far = diverged(candidate("far", 6, "unresolved", bits=9.0), 0.3, lost=0.061)
    also = diverged(candidate("also", 5, "unresolved", bits=8.0), 0.3, lost=0.03)
    small = diverged(candidate("small", 5, "unresolved", bits=4.0), 0.1, lost=0.019)
    sweep = sweep_of(far, also, small)
    assert choice(sweep, 7) == "small"
    out = recommended(tmp_path, capsys, sweep)
    first = (
        "Test far first, then 1 more: 6.1 [5.9, 6.3] points would be lost at the final answers alone, the "
        "margin is 2 points."
    )
    assert out.splitlines()[0].startswith("No answer yet: 1,000 questions cannot tell these files apart")
    assert " ".join(out.split()).count(first) == 1
    assert "no answer yet (never: too few questions); to be tested first: 6.1 [5.9, 6.3]" in report(sweep)
    known = diverged(candidate("known", 6, "worse"), 0.3, lost=0.061)
    assert "Test " not in recommended(tmp_path, capsys, sweep_of(known))


def test_one_page_of_answers_foretells_nothing() -> None:
    far = diverged(candidate("far", 6, "unresolved"), 0.3, lost=0.061)
    assert far.fidelity is not None
    parts = {
        name: replace(part, lost=replace(part.lost, error=None) if part.lost else None)
        for name, part in far.fidelity.parts.items()
    }
    alone = replace(far, fidelity=replace(far.fidelity, parts=parts))
    assert (foretold(sweep_of(far), far), foretold(sweep_of(alone), alone)) == ("loss", None)
