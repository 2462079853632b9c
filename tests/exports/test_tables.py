"""The LaTeX and the Markdown table: right numbers, and nothing in a title that is markup."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from evalkit.exports import exporter
from evalkit.exports.common.grid import comparison
from evalkit.exports.latex import escape
from evalkit.records.record import Record
from tests.exports.conftest import TITLE


def _text(format_: str, records: list[Record], out: Path) -> str:
    (path,) = exporter(format_).export(records, out)
    return path.read_text()


def _other(record: Record, **settings: object) -> Record:
    head = dataclasses.replace(
        record.head,
        run_id="other",
        settings={**record.head.settings, **settings},
        model={**record.head.model, "title": "Other"},
    )
    return Record(head, record.rows)


def test_cells_are_accuracies_with_intervals(record: Record) -> None:
    grid = comparison([record])
    row = dict(zip(grid.header, grid.rows[0], strict=True))
    scores = [r.verdicts["financial"].score or 0.0 for r in record.rows if r.benchmark == "tfns"]
    accuracy = 100 * sum(scores) / len(scores)
    assert re.fullmatch(rf"{accuracy:.1f} \[\d+\.\d, \d+\.\d\]", row["TFNS (n=7)"])
    assert row["Finance-Instruct-500k"] == "unscored"
    assert row["Average"].endswith("(4 of 5)")
    assert "Settings" not in row
    assert any("history gold" in note for note in grid.notes)
    assert sum("bundled samples" in note for note in comparison([record, _other(record)]).notes) == 1


def test_different_settings_and_sizes_are_said_row_by_row(record: Record) -> None:
    fewer = Record(
        _other(record, limit=3).head,
        [row for row in record.rows if row.benchmark != "tfns" or row is not record.rows[-8]],
    )
    grid = comparison([record, fewer])
    column = grid.header.index("Settings")
    assert {row[column].split(", ")[2] for row in grid.rows} == {"limit 7", "limit 3"}
    sizes = {row[grid.header.index("TFNS")].split()[-1] for row in grid.rows}
    assert sizes == {"n=7", "n=6"}


def test_equal_titles_are_told_apart_by_run(record: Record) -> None:
    again = Record(dataclasses.replace(record.head, run_id="second"), record.rows)
    titles = [row[0] for row in comparison([record, again]).rows]
    assert sorted(titles) == sorted([f"{record.title}, {record.head.run_id}", f"{record.title}, second"])


def test_markdown_shows_a_hostile_title_and_nothing_else(hostile: Record, tmp_path: Path) -> None:
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(_text("markdown", [hostile], tmp_path))
    inline = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in inline} <= {"text", "code_inline", "hardbreak"}
    assert not any(token.type.startswith("html") for token in tokens)
    cells = [token.children or [] for token in tokens if token.type == "inline"]
    shown = next(cell[0].content for cell in cells if cell and cell[0].content.startswith("Evil"))
    assert shown == TITLE.replace("|", "¦").replace("‮", "�")
    rows = [line for line in _text("markdown", [hostile], tmp_path).splitlines() if line.startswith("| ")]
    assert len({row.count(" | ") for row in rows}) == 1


_COMMANDS = re.compile(r"\\(?:[{}$&%#_]|text[a-z]+\{\})|(?<=[-,])\{\}")


def test_latex_escapes_every_character_that_means_something() -> None:
    printable = "".join(map(chr, range(32, 127)))
    assert not set(_COMMANDS.sub("", escape(printable))) & set('\\{}$&%#_~^<>|"`')
    assert _COMMANDS.sub("", escape("a--b---c,,d")) == "a--b---c,,d"
    assert "--" not in escape("a--b---c")
    assert escape("a\nb\x00‮") == "a?b??"


def test_latex_has_one_cell_a_column(record: Record, hostile: Record, tmp_path: Path) -> None:
    lines = _text("latex", [record, hostile], tmp_path).splitlines()
    start, end = lines.index(r"    \toprule"), lines.index(r"    \bottomrule")
    rows = [line for line in lines[start:end] if line.endswith(r" \\")]
    assert len(rows) == 3
    columns = re.search(r"\{tabular\}\{(l?r*)\}", "\n".join(lines))
    assert columns is not None
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(columns[1]) - 1}


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex with booktabs")
def test_latex_compiles(record: Record, hostile: Record, tmp_path: Path) -> None:
    # pdflatex knows no Chinese without further packages.
    latin = {**hostile.head.model, "title": TITLE.replace("模型", "") + "".join(map(chr, range(32, 127)))}
    records = [record, Record(dataclasses.replace(hostile.head, model=latin), hostile.rows)]
    _text("latex", records, tmp_path)
    preamble = r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs}"
    (tmp_path / "paper.tex").write_text(preamble + r"\begin{document}\input{results}\end{document}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").is_file()
