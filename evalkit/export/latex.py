"""LaTeX: one booktabs table of all runs with 95 % intervals, in `results.tex`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from evalkit.export import write_export
from evalkit.run.info import Run

_ESCAPED = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    # Other glyphs, or parts of ligatures, in LaTeX's default encoding.
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
}

_LIGATURE = re.compile(r"([-,])(?=\1)")


def export(runs: Sequence[Run], out: Path) -> list[Path]:
    """One file, a row a run, best average first."""
    return write_export([("results.tex", _document(runs))], out)


def _document(runs: Sequence[Run]) -> str:
    from evalkit.export.tables import comparison

    grid = comparison(runs)
    lines = [_line(row) for row in grid.rows]
    return "\n".join(
        [
            r"% Needs \usepackage[T1]{fontenc} and \usepackage{booktabs};",
            "% letters beyond Latin need XeLaTeX or LuaLaTeX.",
            r"\begin{table}",
            r"  \centering",
            rf"  \begin{{tabular}}{{l{'r' * (len(grid.header) - 1)}}}",
            r"    \toprule",
            f"    {_line(grid.header)}",
            r"    \midrule",
            *(f"    {line}" for line in lines),
            r"    \bottomrule",
            r"  \end{tabular}",
            rf"  \caption{{{' '.join(escape(note) for note in grid.notes)}}}",
            r"  \label{tab:evalkit}",
            r"\end{table}",
            "",
        ]
    )


def _line(cells: Sequence[str]) -> str:
    line = " & ".join(escape(cell) for cell in cells) + r" \\"
    # The \\ of the row before would take a bracket for its argument.
    return f"{{}}{line}" if line.startswith("[") else line


def escape(text: str) -> str:
    """Text in which LaTeX sees nothing but characters. Control and invisible ones become `?`."""
    shown = ("?" if each == "�" or unicodedata.category(each)[0] == "C" else each for each in text)
    return _LIGATURE.sub(r"\1{}", "".join(_ESCAPED.get(each, each) for each in shown))
