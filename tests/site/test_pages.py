"""The pages: the same bytes every time, figures as counted by hand, hostile names escaped."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest

from evalkit.audit import audit_table
from evalkit.board.board import Board, runs_of
from evalkit.board.pages import breakdown_parts, failures_parts, rules_parts
from evalkit.board.published import against
from evalkit.board.site import ASSETS, LIVE_ASSETS, MORE, PAGES, site
from evalkit.published import read_table
from evalkit.run.info import Run
from tests.leaderboard.made import with_head, with_items
from tests.site.material import answer, made_board, run

FORBIDDEN = re.compile(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(")
ODD = "</title><script>alert(1)</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("pages")
    return {f"{name}.gz": run(folder / name, name, partial(answer, name)) for name in ("q8_0", "iq3_xs")}


class Links(HTMLParser):
    """What a page refers to, and its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.ids: list[str] = []
        self.attributes: set[str] = set()
        self.inline = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.attributes |= set(given)
        self.targets += [value for key in ("href", "src") if (value := given.get(key))]
        self.ids += [value for key, value in attrs if key == "id" and value]
        self.inline += tag == "style" or (tag == "script" and "src" not in given)


def read(page: bytes) -> Links:
    parser = Links()
    parser.feed(page.decode("utf-8"))
    return parser


def test_the_same_input_gives_the_same_bytes(records: dict[str, Run]) -> None:
    board = made_board(records)
    assert site(board, records, []) == site(board, dict(reversed(records.items())), [])


def test_a_measured_file_of_a_published_model_stands_against_the_published_score(
    records: dict[str, Run],
) -> None:
    made = records["q8_0.gz"]
    model = {**made.info.raw["model"], "name": "fin-r1-q8_0", "parameters": 7_615_616_512}
    mine = {"q8_0.gz": with_head(made, model=model)}
    board, table = made_board(mine), read_table()
    compared = against(board, table)
    page = site(board, mine, [], audit_table(table), compared)["audit.html"].decode()
    part = page.partition("<h2>Measured against published</h2>")[2].partition("<h2>")[0]
    assert part.count('<tr><th scope="row">') == len(compared) > 1
    assert "GPT-4o as judge there" in part
    assert f"{compared[0].difference:+.1f}" in part


def test_every_link_leads_somewhere_within_the_site(records: dict[str, Run]) -> None:
    board, table = made_board(records), read_table()
    made = site(board, records, [], audit_table(table), against(board, table))
    pages = {name: read(content) for name, content in made.items() if name.endswith(".html")}
    assert set(pages) == {*(f"{name}.html" for name in PAGES), "audit.html"}
    for name, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), name
        for target in page.targets:
            file, _, fragment = target.partition("#")
            assert (file or name) in made, target
            if fragment and file != "answers.html":
                assert fragment in pages[file or name].ids, target


def test_no_page_holds_a_script_a_style_or_a_handler(records: dict[str, Run]) -> None:
    odd = {
        file: with_head(each, model={**each.info.raw["model"], "title": ODD, "name": ODD})
        for file, each in records.items()
    }
    for name, content in site(made_board(odd), odd, []).items():
        if not name.endswith(".html"):
            continue
        page = read(content)
        assert not page.inline, name
        assert not [key for key in page.attributes if key.startswith("on") or key == "style"], name
        assert b"<img src=x" not in content, name
        assert b"default-src 'none'" in content, name


def test_a_page_with_nothing_to_say_is_not_made(records: dict[str, Run]) -> None:
    made = site(Board({"finqa": "FinQA"}, (), ()), {}, [])
    assert b"No run is here yet" in made["index.html"]
    assert [name for name in made if name.endswith(".html")] == ["index.html"]
    one = {"q8_0.gz": records["q8_0.gz"]}
    alone = site(made_board(one), one, [])
    assert {name for name in alone if name.endswith(".html")} == {
        "index.html",
        "answers.html",
        "why.html",
        "record.html",
    }
    assert b"compare.html" not in alone["index.html"]


def test_runs_of_one_model_are_told_apart(records: dict[str, Run]) -> None:
    first = next(iter(records.values()))
    protocol = {**first.info.raw["protocol"], "name": "paper"}
    again = with_head(first, protocol=protocol, run_id="2")
    both = {"a": first, "b": again}
    runs = runs_of(made_board(both), both)
    assert [run.label for run in runs] == ["Small Q8_0 (greedy, sample)", "Small Q8_0 (paper, sample)"]
    assert [run.slug for run in runs] == [f"q8_0/{first.info.run_id}", "q8_0/2"]


def test_a_breakdown_counts_what_the_rows_say(records: dict[str, Run]) -> None:
    board = made_board(records)
    runs = runs_of(board, records)
    parts = breakdown_parts(board.benchmarks, runs, {1: runs[0]}, least=1)
    assert [part.title for part in parts] == ["FinQA", "ConvFinQA", "Ant_Finance", "TFNS"]
    tables = {
        (part.title, table.facet): {words: cells for _, words, cells in table.rows}
        for part in parts
        for table in part.tables
    }
    assert {facet for title, facet in tables if title == "Ant_Finance"} == {"category", "task"}
    assert ("history", "gold") in parts[1].same
    for value, cells in tables["FinQA", "steps"].items():
        rights = []
        for number, entry in enumerate(runs):
            items = [item for item in entry.items("finqa") if str(item.facets["steps"]) == value]
            rights.append(sum(bool(item.samples[0].scores["financial"].correct) for item in items))
            cell = cells[number]
            assert cell is not None
            assert (cell.estimate.n, round(cell.estimate.value * cell.estimate.n)) == (len(items), rights[-1])
        first, second = cells
        assert first is not None
        assert first.difference is None
        assert second is not None
        assert second.difference is not None
        assert round(second.difference.value * len(items)) == rights[1] - rights[0]
    # A task is one file: its rows are the sample, else nothing could be said.
    tasks = [
        cell.estimate
        for cells in tables["Ant_Finance", "task"].values()
        for cell in cells
        if cell and cell.estimate.n > 1
    ]
    assert tasks
    assert all(estimate.error is not None for estimate in tasks)


def test_kinds_with_fewer_than_ten_questions_are_left_out_and_counted(records: dict[str, Run]) -> None:
    board = made_board(records)
    runs = runs_of(board, records)
    whole = breakdown_parts(board.benchmarks, runs, {}, least=1)
    shown = {
        (part.name, table.name): table
        for part in breakdown_parts(board.benchmarks, runs, {})
        for table in part.tables
    }
    assert shown
    for part in whole:
        for table in part.tables:
            kept = shown.get((part.name, table.name))
            enough = [words for _, words, cells in table.rows if any(c and c.estimate.n >= 10 for c in cells)]
            assert [words for _, words, _ in kept.rows] == enough if kept else not enough
            if kept:
                assert kept.left_out == len(table.rows) - len(enough)


def test_failures_add_up(records: dict[str, Run]) -> None:
    board = made_board(records)
    runs = runs_of(board, records)
    parts = failures_parts(board.benchmarks, runs)
    for part in parts:
        for _, line in part.lines:
            assert sum(line.outcomes.get(kind, 0) for kind in part.kinds) == line.answers
    text = next(part for part in parts if part.title == "Finance-Instruct-500k")
    assert text.kinds == ["unscored"]
    assert all(line.all is None for _, line in text.lines)


def test_truncated_outputs_are_told(records: dict[str, Run]) -> None:
    file, whole = next(iter(records.items()))
    found = whole.of("tfns")
    ends = ["length"] * 4 + ["stop"] * (len(found) - 4)
    items = [
        item.with_samples((replace(item.samples[0], finish_reason=end, completion_tokens=9),))
        for item, end in zip(found, ends, strict=True)
    ]
    cut = {file: with_items(whole, items)}
    board = made_board(cut)
    ((_, line),) = failures_parts(board.benchmarks, runs_of(board, cut))[0].lines
    assert line.truncated == 4
    assert line.untruncated is not None
    assert line.untruncated.n == len(items) - 4
    assert (line.tokens_median, line.tokens_p95) == (9, 9)


def test_rules_come_best_first_with_the_one_that_counts_marked(records: dict[str, Run]) -> None:
    board = made_board(records)
    runs = runs_of(board, records)
    finqa = rules_parts(board.benchmarks, runs)[0]
    assert {line.rule for line in finqa.lines} > {"financial", "finqa_official", "helm_convfinqa"}
    whole = [line for line in finqa.lines if not line.partial]
    means = [sum(cell.value for cell in line.cells if cell) / len(runs) for line in whole]
    assert means == sorted(means, reverse=True)
    assert b'class="main"><th scope="row"><code>financial</code>' in site(board, records, [])["why.html"]


def test_templates_and_assets_are_package_data() -> None:
    package = files("evalkit.board")
    templates = {each.name for each in (package / "templates").iterdir()}
    assert {f"{name}.html" for name in (*PAGES, *MORE)} < templates
    assert {each.name for each in (package / "assets").iterdir()} == {*ASSETS, *LIVE_ASSETS}


def test_scripts_never_read_text_as_markup() -> None:
    folder = Path(str(files("evalkit.board"))) / "assets"
    for script in folder.glob("*.js"):
        assert not FORBIDDEN.search(script.read_text(encoding="utf-8")), script.name
