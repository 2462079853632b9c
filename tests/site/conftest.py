"""The site on disk, and a real headless Chromium to open it with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.site.browser import chromium as browser_of
from tests.site.material import files_of, ladder, write

if TYPE_CHECKING:
    from selenium.webdriver import Chrome


class Browser:
    """A tab, and what it must not do: complain on the console, or ask for anything but files."""

    def __init__(self, driver: Chrome, site: Path) -> None:
        self.driver = driver
        self.site = site

    def open(self, page: str) -> None:
        # From page to page of one document only the hash would change and nothing would be loaded.
        self.driver.get("about:blank")
        self.driver.get(f"{self.site.as_uri()}/{page}")

    def run(self, script: str, *arguments: object) -> object:
        return self.driver.execute_script(script, *arguments)

    def texts(self, selector: str) -> list[str]:
        """The shown texts of elements."""
        script = (
            "return [...document.querySelectorAll(arguments[0])]"
            ".filter(e => e.checkVisibility()).map(e => e.textContent.trim().replace(/\\s+/g, ' '))"
        )
        found = self.run(script, selector)
        assert isinstance(found, list)
        return found

    def click(self, selector: str, text: str = "") -> None:
        """The first shown element with that text in it, by a real click in its middle."""
        from selenium.webdriver.common.by import By

        elements = self.driver.find_elements(By.CSS_SELECTOR, selector)
        element = next(each for each in elements if text in each.text and each.is_displayed())
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def choose(self, name: str, text: str) -> None:
        """An option of a control of the filters."""
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.select import Select

        Select(self.driver.find_element(By.NAME, name)).select_by_visible_text(text)

    def until(self, script: str) -> None:
        """Wait for a condition in the page."""
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self.driver, 20, poll_frequency=0.05).until(lambda _: self.run(f"return {script}"))

    def complaints(self) -> list[str]:
        """What the console said, and requests that are not for files, since the last call."""
        said = [str(entry["message"]) for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]
        for entry in self.driver.get_log("performance"):  # type: ignore[no-untyped-call]
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = str(message["params"]["request"]["url"])
                if not url.startswith(f"{self.site.as_uri()}/") and url != "about:blank":
                    said.append(f"requested {url}")
        return said


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a site."""
    folder = tmp_path_factory.mktemp("site")
    write(files_of(ladder(folder / "runs")), folder / "site")
    return folder / "site"


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A browser with a profile of its own; needs selenium, chromium and chromedriver."""
    pytest.importorskip("selenium.webdriver")
    driver = browser_of(tmp_path_factory.mktemp("profile"), "--window-size=1280,900")
    if driver is None:
        pytest.skip("no chromium with chromedriver on PATH")
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium: Chrome, site: Path) -> Iterator[Browser]:
    """A tab in which, whatever a test does, nothing may complain or leave the disk."""
    tab = Browser(chromium, site)
    tab.complaints()
    yield tab
    assert tab.complaints() == []
