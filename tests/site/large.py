"""The site with 60,000 scored outputs in a real browser: `python -m tests.site.large` prints what it takes.

The outputs are the committed ones over and over under other names, each as long as a reasoning model's.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.board.board import board_of, collect
from evalkit.board.site import PAGES, site
from evalkit.run.info import Run
from evalkit.schema import Item, Sample
from tests.site.browser import chromium
from tests.site.material import write

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

RESULTS = Path(__file__).parents[2] / "results"
OUTPUTS = 60_000
CHARACTERS = 3_000  # of an output; a 7B reasoning model's have about as many

_PAINT = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_FILTER = """
const done = arguments[arguments.length - 1], button = [...document.querySelectorAll('.presets button')]
  .find(b => b.textContent === arguments[0]), started = performance.now();
button.click();
requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - started)));
"""


def enlarged(run: Run, items: int) -> Run:
    """The run's examples over and over, up to `items`, each under another name and filled up in length."""
    return replace(run, items=tuple(islice(_again(run.items), items)))


def _again(items: tuple[Item, ...]) -> Iterator[Item]:
    for number, item in enumerate(cycle(items)):
        lap = number // len(items)
        samples = tuple(map(_filled, item.samples))
        yield replace(item, id=f"{item.id}~{lap}", group=f"{item.group}~{lap}", samples=samples)


def _filled(sample: Sample) -> Sample:
    text = sample.text or ""
    return replace(sample, text=text + " so" * ((CHARACTERS - len(text)) // 3))


def main() -> None:
    runs = collect(RESULTS, local=False).runs
    large = {file: enlarged(run, OUTPUTS // len(runs)) for file, run in runs.items()}
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        files = site(board_of(large, []), large, [])
        write(files, Path(folder) / "site")
        size = sum(map(len, files.values()))
        print(
            f"{OUTPUTS:,} outputs: {size / 1e6:.0f} MB in {len(files)} files, made in "
            f"{time.perf_counter() - started:.0f} s"
        )
        driver = chromium(Path(folder) / "profile")
        if driver is None:
            sys.exit("no Chromium with chromedriver on PATH")
        try:
            _measure(driver, Path(folder) / "site")
        finally:
            driver.quit()


def _measure(driver: Chrome, folder: Path) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    wait = WebDriverWait(driver, 60, poll_frequency=0.05)
    for page in PAGES:
        driver.get(f"{folder.as_uri()}/{page}.html")
        print(f"{page:<12}first paint {wait.until(lambda _: driver.execute_script(_PAINT)):>6.0f} ms")
    driver.get(f"{folder.as_uri()}/answers.html")
    ready = "return document.querySelectorAll('#found tbody tr').length > 0"
    wait.until(lambda _: driver.execute_script(ready))
    for preset in ("A right, B wrong", "both wrong", "all"):
        print(f"{'filter':<12}{preset:<18}{driver.execute_async_script(_FILTER, preset):>6.0f} ms")


if __name__ == "__main__":
    main()
