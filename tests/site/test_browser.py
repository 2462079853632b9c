"""The site in a real browser, opened from disk."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from evalkit.board.site import PAGES
from tests.site.conftest import Browser
from tests.site.material import HOSTILE

IN_VIEW = """
const mark = [...document.querySelectorAll("pre mark")].pop();
const [inner, outer] = [mark, mark.parentElement].map(e => e.getBoundingClientRect());
return inner.top >= outer.top && inner.bottom <= outer.bottom
"""
MEASURED = "table[data-rows=measured] tbody"
LADDER = ["Small Q8_0", "Small Q6_K", "Small Q4_K", "Small IQ3_XS", "Small HOSTILE"]


def names(browser: Browser) -> list[str]:
    return [text.partition(" ⚠")[0].partition("⚠")[0] for text in browser.texts(f"{MEASURED} th")]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_quietly_and_fits_a_phone(browser: Browser, page: str) -> None:
    browser.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True},
    )
    try:
        browser.open(f"{page}.html")
        assert browser.texts("h1")
        assert browser.run("return document.documentElement.scrollWidth") == 390
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("page", PAGES)
def test_every_control_and_picture_has_a_name(browser: Browser, page: str) -> None:
    browser.open(f"{page}.html")
    nameless = browser.run(
        "return [...document.querySelectorAll('a, button, select, input, [role=region]')]"
        ".filter(e => !e.textContent.trim() && !e.ariaLabel && !(e.labels && e.labels.length))"
        ".filter(e => !e.querySelector('img[alt]'))"
        ".map(e => e.outerHTML)"
    )
    assert nameless == []
    assert browser.run("return [...document.images].filter(image => !image.alt).length") == 0
    assert browser.run("return document.querySelectorAll('main, header nav').length") == 2


def test_the_table_sorts_by_any_column_and_back(browser: Browser) -> None:
    browser.open("index.html")
    assert names(browser) == LADDER
    browser.click("table[data-rows=measured] thead button", "FinQA")
    header = "table[data-rows=measured] th[aria-sort]"
    assert browser.run(f"return document.querySelector('{header}').ariaSort") == "descending"
    scores = [float(text) for text in browser.texts(f"{MEASURED} td[data-column=finqa] .value")]
    assert scores == sorted(scores, reverse=True)
    browser.click("table[data-rows=measured] thead button", "FinQA")
    assert browser.run(f"return document.querySelector('{header}').ariaSort") == "ascending"
    ascending = [float(text) for text in browser.texts(f"{MEASURED} td[data-column=finqa] .value")]
    assert ascending == sorted(scores)
    browser.click("table[data-rows=measured] thead button", "Ant_Finance")
    assert names(browser)[-1] == "Small HOSTILE"  # has none: stays last
    browser.click("table[data-rows=measured] thead button", "Ant_Finance")
    assert names(browser)[-1] == "Small HOSTILE"
    browser.click("table[data-rows=measured] thead button", "Model")
    assert names(browser) == sorted(LADDER)


def test_a_table_sorts_by_keyboard(browser: Browser) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.open("index.html")
    browser.run("document.querySelector('table[data-rows=published] thead button').focus()")
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    rows = browser.texts("table[data-rows=published] tbody th")
    assert rows == sorted(rows, key=str.lower)


def test_columns_and_families_are_filtered(browser: Browser) -> None:
    browser.open("index.html")
    assert len(browser.texts("thead th[data-column=tfns]")) == 2
    browser.click("input[data-show=tfns]")
    assert browser.texts("[data-column=tfns]") == []
    browser.run(
        "const s = document.querySelector('[data-family-filter]'); s.value = 'small';"
        "s.dispatchEvent(new Event('change'))"
    )
    assert browser.texts("[data-count]") == ["Showing 5 of 5 measured, 0 of 10 published."]


def chosen(browser: Browser, name: str) -> object:
    return browser.run("return document.getElementsByName(arguments[0])[0].selectedOptions[0].text", name)


def test_a_score_leads_to_its_examples(browser: Browser) -> None:
    browser.open("index.html")
    browser.click(f"{MEASURED} td[data-column=convfinqa] a.value")
    browser.until("document.querySelectorAll('#found tbody tr').length > 0")
    assert chosen(browser, "benchmark") == "ConvFinQA"


def marks(browser: Browser) -> list[tuple[str, str]]:
    cells = [text.split(" ")[0][0] for text in browser.texts("#found tbody td:nth-child(-n+2)")]
    return list(zip(cells[::2], cells[1::2], strict=True))


def test_examples_are_filtered_by_two_verdicts(browser: Browser) -> None:
    browser.open("examples.html")
    browser.until("document.querySelectorAll('#found tbody tr').length > 0")
    browser.choose("b", "Small IQ3_XS")
    browser.click(".presets button", "A right, B wrong")
    browser.until("document.getElementById('count').textContent.includes('of 8')")
    assert marks(browser) == [("✓", "✗")] * 8
    link = browser.driver.current_url
    assert "va=right" in link
    browser.click(".presets button", "all")
    browser.until("document.querySelectorAll('#found tbody tr').length === 16")
    browser.driver.get("about:blank")
    browser.driver.get(link)
    browser.until("document.querySelectorAll('#found tbody tr').length === 8")
    assert chosen(browser, "b") == "Small IQ3_XS"


def test_examples_are_searched_and_another_rule_has_other_verdicts(browser: Browser) -> None:
    from selenium.webdriver.common.by import By

    browser.open("examples.html")
    browser.until("document.querySelectorAll('#found tbody tr').length > 0")
    browser.driver.find_element(By.NAME, "q").send_keys("effective TAX rate")
    browser.until("document.querySelectorAll('#found tbody tr').length === 1")
    browser.open("examples.html")
    browser.until("document.querySelectorAll('#found tbody tr').length > 0")
    assert ("✓", "✓") in marks(browser)
    browser.choose("rule", "finben_emacc")
    browser.until("document.querySelectorAll('#found .mark.wrong').length === 32")


def test_an_example_opens_by_link_with_the_extracted_span_marked(browser: Browser) -> None:
    browser.open("examples.html#finqa/" + quote("CWQ/2017/page_58.pdf-2", safe=""))
    browser.until("document.querySelectorAll('.output').length === 5")
    assert browser.texts("#example h1") == ["what was the income tax expense in 2017 , in millions?"]
    assert browser.texts(".facts .gold dd") == ["132.924"]
    said = ["132.924"] * 3 + ["no idea"]
    assert browser.texts("pre mark")[:4] == browser.texts(".extracted code")[:4] == said
    around = browser.run(
        "return [...document.querySelectorAll('pre mark')].slice(0, 4)"
        ".map(m => [m.previousSibling.data.slice(-7), m.nextSibling.data])"
    )
    assert around == [["\\boxed{", "}."]] * 4
    assert len(browser.texts(".prompt table tr")) > 4  # the page's table is one
    assert len(browser.texts("#example .box tbody th code")) >= 10  # every rule's verdict


def test_a_turn_opens_by_link_and_neighbours_follow(browser: Browser) -> None:
    browser.open("examples.html#?benchmark=convfinqa")
    browser.until("document.querySelectorAll('#found tbody tr').length > 0")
    browser.click("#found tbody a", "turn 1")
    browser.until("document.querySelectorAll('.output').length > 0")
    assert browser.driver.current_url.endswith("/1")
    assert "turn 1" in browser.texts(".path")[0]
    browser.click("#example nav a", "Next")
    browser.until("document.querySelector('.path').textContent.includes('turn 2')")
    assert browser.run("return document.activeElement.tagName") == "H1"
    browser.click("#example nav a", "examples")
    browser.until("!document.getElementById('list').hidden")


def test_another_rule_marks_another_span(browser: Browser) -> None:
    browser.open("examples.html#finqa/" + quote("CWQ/2017/page_58.pdf-2", safe=""))
    browser.until("document.querySelectorAll('.output').length === 5")
    browser.run(
        "const s = document.getElementById('rule-here');"
        "s.value = [...s.options].find(o => o.text === 'jfinqa').value; s.dispatchEvent(new Event('change'))"
    )
    browser.until("document.getElementById('rule-here').selectedOptions[0].text === 'jfinqa'")
    assert browser.texts("pre mark") != ["132.924"] * 5


def hostile_places(site: Path) -> dict[str, str]:
    """A hostile text -> the address of an example on which it is the answer."""
    text = (site / "data" / "b0.js").read_text(encoding="utf-8")
    items = json.loads(text[text.index(",") + 1 : -3])["items"]
    part = (site / "data" / "b0-0.js").read_text(encoding="utf-8")
    answers = json.loads(part[part.index(",") + 1 : -3])["items"]
    return {
        answer["text"]: f"examples.html#finqa/{quote(item[0], safe='')}"
        for item, example in zip(items, answers, strict=False)
        for answer in example["answers"]
        if answer["text"] in HOSTILE
    }


def test_hostile_outputs_are_text_and_nothing_else(browser: Browser) -> None:
    places = hostile_places(browser.site)
    assert set(places) == set(HOSTILE)
    for text, address in places.items():
        browser.open(address)
        browser.until("document.querySelectorAll('.output').length === 5")
        # A page's parser would turn NUL and line ends into others; text nodes keep them.
        assert browser.run("return [...document.querySelectorAll('.output pre')].pop().textContent") == text
        assert browser.run("return [...document.querySelectorAll('pre mark')].pop().textContent") == "42"
        assert browser.run(IN_VIEW) is True
        assert browser.run("return document.title") == "Examples · evalkit"
        made = "#example script, #example img, #example textarea, pre a, a[href^=javascript]"
        assert browser.run(f"return document.querySelectorAll('{made}').length") == 0


def test_markup_that_does_get_in_is_refused(browser: Browser) -> None:
    """The policy stands behind the scripts: were they to read a text as HTML, nothing would run."""
    browser.open("examples.html")
    said = browser.run(
        "try { document.body.innerHTML = '<img src=x onerror=alert(1)>'; return 'written' }"
        "catch (error) { return error.name }"
    )
    assert said == "TypeError"
    assert any("TrustedHTML" in message for message in browser.complaints())


@pytest.mark.parametrize("address", ["finqa/none", "nowhere/x", "finqa/%E0%A4%A", "?benchmark=none&a=x&va=y"])
def test_a_wrong_address_is_said_or_ignored(browser: Browser, address: str) -> None:
    browser.open(f"examples.html#{address}")
    listed = address.startswith("?")
    shown = "#found tbody tr" if listed else "#problem:not([hidden])"
    browser.until(f"document.querySelectorAll('{shown}').length > 0")
    assert browser.run("return document.getElementById('problem').hidden") is listed


def test_a_sweeps_flips_lead_to_the_examples(browser: Browser) -> None:
    browser.open("curves.html")
    assert browser.run("return document.images.length") == 4
    browser.click("td a[href*='va=right']")
    browser.until("(document.querySelector('[name=vb]') || {}).value === 'wrong'")
    assert chosen(browser, "a") == "Small Q8_0"
