"""The pages: the same bytes every time, figures as counted by hand, hostile names escaped."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest

from evalkit.audit.against import against
from evalkit.audit.audit import audit
from evalkit.audit.table import read_table
from evalkit.leaderboard.board import Board
from evalkit.records.record import Record
from evalkit.site import breakdown, failures, rules
from evalkit.site.build import ASSETS, PAGES, site
from evalkit.site.runs import runs_of
from tests.site.material import answer, board_of, record

FORBIDDEN = re.compile(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(")
ODD = "</title><script>alert(1)</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Record]:
    folder = tmp_path_factory.mktemp("pages")
    return {f"{name}.gz": record(folder / name, name, partial(answer, name)) for name in ("q8_0", "iq3_xs")}


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


def test_the_same_input_gives_the_same_bytes(records: dict[str, Record]) -> None:
    board = board_of(records)
    assert site(board, records, []) == site(board, dict(reversed(records.items())), [])


def test_a_measured_file_of_a_published_model_stands_against_the_published_score(
    records: dict[str, Record],
) -> None:
    head = records["q8_0.gz"].head
    model = {**head.model, "name": "fin-r1-q8_0", "parameters": 7_615_616_512}
    mine = {"q8_0.gz": replace(records["q8_0.gz"], head=replace(head, model=model))}
    board, table = board_of(mine), read_table()
    compared = against(board, table)
    page = site(board, mine, [], audit(table), compared)["audit.html"].decode()
    part = page.partition("<h2>Measured against published</h2>")[2].partition("<h2>")[0]
    assert part.count('<tr><th scope="row">') == len(compared) > 1
    assert "GPT-4o as judge there" in part
    assert f"{compared[0].difference:+.1f}" in part


def test_every_link_leads_somewhere_within_the_site(records: dict[str, Record]) -> None:
    made = site(board_of(records), records, [])
    pages = {name: read(content) for name, content in made.items() if name.endswith(".html")}
    assert set(pages) == {f"{name}.html" for name in PAGES}
    for name, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), name
        for target in page.targets:
            file, _, fragment = target.partition("#")
            assert (file or name) in made, target
            if fragment and file != "examples.html":
                assert fragment in pages[file or name].ids, target


def test_no_page_holds_a_script_a_style_or_a_handler(records: dict[str, Record]) -> None:
    odd = {
        file: replace(each, head=replace(each.head, model={**each.head.model, "title": ODD, "name": ODD}))
        for file, each in records.items()
    }
    for name, content in site(board_of(odd), odd, []).items():
        if not name.endswith(".html"):
            continue
        page = read(content)
        assert not page.inline, name
        assert not [key for key in page.attributes if key.startswith("on") or key == "style"], name
        assert b"<img src=x" not in content, name
        assert b"default-src 'none'" in content, name


def test_an_empty_board_has_its_pages() -> None:
    made = site(Board({"finqa": "FinQA"}, (), ()), {}, [])
    assert b"No run is on the leaderboard yet" in made["index.html"]
    assert {f"{name}.html" for name in PAGES} < set(made)


def test_runs_of_one_model_are_told_apart(records: dict[str, Record]) -> None:
    first = next(iter(records.values()))
    protocol = {**first.head.protocol, "name": "paper"}
    again = replace(first, head=replace(first.head, protocol=protocol, run_id="2"))
    both = {"a": first, "b": again}
    runs = runs_of(board_of(both), both)
    assert [run.label for run in runs] == ["Small Q8_0 (greedy, sample)", "Small Q8_0 (paper, sample)"]
    assert [run.slug for run in runs] == [f"q8_0/{first.head.run_id}", "q8_0/2"]


def test_a_breakdown_counts_what_the_rows_say(records: dict[str, Record]) -> None:
    board = board_of(records)
    runs = runs_of(board, records)
    parts = breakdown.parts(board.benchmarks, runs)
    assert [part.title for part in parts] == ["FinQA", "ConvFinQA", "Ant_Finance", "TFNS"]
    tables = {(part.title, table.facet): dict(table.rows) for part in parts for table in part.tables}
    assert {facet for title, facet in tables if title == "Ant_Finance"} == {"category", "task"}
    assert ("history", "gold") in parts[1].same
    for number, run in enumerate(runs):
        for value, cells in tables["FinQA", "steps"].items():
            rows = [row for row in run.rows("finqa") if str(row.facets["steps"]) == value]
            right = sum(bool(row.verdicts["financial"].correct) for row in rows)
            estimate = cells[number]
            assert estimate is not None
            assert (estimate.n, round(estimate.value * estimate.n)) == (len(rows), right)
    # A task is one file: its rows are the sample, else nothing could be said.
    tasks = [
        cell for cells in tables["Ant_Finance", "task"].values() for cell in cells if cell and cell.n > 1
    ]
    assert tasks
    assert all(cell.error is not None for cell in tasks)


def test_failures_add_up(records: dict[str, Record]) -> None:
    board = board_of(records)
    runs = runs_of(board, records)
    parts = failures.parts(board.benchmarks, runs)
    for part in parts:
        for line in part.lines:
            assert sum(line.kinds[kind] for kind in part.kinds) == line.outputs
    text = next(part for part in parts if part.title == "Finance-Instruct-500k")
    assert text.kinds == ["unscored"]
    assert all(line.all is None for line in text.lines)


def test_truncated_outputs_are_told(records: dict[str, Record]) -> None:
    file, whole = next(iter(records.items()))
    found = [row for row in whole.rows if row.benchmark == "tfns"]
    ends = ["length"] * 4 + ["stop"] * (len(found) - 4)
    rows = [replace(row, finish_reason=e, completion_tokens=9) for row, e in zip(found, ends, strict=True)]
    cut = {file: Record(whole.head, rows)}
    board = board_of(cut)
    (line,) = failures.parts(board.benchmarks, runs_of(board, cut))[0].lines
    assert line.truncated == 4
    assert line.untruncated is not None
    assert line.untruncated.n == len(rows) - 4
    assert (line.tokens_median, line.tokens_p95) == (9, 9)


def test_rules_come_best_first_with_the_one_that_counts_marked(records: dict[str, Record]) -> None:
    board = board_of(records)
    runs = runs_of(board, records)
    finqa = rules.parts(board.benchmarks, runs, "financial")[0]
    assert {line.rule for line in finqa.lines} > {"financial", "finqa_official", "helm_convfinqa"}
    whole = [line for line in finqa.lines if not line.partial]
    means = [sum(cell.value for cell in line.cells if cell) / len(runs) for line in whole]
    assert means == sorted(means, reverse=True)
    assert b'class="main"><th scope="row"><code>financial</code>' in site(board, records, [])["rules.html"]


def test_templates_and_assets_are_package_data() -> None:
    package = files("evalkit.site")
    assert {f"{name}.html" for name in PAGES} < {each.name for each in (package / "templates").iterdir()}
    assert {each.name for each in (package / "assets").iterdir()} == set(ASSETS)


def test_scripts_never_read_text_as_markup() -> None:
    folder = Path(str(files("evalkit.site"))) / "assets"
    for script in folder.glob("*.js"):
        assert not FORBIDDEN.search(script.read_text(encoding="utf-8")), script.name
