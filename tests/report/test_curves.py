"""The curves of a sweep: labels that do not overlap, fronts, pinned bytes, hostile titles."""

from __future__ import annotations

import itertools
import random
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from evalkit.report.curves import (
    AXES,
    DPI,
    Axis,
    axis_points,
    curves,
    forest,
    names,
    panels,
    pareto_front,
    pinned,
    plain_label,
    scatter,
    short_labels,
)
from evalkit.report.labels import Box, place
from evalkit.schema import AVERAGE
from evalkit.sweep.record import Sweep
from tests.sweep.ladders import crowd, fin_r1, tiny

MEMORY, SIZE, SPEED = AXES
HOSTILE = (
    "$x_{",
    "<b>bold</b><script>alert(1)</script>",
    "two\nlines\tand\x1b[31m",
    "W" * 300,
    "财务 模型",
    "",
    "--",
)


def label_boxes(figure: Figure, dpi: float = DPI) -> list[list[Bbox]]:
    """The labels' extents per panel, as the renderer draws them."""
    figure.set_dpi(dpi)
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    return [
        [text.get_window_extent(renderer) for text in axes.texts if isinstance(text, Annotation)]
        for axes in figure.axes
    ]


@pytest.mark.parametrize("dpi", [DPI, 72])
@pytest.mark.parametrize("axis", AXES, ids=lambda axis: axis.file)
@pytest.mark.parametrize(
    "sweep", [fin_r1(), tiny(), crowd(), crowd(11, "W" * 300)], ids=["fin", "tiny", "crowd", "W"]
)
def test_labels_do_not_overlap_and_stay_inside(sweep: Sweep, axis: Axis, dpi: float) -> None:
    with pinned():
        figure = scatter(sweep, axis)
        # 72 is what matplotlib lays an SVG out with.
        found = label_boxes(figure, dpi)
    for axes, boxes in zip(figure.axes, found, strict=True):
        drawn = sum(member.status == "done" for member in sweep.members)
        # Eleven labels of 18 Ws, each half a panel wide, are the one case in which some find no room.
        assert len(boxes) == drawn or (sweep.title[0] == "W" and len(boxes) >= drawn - 2)
        for one, other in itertools.combinations(boxes, 2):
            assert not one.overlaps(other)
        for box in boxes:
            assert axes.bbox.x0 <= box.x0
            assert box.x1 <= axes.bbox.x1
            assert axes.bbox.y0 <= box.y0
            assert box.y1 <= axes.bbox.y1


def test_labels_do_not_cover_marks() -> None:
    sweep = crowd()
    with pinned():
        figure = scatter(sweep, MEMORY)
        found = label_boxes(figure)
    for axes, boxes, (name, _) in zip(figure.axes, found, panels(sweep), strict=True):
        for point in axis_points(sweep, name, MEMORY):
            x, y = axes.transData.transform((point.x / 2**30, 100 * point.accuracy.value))
            assert not any(box.contains(x, y) for box in boxes)


def overlapping(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_labels_that_find_no_room_are_left_out_rather_than_piled_up() -> None:
    generator = random.Random(4)
    anchors = [(generator.uniform(0, 200), generator.uniform(0, 100)) for _ in range(80)]
    found = place(anchors, [(60.0, 12.0)] * 80, (0, 0, 200, 100), [], [])
    placed = [each.box for each in found if each is not None]
    assert 5 < len(placed) < 80
    assert not any(overlapping(a, b) for a, b in itertools.combinations(placed, 2))


def test_a_label_prefers_the_side_without_a_line() -> None:
    line: Box = (50.0, 48.0, 200.0, 52.0)
    (found,) = place([(50.0, 50.0)], [(40.0, 10.0)], (0, 0, 200, 100), [(43, 43, 57, 57)], [line])
    assert found is not None
    assert not overlapping(found.box, line)
    assert found.leader is None


def test_the_front_of_less_and_of_more() -> None:
    sweep = fin_r1()
    cheap = [point.name for point in pareto_front(axis_points(sweep, AVERAGE, SIZE), SIZE)]
    assert cheap == ["iq3_xs", "iq3_m", "q4_0", "q4_k_s", "q4_k", "q6_k", "q8_0"]
    fast = [point.name for point in pareto_front(axis_points(sweep, AVERAGE, SPEED), SPEED)]
    assert fast == ["q4_0", "q4_k_s", "q4_k", "q6_k", "q8_0"]


def test_equal_members_are_both_on_the_front() -> None:
    sweep = tiny()
    twin = replace(sweep.members[0], name="twin", title="twin")
    both = replace(sweep, members=(sweep.members[0], twin))
    assert [point.name for point in pareto_front(axis_points(both, AVERAGE, SIZE), SIZE)] == ["q8_0", "twin"]


def test_the_caption_says_n_shape_and_who_is_missing() -> None:
    figure = scatter(fin_r1(), MEMORY)
    caption = figure.texts[-1].get_text().replace("\n", " ")
    assert "Missing: F16 (the file has a bad checksum)." in caption
    assert "4 slots of 4,096 tokens" in caption
    assert [axes.get_title(loc="left") for axes in figure.axes][:2] == [
        "Average, n = 4,000",
        "FinQA, n = 1,000",
    ]
    without = replace(fin_r1(), members=fin_r1().members[:1] + fin_r1().members[2:])
    assert "Missing" not in scatter(without, MEMORY).texts[-1].get_text()


def test_marks_say_the_verdict_without_colour() -> None:
    legend = forest(fin_r1()).legends[0]
    looks = {}
    for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True):
        assert isinstance(handle, Line2D)
        looks[text.get_text()] = (handle.get_marker(), handle.get_markerfacecolor())
    assert set(looks) == {"as good", "not resolvable", "worse", "noise floor"}
    assert len(set(looks.values())) == len(looks)


def test_the_forest_shows_every_compared_member_and_the_noise() -> None:
    rows = [text.get_text() for text in forest(fin_r1()).axes[0].get_yticklabels()]
    assert rows[0] == "BF16-Q8_0"
    assert rows[-2:] == ["a second run", "2 slots instead of 4"]
    assert not {"BF16", "F16"} & set(rows)


def test_same_sweep_same_bytes_whatever_the_user_has_set() -> None:
    import matplotlib

    first = curves(tiny())
    with matplotlib.rc_context({"font.size": 30, "savefig.dpi": 40, "axes.formatter.use_locale": True}):
        assert curves(tiny()) == first
    assert list(first) == [f"{name}.{suffix}" for name in names(tiny()) for suffix in ("png", "svg")]
    assert all(content.startswith(b"\x89PNG") for name, content in first.items() if name.endswith(".png"))


def test_hostile_titles_do_no_harm() -> None:
    sweep = crowd(len(HOSTILE))
    members = [replace(each, title=title) for each, title in zip(sweep.members, HOSTILE, strict=True)]
    members[1] = replace(members[1], status="failed", reason=HOSTILE[1], accuracy={}, comparisons=())
    titles = dict(zip(sweep.benchmarks, HOSTILE, strict=False))
    hostile = replace(sweep, members=tuple(members), benchmarks=titles, rule=HOSTILE[2])
    for name, content in curves(hostile).items():
        if name.endswith(".svg"):
            tree = ElementTree.fromstring(content)
            tags = {element.tag.rpartition("}")[2] for element in tree.iter()}
            assert not tags & {"script", "image", "foreignObject", "a"}
            links = {
                value for element in tree.iter() for key, value in element.items() if key.endswith("href")
            }
            assert all(link.startswith("#") for link in links)
            assert b"<script" not in content


def test_a_figure_without_data_is_not_made() -> None:
    sweep = tiny()
    blind = replace(
        sweep, members=tuple(replace(member, cost=None, comparisons=()) for member in sweep.members)
    )
    assert list(curves(blind)) == ["accuracy-size.png", "accuracy-size.svg"]


def test_one_benchmark_needs_no_average() -> None:
    sweep = tiny()
    members = tuple(
        replace(
            member,
            accuracy={key: member.accuracy[key] for key in ("tfns", AVERAGE)},
            comparisons=tuple(each for each in member.comparisons if each.benchmark == "tfns"),
        )
        for member in sweep.members
    )
    one = replace(sweep, members=members)
    assert panels(one) == [("tfns", "TFNS")]
    assert len(scatter(one, MEMORY).axes) == 1


def test_labels_drop_what_all_titles_share() -> None:
    assert short_labels(tiny())["iq3_xs"] == "IQ3_XS"
    same = replace(tiny(), members=tuple(replace(member, title="Same title") for member in tiny().members))
    assert set(short_labels(same).values()) == {"Same title"}


def test_plain_text_is_short_visible_and_on_one_line() -> None:
    assert plain_label("a\nb\x1b[0m‮", 20) == "a b�[0m�"
    assert plain_label("0123456789" * 30, 11) == "01234…56789"
