"""What README shows of the committed records: `make pictures` makes its table and its picture again.

The curve that docs/sweeps.md shows is one of the leaderboard's own files.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from evalkit.board.site import number_text, percent_digits
from evalkit.text import file_size, size_text
from tests.site.browser import chromium

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
README = ROOT / "README.md"
PICTURE = RESULTS / "pictures" / "site.png"
EXAMPLE = ("finqa", "CWQ/2017/page_58.pdf-1")  # one that some of the files get right
START, END = "<!-- made by `make pictures` -->\n", "<!-- end -->\n"
SIZE = (1180, 1330)  # of the screenshot, CSS pixels


def table(results: Path) -> str:
    """The measured rows of leaderboard.json as README has them."""
    board = json.loads((results / "leaderboard.json").read_text(encoding="utf-8"))
    titles: dict[str, str] = board["benchmarks"]
    header = ["File", *titles.values(), "Average [95 %]", "Size", "Peak memory", "Tokens/s"]
    rows = [header, ["---", *["---:"] * (len(header) - 1)]]
    rows += [_row(entry, list(titles)) for entry in board["measured"]]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(entry: Mapping[str, Any], names: list[str]) -> list[str]:
    average, low, high = (percent_digits(entry["average"][part]) for part in ("value", "low", "high"))
    return [
        entry["title"],
        *(_cell(entry["cells"].get(name)) for name in names),
        f"{average} [{low}, {high}]",
        file_size(entry["size_bytes"]),
        size_text(entry["peak_memory_bytes"]),
        number_text(entry["decode_tokens_per_second"], 0),
    ]


def _cell(cell: Mapping[str, Any] | None) -> str:
    if cell is None or cell["estimate"] is None:
        return "unscored" if cell and cell["unscored"] else "–"
    return percent_digits(cell["estimate"]["value"])


def with_table(readme: str, rows: str) -> str:
    """README with these rows between its marks."""
    before, _, rest = readme.partition(START)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"README.md lacks its marks: {START!r}, {END!r}")
    return f"{before}{START}\n{rows}\n{end}{after}"


def screenshot(site: Path, picture: Path) -> None:
    """One answer of the site, in Chromium from disk."""
    benchmark, name = EXAMPLE
    address = f"{site.resolve().as_uri()}/answers.html#{benchmark}/{quote(name, safe='')}"
    with tempfile.TemporaryDirectory() as profile:
        driver = chromium(Path(profile), f"--window-size={SIZE[0]},{SIZE[1]}", "--hide-scrollbars")
        if driver is None:
            sys.exit("no Chromium with chromedriver on PATH: the picture of the site stays as it is")
        try:
            driver.get(address)
            driver.implicitly_wait(10)
            driver.find_element("css selector", "pre mark")
            picture.parent.mkdir(parents=True, exist_ok=True)
            driver.save_screenshot(str(picture))
        finally:
            driver.quit()


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8"), table(RESULTS)), encoding="utf-8")
    screenshot(RESULTS / "site", PICTURE)
