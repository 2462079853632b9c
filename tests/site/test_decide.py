"""Which file to deploy: groups of runs that compare, verdicts, files at the floor, choice, headline."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from evalkit.board.board import runs_of
from evalkit.board.compare import pairs_of, spans_of
from evalkit.board.decide import Group, groups_of, labels_of, references_of, short_names
from evalkit.board.plot import plot_of
from evalkit.board.provenance import differences
from evalkit.board.site import site
from evalkit.fidelity.figures import Difference
from evalkit.fidelity.traces import Mark, Trace
from evalkit.run.info import Run
from evalkit.schema import Estimate, Verdict
from evalkit.sweep.record import Sweep, overall
from tests.leaderboard.made import with_head, with_items
from tests.site.material import answer, made_board, run
from tests.sweep.ladders import diverged, tiny


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("decide")
    names = ("q8_0", "q4_k", "iq3_xs")
    return {
        f"{name}.gz": run(folder / name, name, partial(answer, name), ("finqa", "tfns")) for name in names
    }


def grouped(records: dict[str, Run], *sweeps: Sweep) -> list[Group]:
    board = made_board(records)
    return groups_of(board, runs_of(board, records), sweeps)


def cut_off(made: Run) -> Run:
    items = [item.with_samples((replace(item.samples[0], finish_reason="length"),)) for item in made.items]
    return with_items(made, items)


def only(sweep: Sweep, kind: str, needed: int | None = None) -> Sweep:
    """The sweep with that one verdict for every member."""

    def judged(comparisons: tuple) -> tuple:  # type: ignore[type-arg]
        return tuple(replace(each, verdict=Verdict(kind, needed)) for each in comparisons)  # type: ignore[arg-type]

    return replace(sweep, members=tuple(replace(m, comparisons=judged(m.comparisons)) for m in sweep.members))


def test_runs_that_were_asked_the_same_are_one_group_with_paired_differences(records: dict[str, Run]) -> None:
    (group,) = grouped(records)
    assert group.reference is not None
    assert len(group.rows) == 3
    for row in group.rows:
        if row is group.reference:
            assert row.kind == "reference"
            continue
        assert row.comparison is not None
        assert row.run is not None
        assert group.reference.run is not None
        ours, theirs = row.run.measured.average, group.reference.run.measured.average
        assert ours is not None
        assert theirs is not None
        assert row.comparison.difference.value == pytest.approx(ours.value - theirs.value)


def test_runs_under_another_protocol_are_not_compared(records: dict[str, Run]) -> None:
    first, second, _ = records.values()
    hot = with_head(second, protocol={**second.info.raw["protocol"], "temperature": 1.0})
    (group,) = grouped({"a": first, "b": hot})
    assert group.reference is None
    assert {row.kind for row in group.rows} == {"not_compared"}
    assert "do not compare" in group.headline
    assert pairs_of([group]) == []


def test_a_file_that_is_mostly_cut_off_is_unfit_and_never_a_choice(records: dict[str, Run]) -> None:
    first, second, _ = records.values()
    (group,) = grouped({"a": first, "b": cut_off(second)})
    unfit = [row for row in group.rows if row.kind == "unfit"]
    assert [row.unfit for row in unfit] == ["100 % of its answers are cut off"]
    assert unfit[0] not in [step.row for step in group.steps]
    (alone,) = grouped({"b": cut_off(second)})
    assert alone.rows[0].kind == "unfit"


def test_a_file_below_the_most_frequent_answer_is_unfit(tmp_path_factory: pytest.TempPathFactory) -> None:
    wrong = run(tmp_path_factory.mktemp("wrong") / "w", "wrong", lambda _: "\\boxed{nothing}", ("tfns",))
    (group,) = grouped({"w": wrong})
    assert "would be if it always gave the same" in group.rows[0].unfit


def test_the_headline_names_the_smallest_file_that_is_as_good() -> None:
    (group,) = grouped({}, only(tiny(), "as_good"))
    fit = [row for row in group.rows if row.kind == "as_good" and row.need]
    smallest = min(fit, key=lambda row: row.need.bytes if row.need else 0)
    assert group.headline.startswith(f"Deploy {smallest.label}: as good as ")


def test_without_a_verdict_the_headline_says_what_would_settle_it() -> None:
    (group,) = grouped({}, only(tiny(), "unresolved", 2_000))
    assert group.headline.startswith("No answer yet: ")
    assert "limit=" in group.headline


def test_more_questions_than_there_are_settle_nothing(records: dict[str, Run]) -> None:
    (group,) = grouped(records)
    assert group.reference is not None
    run_id = group.reference.run.measured.run if group.reference.run else ""
    sweep = only(tiny(), "unresolved", 10**7)
    here = replace(sweep.members[0], name="q8_0", run_dir=f"../x/{run_id}")
    reference = sweep.reference if sweep.reference != sweep.members[0].name else "q8_0"
    (first, *_) = grouped(records, replace(sweep, members=(here, *sweep.members[1:]), reference=reference))
    assert "never: the benchmarks have too few" in first.headline


def test_all_worse_means_keep_the_reference() -> None:
    (group,) = grouped({}, only(tiny(), "worse"))
    assert group.reference is not None
    assert group.headline.startswith(f"Keep {group.reference.label}: every other file is worse.")


def test_the_choice_grows_with_memory_and_skips_the_unfit() -> None:
    sweep = tiny()
    (group,) = grouped({}, sweep)
    froms = [step.bytes for step in group.steps]
    assert froms == sorted(froms)
    assert froms
    worst = group.steps[0].row.member.name
    floor = replace(
        sweep, members=tuple(replace(m, truncated=0.9) if m.name == worst else m for m in sweep.members)
    )
    (changed,) = grouped({}, floor)
    assert worst not in [step.row.member.name for step in changed.steps]


def test_every_couple_of_a_small_group_is_compared_once(records: dict[str, Run]) -> None:
    groups = grouped(records)
    (found,) = pairs_of(groups)
    assert len(found.pairs) == 3
    assert len({frozenset((p.reference.label, p.candidate.label)) for p in found.pairs}) == 3
    for pair in found.pairs:
        flips = [line.comparison.flips for line in pair.lines if line.name != "average"]
        lost = sum(each.right_to_wrong for each in flips if each)
        won = sum(each.wrong_to_right for each in flips if each)
        assert f"{lost} {'answer' if lost == 1 else 'answers'} lost, {won} won" in pair.trade
        assert pair.sentence


def test_a_sweeps_own_comparisons_are_shown_as_recorded() -> None:
    sweep = tiny()
    (found,) = pairs_of(grouped({}, sweep))
    for pair in found.pairs:
        assert [line.comparison for line in pair.lines if line.name == "average"] == [
            each for each in [overall(pair.candidate.member)] if each and each.benchmark == "average"
        ]


def test_names_lose_what_all_begin_with_and_stay_distinct() -> None:
    assert short_names(["SmolLM2 Q4_1 → iq3_xs", "SmolLM2 Q4_1 → q8_0"]) == ["iq3_xs", "q8_0"]
    assert short_names(["one", "one two"]) == ["one", "one two"]
    assert short_names(["alone and whole"]) == ["alone and whole"]
    assert len(short_names(["x" * 200])[0]) == 28


def test_a_runs_short_name_is_used_only_where_no_other_has_it(records: dict[str, Run]) -> None:
    board = made_board(records)
    runs = runs_of(board, records)
    groups = groups_of(board, runs, [])
    assert sorted(labels_of(groups, runs).values()) == ["IQ3_XS", "Q4_K", "Q8_0"]
    references = references_of(groups)
    assert len(references) == 2
    assert len({run.number for run in references.values()}) == 1


def test_the_plot_holds_every_file_with_a_memory_within_its_frame() -> None:
    (group,) = grouped({}, tiny())
    plot = plot_of(group)
    assert plot is not None
    known = [row.label for row in group.rows if row.need and row.accuracy]
    assert sorted(mark.label for mark in plot.marks) == sorted(known)
    for mark in plot.marks:
        assert plot.left <= mark.x <= plot.right
        assert 0 <= mark.high <= mark.y <= mark.low <= plot.bottom
    ticks = [y for y, _ in plot.down]
    assert ticks == sorted(ticks, reverse=True)


def test_only_what_differs_is_listed_first(records: dict[str, Run]) -> None:
    first, second, _ = records.values()
    other = with_head(second, protocol={**second.info.raw["protocol"], "max_tokens": 7})
    both = {"a": first, "b": other}
    found = {each.name: each for each in differences(runs_of(made_board(both), both))}
    assert "protocol.max_tokens" in found
    assert "7" in found["protocol.max_tokens"].values
    assert "protocol.temperature" not in found


def test_a_warning_of_all_files_is_said_once(records: dict[str, Run]) -> None:
    page = site(made_board(records), records, [])["index.html"].decode()
    assert page.count("made on the bundled samples") == 1
    marked = {
        file: with_head(each, model={**each.info.raw["model"], "name": f"m{number}"})
        for number, (file, each) in enumerate(records.items())
    }
    some = {"a": with_items(next(iter(marked.values())), next(iter(marked.values())).items[:5]), **records}
    partial_ = site(made_board(some), some, [])["index.html"].decode()
    assert partial_.count("answers are not there") == 1


def test_fidelity_of_a_sweep_is_on_the_pages_and_in_the_headline(records: dict[str, Run]) -> None:
    sweep = only(tiny(), "unresolved", 1500)
    board = made_board(records)
    near = [diverged(each, 1e-4 * n, noise=0.01, alike=0.995) for n, each in enumerate(sweep.members) if n]
    measured = replace(sweep, members=(sweep.members[0], *near))
    (group, *_) = grouped(records, measured)
    assert group.headline.startswith("Deploy ")
    assert ": token by token within the engine's noise, on 40 of the reference's answers;" in group.headline
    assert group.rows[1].words == "cannot tell yet; token by token within the engine's noise"
    page = site(board, records, [measured])["index.html"].decode()
    assert "noise: most bits" not in page
    assert "0.0001 [9e-05, 0.00011]" in page
    assert "99.5 % alike" in page
    assert "KL" not in site(board, records, [sweep])["index.html"].decode()
    pairs = pairs_of(grouped(records, measured))
    assert pairs, "so that the page of pairs is made"
    far = replace(
        sweep, members=(sweep.members[0], *(diverged(each, 1.0, lost=0.2) for each in sweep.members[1:]))
    )
    assert "first, then 5 more: 20.0 [19.8, 20.2] points" in grouped(records, far)[0].headline


def test_where_a_file_leaves_the_reference_is_shown_and_escaped(records: dict[str, Run]) -> None:
    text = 'Up <b>3</b> & "so" on'
    marks = (
        Mark(3, 6, 0.6, "<script>alert(1)</script>"),
        Mark(6, 7, 0.3, None),
        Mark(5, 9, 0.9, "overlaps"),
        Mark(11, 12, 0.01, "\n"),
        Mark(len(text), len(text), 0.1, '"'),
        Mark(90, 99, 0.1, "beyond"),
    )
    traced = Trace("finqa", "<i>1</i>", 2, 0, text, True, marks)
    spans = spans_of(traced)
    assert "".join(span.text for span in spans) == text
    assert [span.instead for span in spans if span.instead] == ["<script>alert(1)</script>", "\n", '"']
    assert [span.first for span in spans if span.instead] == [True, False, False]
    assert [span.level for span in spans if span.kl] == [3, 2, 0, 1]
    sweep = only(tiny(), "worse")
    q4_k = diverged(sweep.member("q4_k"), 0.3)
    assert q4_k.fidelity is not None
    q4_k = replace(q4_k, fidelity=replace(q4_k.fidelity, traces=(traced,)), run_dir="runs/q4_k")
    members = tuple(q4_k if each.name == "q4_k" else each for each in sweep.members)
    board = made_board(records)
    beside = (
        Difference("finqa", "q4_k", "q6_k", Estimate(0.2, 0.01, 0.18, 0.22, 40, 20)),
        Difference("tfns", "q4_k", "<u>2</u>", Estimate(0.1, 0.1, -0.1, 0.3, 40, 20)),
        Difference("tfns", "q6_k", "q8_0", Estimate(0.7, 0.1, 0.6, 0.8, 40, 20)),
    )
    sweep = replace(sweep, members=members, kl_differences=beside)
    page = site(board, records, [sweep])["compare.html"].decode()
    assert "FinQA 0.2 [0.18, 0.22], TFNS 0.1 [-0.1, 0.3] (not told apart)." in page
    assert "<u>2</u>" not in page
    assert "0.7 [0.6, 0.8]" not in page, "of a file without fidelity"
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "<i>1</i>" not in page
    assert 'class="t3 left first" title="“&lt;b&gt;” → “&lt;script&gt;' in page
    assert "“the end” → “&#34;”" in page
    assert "→ “⏎”" in page
    assert "beyond" not in page
