"""Accessibility by axe-core, where it is: `npm install axe-core` in the repository, or AXE_CORE=FILE."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalkit.board.site import PAGES
from tests.site.conftest import Browser

AXE = Path(os.environ.get("AXE_CORE") or "node_modules/axe-core/axe.min.js")
EXAMPLE = "answers.html#finqa/CWQ%2F2017%2Fpage_58.pdf-2"
RUN = """
const done = arguments[arguments.length - 1];
axe.run(document, { preload: false, resultTypes: ["violations"] }).then(
  (found) => done(found.violations.filter((each) => ["serious", "critical"].includes(each.impact))
    .map((each) => [each.id, each.nodes.length, each.nodes[0].html, each.nodes[0].failureSummary])),
  (error) => done([["axe", String(error)]]));
"""


@pytest.fixture
def screen(browser: Browser) -> Iterator[Browser]:
    """The tab, its emulation undone after the test."""
    browser.driver.set_script_timeout(300)
    yield browser
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.skipif(not AXE.is_file(), reason="no axe-core")
@pytest.mark.parametrize("mode", ["light", "dark", "phone"])
@pytest.mark.parametrize(
    "page", [*(f"{name}.html" for name in PAGES), EXAMPLE, "audit.html", "why.html#where"]
)
def test_nothing_serious_is_in_the_way(screen: Browser, page: str, mode: str) -> None:
    scheme = {"name": "prefers-color-scheme", "value": "dark" if mode == "dark" else "light"}
    screen.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    if mode == "phone":
        size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        screen.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    screen.open(page)
    if page.startswith("answers"):
        screen.until("document.querySelectorAll('#found tbody tr, .output').length > 0")
    for each in ("fold", "run"):
        screen.run(f"document.querySelectorAll('details.{each}').forEach((each) => {{ each.open = true }})")
    screen.run(AXE.read_text(encoding="utf-8"))
    assert screen.driver.execute_async_script(RUN) == []
