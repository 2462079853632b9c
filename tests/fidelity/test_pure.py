"""Divergences, kinds of token, cuts, figures, messages and stores: against slow formulas and by hand."""

from __future__ import annotations

import io
import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evalkit.children.arrays import Broken, Content, read, write
from evalkit.fidelity.classes import token_classes, tokens_of
from evalkit.fidelity.divergence import divergence, leaving_chance, tokens_kept
from evalkit.fidelity.figures import (
    AnswerFigures,
    auc,
    benchmark_fidelity,
    flip_forecast,
    median_kept,
    neighbours,
    positive_estimate,
    share_estimate,
)
from evalkit.fidelity.likelihood import reliability, softmax
from evalkit.fidelity.plan import ForcedAnswer, cuts, distinct, with_cuts
from evalkit.fidelity.store import Store
from evalkit.fidelity.traces import Trace, trace


def _answer(
    text: str, pieces: list[str], ended: bool = True, prompt: tuple[int, ...] = (1, 2)
) -> ForcedAnswer:
    assert "".join(pieces) == text
    sizes = tuple(len(piece.encode()) for piece in pieces)
    return ForcedAnswer(("b", "i", None, 0), "g", prompt, tuple(range(len(pieces))), sizes, ended, text)


def test_a_bucket_of_the_others_only_lowers_the_divergence() -> None:
    random = np.random.default_rng(0)
    p, q = (random.dirichlet(np.full(500, 0.05), size=40) + 1e-9 for _ in range(2))
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    full = (p * np.log(p / q)).sum(1)
    order = np.argsort(-p, axis=1)
    last = np.zeros(len(p))
    for count in (4, 16, 64, 256, 500):
        ids = order[:, :count]
        one, other = (np.take_along_axis(x, ids, 1) for x in (p, q))
        found = divergence(np.log(one), 1 - one.sum(1), np.log(other), 1 - other.sum(1))
        assert (found >= last - 1e-9).all()
        assert (found <= full + 1e-9).all()
        last = found
    assert last == pytest.approx(full, abs=1e-6)


def test_equal_distributions_have_none_to_the_last_bit() -> None:
    logp = np.log(np.array([[0.5, 0.25], [0.9, 0.1]], dtype=np.float32))
    rest = np.array([0.25, 0.0])
    assert (divergence(logp, rest, logp, rest) == 0).all()


def test_a_divergence_by_hand() -> None:
    p, q = np.log([[0.5, 0.25]]), np.log([[0.25, 0.25]])
    wanted = 0.5 * math.log(2) + 0.25 * math.log(0.25 / 0.5)
    assert divergence(p, np.array([0.25]), q, np.array([0.5])) == pytest.approx([wanted])


def test_the_chance_to_leave_is_that_of_a_rejected_draft() -> None:
    assert leaving_chance(np.log([2.0, 1.0])) == 0
    assert leaving_chance(np.log([0.5, 3.0, 0.5])) == pytest.approx(0.75)
    random = np.random.default_rng(1)
    p, q = np.array([0.6, 0.8]), np.array([0.3, 0.9])
    rejected = (random.random((200_000, 2)) > q / p).any(1).mean()
    assert leaving_chance(np.log(q / p)) == pytest.approx(rejected, abs=0.005)


def test_how_long_greedy_stays() -> None:
    assert tokens_kept(np.array([True, True, False, True])) == 2
    assert tokens_kept(np.array([True])) is None


def test_cuts_are_what_each_shares_with_any_other() -> None:
    random = np.random.default_rng(2)
    for _ in range(50):
        some = sorted(tuple(random.integers(0, 2, random.integers(1, 9)).tolist()) for _ in range(8))

        def shared(one: tuple[int, ...], other: tuple[int, ...]) -> int:
            pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
            return sum(1 for _ in pairs)

        wanted = [
            {shared(one, other) for j, other in enumerate(some) if i != j} for i, one in enumerate(some)
        ]
        assert cuts(some) == wanted
        assert distinct(some) == len({each[:n] for each in some for n in range(1, len(each) + 1)})


def test_what_two_prompts_share_is_cut_in_both_at_one_place() -> None:
    page = tuple(range(100))
    made = with_cuts(
        [_answer("a", ["a"], prompt=(*page, *tail)) for tail in ((200,) * 40, (201,) * 40, (7,))]
    )
    assert [answer.cuts for answer in made] == [(100,), (100,), (100,)]
    alone = with_cuts([_answer("a", ["a"], prompt=page)])
    assert alone[0].cuts == ()


def test_kinds_of_token() -> None:
    pieces = ["<think>", "增长", "</think>", "So", " -", "12", ".5", "%", " \\boxed{", "12", "}", " bullish"]
    answer = _answer("".join(pieces), pieces)
    found = token_classes(answer, ["bullish", "bearish"])

    def which(kind: str) -> list[int]:
        return np.nonzero(found[kind])[0].tolist()  # type: ignore[index]

    assert which("digits") == [5, 6, 9]
    assert which("signs") == [4, 7]
    assert which("boxed") == [9]
    assert which("reasoning") == [0, 1, 2]
    assert which("chinese") == [1]
    assert which("options") == [11]
    assert which("end") == [12]
    assert which("other") == [3, 8, 10]


def test_a_letter_is_an_option_where_it_is_no_article() -> None:
    pieces = ["A", " rise", ", so ", "A", "."]
    found = token_classes(_answer("".join(pieces), pieces), ["A", "B"])["options"]
    assert np.nonzero(found)[0].tolist() == [3]


def test_spans_of_characters_find_tokens_that_hold_a_part_of_one() -> None:
    text = "利好5"
    raw = text.encode()
    answer = ForcedAnswer(("b", "i", None, 0), "g", (1,), (1, 2, 3), (2, 4, len(raw) - 6), False, text)
    assert tokens_of(answer, [(0, 1)]).tolist() == [True, True, False]
    assert tokens_of(answer, [(2, 3)]).tolist() == [False, False, True]
    assert tokens_of(answer, [(1, 1)]).tolist() == [False, False, False]


def _figures(kl: float, group: str, kept: int | None = None, final: float | None = None) -> AnswerFigures:
    return AnswerFigures("b", (group, None), 0, group, 10, kl, 0.9, -kl, kept, final, 0.5, {})


def test_the_interval_of_a_divergence_is_students_on_the_log_scale() -> None:
    values = [0.01, 0.02, 0.04, 0.03]
    found = positive_estimate(values, list("abcd"))
    error = np.std(values, ddof=1) / 2
    factor = math.exp(3.182446305284263 * error / 0.025)
    assert (found.value, found.error) == pytest.approx((0.025, error))
    assert (found.low, found.high) == pytest.approx((0.025 / factor, 0.025 * factor))
    nothing = positive_estimate([0.0, 0.0], ["a", "b"])
    assert (nothing.low, nothing.value, nothing.high) == (0, 0, 0)
    alone = positive_estimate([0.5], ["a"])
    assert (alone.low, alone.high) == (0, math.inf)


def test_the_interval_of_a_share_near_one() -> None:
    shares = [0.99, 0.98, 0.96, 0.97]
    found, lack = (
        share_estimate(shares, list("abcd"), 400),
        positive_estimate([0.01, 0.02, 0.04, 0.03], list("abcd")),
    )
    assert (found.low, found.value, found.high) == pytest.approx(
        (1 - lack.high, 1 - lack.value, 1 - lack.low)
    )
    whole = share_estimate([1.0, 1.0], ["a", "b"], 50)
    assert (whole.value, whole.high) == (1, 1)
    assert whole.low == pytest.approx(50 / (50 + 1.959964**2))
    alone = share_estimate([0.5], ["a"], 50)
    assert (alone.low, alone.high) == (0, 1)


def test_answers_that_greedy_never_leaves_say_only_more_than_that() -> None:
    kept = [2, 4, None, None, 6]
    assert median_kept([_figures(0.1, str(i), each) for i, each in enumerate(kept)]) == 6
    assert median_kept([_figures(0.1, str(i), None) for i in range(3)]) is None
    found = benchmark_fidelity([_figures(0.1, str(i), each) for i, each in enumerate(kept)])
    assert found.whole.value == pytest.approx(0.4)


def test_area_under_the_curve_counts_pairs() -> None:
    random = np.random.default_rng(3)
    scores, positive = random.integers(0, 5, 40).astype(float), random.random(40) < 0.4
    pairs = [(a > b) + (a == b) / 2 for a in scores[positive] for b in scores[~positive]]
    assert auc(scores, positive) == pytest.approx(np.mean(pairs))
    assert auc(scores, np.zeros(40, dtype=bool)) is None


def test_what_was_foretold_of_flips() -> None:
    pairs = [(_figures(0.1, str(i), None, i / 10), i >= 5) for i in range(10)]
    found = flip_forecast([*pairs, (_figures(0.1, "x"), True)])
    assert found is not None
    assert (found.n, found.flipped, found.auc_final, found.auc_kl) == (10, 5, 1.0, 0.5)
    assert found.predicted == pytest.approx(4.5)
    first = found.bins[0]
    assert (first.predicted, first.observed, first.n) == pytest.approx((0.05, 0.0, 2))
    assert flip_forecast([(_figures(0.1, "x"), True)]) is None


def test_reliability_and_its_error_by_hand() -> None:
    bins = reliability([0.95, 0.91, 1.0, 0.42, 0.48], [True, False, True, False, True])
    assert [(b.n, b.accuracy) for b in bins] == [(2, 0.5), (3, pytest.approx(2 / 3))]
    assert [b.confidence for b in bins] == pytest.approx([0.45, 2.86 / 3])
    assert softmax(np.log([0.2, 0.6])).tolist() == pytest.approx([0.25, 0.75])


def test_messages_come_back_and_broken_ones_are_told() -> None:
    content = Content(
        {"key": "中"}, {"a": np.arange(6, dtype="<i4").reshape(2, 3), "b": np.zeros((0, 4), "<f8")}
    )
    stream = io.BytesIO()
    write(stream, content)
    write(stream, Content({"n": 1}))
    raw = stream.getvalue()
    stream.seek(0)
    found = read(stream)
    assert found is not None
    assert found.head == content.head
    assert found.arrays["a"].tolist() == content.arrays["a"].tolist()
    assert found.arrays["b"].shape == (0, 4)
    assert read(stream) == Content({"n": 1})
    assert read(stream) is None
    line = raw.index(b"\n") + 1
    for cut in (3, line - 1, line + 5):
        with pytest.raises(Broken):
            read(io.BytesIO(raw[:cut]))
    with pytest.raises(Broken):
        read(io.BytesIO(raw[:line] + b"\xff" + raw[line + 1 :]))
    for claim in (
        b"[]\n",
        b'{"head": {}, "arrays": [["a", "<f8", [999999999999]]], "crc": 0}\n',
        b"[" * 99_999 + b"\n",
    ):
        with pytest.raises(Broken):
            read(io.BytesIO(claim))


def test_a_store_forgets_what_a_kill_left_half_written(tmp_path: Path) -> None:
    path = tmp_path / "a.answers"
    with Store(path) as store:
        for key in ("one", "two"):
            store.append(key, Content({}, {"x": np.full(3, len(key), dtype="<f8")}))
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with Store(path) as store:
        assert "one" in store
        assert "two" not in store
        store.append("two", Content({}, {"x": np.full(3, 3, dtype="<f8")}))
        assert store.get("two").arrays["x"].tolist() == [3, 3, 3]
    assert path.read_bytes() == whole


def _traced(pieces: list[bytes], kl: list[float], instead: dict[int, str], ended: bool = True) -> Trace:
    text = b"".join(pieces).decode()
    sizes = tuple(map(len, pieces))
    name = ("b", "1", None, 0)
    answer = ForcedAnswer(name, "g", (1, 2), tuple(range(len(pieces))), sizes, ended, text)
    leaves = np.array([number in instead for number in range(len(kl))])
    said = [instead.get(number, "the same") for number in range(len(kl))]
    return trace(answer, np.array(kl, dtype=np.float32), leaves, said, longest=20)


def test_a_trace_marks_what_diverges_and_says_what_the_file_would_have_said() -> None:
    found = _traced([b"It is", b" 12", b" %", b"."], [0.0, 0.7, 0.06, 0.01, 0.02], {1: " 14", 4: " So"})
    assert (found.text, found.whole) == ("It is 12 %.", True)
    marks = [(found.text[mark.start : mark.end], mark.instead) for mark in found.marks]
    assert marks == [(" 12", " 14"), (" %", None), ("", " So")]
    assert [mark.kl for mark in found.marks] == pytest.approx([0.7, 0.06, 0.02])


def test_tokens_of_parts_of_a_character_are_one_mark() -> None:
    raw = "涨了".encode()
    found = _traced([raw[:2], raw[2:4], raw[4:]], [0.5, 0.5, 0.5], {1: "跌"}, ended=False)
    spans = [(mark.start, mark.end) for mark in found.marks]
    assert spans[0] == (0, 1)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))
    assert spans[-1][1] == 2


def test_a_long_answer_is_traced_to_where_its_text_is_kept() -> None:
    found = _traced([b"0123456789"] * 3, [0.5] * 4, {2: "x", 3: "y"})
    assert (len(found.text), found.whole) == (20, False)
    assert [(mark.start, mark.end) for mark in found.marks] == [(0, 10), (10, 20)]


def test_neighbours_are_paired_by_answer_and_benchmark() -> None:
    def answers(kl: float, *groups: str) -> list[AnswerFigures]:
        return [_figures(kl + 0.01 * number, each) for number, each in enumerate(groups)]

    near, middle, far = answers(0.1, "p", "q", "r"), answers(0.3, "p", "q"), answers(0.9, "p", "q")
    other = [replace(each, benchmark="c") for each in far]
    found = neighbours([("near", near), ("middle", middle), ("far", [*far, *other])])
    assert [(each.benchmark, each.file, each.other) for each in found] == [
        ("b", "middle", "near"),
        ("b", "far", "middle"),
    ]
    assert [each.kl.value for each in found] == pytest.approx([0.2, 0.6])
    assert [each.kl.n for each in found] == [2, 2]
    assert neighbours([("alone", near)]) == ()
