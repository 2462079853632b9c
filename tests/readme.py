"""What README shows of the committed records: `make pictures` makes its table and its picture again.

The curve that docs/sweeps.md shows is one of the leaderboard's own files.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from evalkit.board.site import percent_digits
from evalkit.sweep.record import Divergence, Member, read_checked
from evalkit.text import file_size, tenths
from tests.site.browser import chromium

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
README = ROOT / "README.md"
PICTURE = RESULTS / "pictures" / "site.png"
EXAMPLE = ("finqa", "CMCSA/2008/page_36.pdf-1")  # one that the smallest files get wrong
SWEEP = "records/sweeps/qwen2.5-coder-1.5b-ladder.json"
TOLD = ("finqa", "convfinqa", "ant_finance", "tfns")
TOLD_APART = "tfns"  # whose tokens tell all the files apart
START, END = "<!-- made by `make pictures` -->\n", "<!-- end -->\n"
SIZE = (1180, 1330)  # of the screenshot, CSS pixels


def table(results: Path) -> str:
    """The members of the kept sweep: the reference first, then those that stay nearer to it."""
    sweep = read_checked(results / SWEEP)
    titles = [sweep.benchmarks[name] for name in TOLD]
    header = ["File", "Size", *titles, f"KL on {sweep.benchmarks[TOLD_APART]} [95 %]", "Same token"]
    members = sorted(sweep.members, key=lambda each: _divergence(each).kl.value if each.fidelity else -1.0)
    rows = [header, ["---", *["---:"] * (len(header) - 1)], *(_row(each) for each in members)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(member: Member) -> list[str]:
    assert member.weights is not None
    found = _divergence(member) if member.fidelity else None
    return [
        member.title.rpartition("→ ")[2].removeprefix("Qwen2.5-Coder-1.5B-Instruct "),
        file_size(member.weights.size_bytes),
        *(percent_digits(member.accuracy[name].value) for name in TOLD),
        f"{found.kl.value:.2g} [{found.kl.low:.2g}, {found.kl.high:.2g}]" if found else "the reference",
        f"{tenths(found.agreement.value)} %" if found else "-",
    ]


def _divergence(member: Member) -> Divergence:
    assert member.fidelity is not None
    return member.fidelity.parts[TOLD_APART]


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
