"""The LaTeX and the Markdown table: right numbers, and nothing in a title that is markup."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from evalkit.export import exporter
from evalkit.export.latex import escape
from evalkit.export.tables import comparison
from evalkit.run.info import Run
from tests.exports.conftest import TITLE
from tests.leaderboard.made import answers, with_head, with_items


def _text(format_: str, runs: list[Run], out: Path) -> str:
    (path,) = exporter(format_).export(runs, out)
    return path.read_text()


def _other(run: Run, **settings: object) -> Run:
    raw = run.info.raw
    model = {**raw["model"], "title": "Other"}
    return with_head(run, run_id="other", settings={**raw["settings"], **settings}, model=model)


def test_cells_are_accuracies_with_intervals(run: Run) -> None:
    grid = comparison([run])
    row = dict(zip(grid.header, grid.rows[0], strict=True))
    scores = [sample.scores["financial"].value or 0.0 for _, sample in answers(run, "tfns")]
    accuracy = 100 * sum(scores) / len(scores)
    assert re.fullmatch(rf"{accuracy:.1f} \[\d+\.\d, \d+\.\d\]", row["TFNS (n=7)"])
    assert row["Finance-Instruct-500k"] == "unscored"
    assert row["Average"].endswith("(4 of 5)")
    assert "Settings" not in row
    assert any("history gold" in note for note in grid.notes)
    assert sum("bundled samples" in note for note in comparison([run, _other(run)]).notes) == 1


def test_different_settings_and_sizes_are_said_row_by_row(run: Run) -> None:
    last = run.of("tfns")[-1]
    fewer = with_items(_other(run, limit=3), [item for item in run.items if item is not last])
    grid = comparison([run, fewer])
    column = grid.header.index("Settings")
    assert {row[column].split(", ")[2] for row in grid.rows} == {"limit 7", "limit 3"}
    sizes = {row[grid.header.index("TFNS")].split()[-1] for row in grid.rows}
    assert sizes == {"n=7", "n=6"}


def test_equal_titles_are_told_apart_by_run(run: Run) -> None:
    titles = [row[0] for row in comparison([run, with_head(run, run_id="second")]).rows]
    title = run.info.model.title
    assert sorted(titles) == sorted([f"{title}, {run.info.run_id}", f"{title}, second"])


def test_markdown_shows_a_hostile_title_and_nothing_else(hostile: Run, tmp_path: Path) -> None:
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


def test_latex_has_one_cell_a_column(run: Run, hostile: Run, tmp_path: Path) -> None:
    lines = _text("latex", [run, hostile], tmp_path).splitlines()
    start, end = lines.index(r"    \toprule"), lines.index(r"    \bottomrule")
    rows = [line for line in lines[start:end] if line.endswith(r" \\")]
    assert len(rows) == 3
    columns = re.search(r"\{tabular\}\{(l?r*)\}", "\n".join(lines))
    assert columns is not None
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(columns[1]) - 1}


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex with booktabs")
def test_latex_compiles(run: Run, hostile: Run, tmp_path: Path) -> None:
    # pdflatex knows no Chinese without further packages.
    latin = {
        **hostile.info.raw["model"],
        "title": TITLE.replace("模型", "") + "".join(map(chr, range(32, 127))),
    }
    _text("latex", [run, with_head(hostile, model=latin)], tmp_path)
    preamble = r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs}"
    (tmp_path / "paper.tex").write_text(preamble + r"\begin{document}\input{results}\end{document}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").is_file()
