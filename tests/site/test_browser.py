"""The site in a real browser, opened from disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
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
DECIDE = "table[data-group=group-0]"
FOUND = "document.querySelectorAll('#found tbody tr').length"


def phone(browser: Browser, width: int = 390) -> None:
    browser.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500},
    )


@pytest.fixture
def desk(browser: Browser) -> Iterator[Browser]:
    """The tab, its emulation undone after the test."""
    yield browser
    browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_quietly_and_fits_a_phone(desk: Browser, page: str) -> None:
    phone(desk)
    desk.open(f"{page}.html")
    assert desk.texts("h1")
    if page == "answers":
        desk.until(f"{FOUND} > 0")
    assert desk.run("return document.documentElement.scrollWidth") == 390


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


def test_the_table_that_decides_fits_a_thousand_pixels(desk: Browser) -> None:
    phone(desk, 1000)
    desk.open("index.html")
    box = f"document.querySelector('{DECIDE}').parentElement"
    assert desk.run(f"return {box}.scrollWidth <= {box}.clientWidth")
    heads = [text.partition("\u2195")[0].strip() for text in desk.texts(f"{DECIDE} thead th")]
    assert heads == [
        *("File", "Verdict", "Δ points [95 %]", "Accuracy, %"),
        *("Cut off", "Memory", "Tokens/s", "Size"),
    ]


def test_the_plots_letters_are_twelve_pixels_on_every_screen(desk: Browser) -> None:
    for width in (1280, 390):
        phone(desk, width)
        desk.open("index.html")
        sizes = desk.run(
            "return [...document.querySelectorAll('.plot text')].map(e => getComputedStyle(e).fontSize)"
        )
        assert isinstance(sizes, list)
        assert set(sizes) == {"12px"}
        outside = desk.run(
            "return [...document.querySelectorAll('.plot text')].filter(e => {"
            "const box = e.getBoundingClientRect(); return box.left < 0 || box.right > innerWidth })"
            ".map(e => e.textContent)"
        )
        assert outside == []


def test_the_memory_slider_chooses_among_what_fits(browser: Browser) -> None:
    browser.open("index.html")
    set_to = (
        "const i = document.querySelector('.budget input');"
        "i.value = arguments[0] === 'least' ? i.min : i.max;"
        "i.dispatchEvent(new Event('input'))"
    )
    browser.run(set_to, "least")
    assert browser.texts(".budget .choice") == ["With that: nothing that is fit"]
    assert browser.texts("tr.chosen") == []
    browser.run(set_to, "most")
    assert browser.texts(f"{DECIDE} tr.too-large") == []
    chosen_row = browser.texts(f"{DECIDE} tr.chosen th")
    assert len(chosen_row) == 1
    assert chosen_row[0] in browser.texts(".budget .choice")[0]


def test_every_verdict_has_a_mark_and_a_colour(browser: Browser) -> None:
    browser.open("index.html")
    signs = browser.texts(f"{DECIDE} .kind .sign")
    assert len(signs) == len(browser.texts(f"{DECIDE} tbody tr"))
    assert all(signs)


def test_the_table_sorts_by_any_column_and_back(browser: Browser) -> None:
    browser.open("index.html")
    browser.click(f"{DECIDE} thead button", "Accuracy")
    header = f"{DECIDE} th[aria-sort]"
    assert browser.run(f"return document.querySelector('{header}').ariaSort") == "descending"
    value = f"{DECIDE} td[data-label='Accuracy, %'] .value"
    scores = [float(text) for text in browser.texts(value)]
    assert scores == sorted(scores, reverse=True)
    browser.click(f"{DECIDE} thead button", "Accuracy")
    assert browser.run(f"return document.querySelector('{header}').ariaSort") == "ascending"
    assert [float(text) for text in browser.texts(value)] == sorted(scores)
    for _ in range(2):
        browser.click(f"{DECIDE} thead button", "points")
        assert browser.texts(f"{DECIDE} tbody td[data-label='Δ points']")[-1] == "–"  # stays last
    browser.click(f"{DECIDE} thead button", "File")
    files = browser.texts(f"{DECIDE} tbody th")
    assert files == sorted(files, key=str.lower)


def test_a_table_sorts_by_keyboard(browser: Browser) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.open("index.html")
    browser.run(
        "document.querySelector('table[data-rows=published]').closest('details').open = true;"
        "document.querySelector('table[data-rows=published] thead button').focus()"
    )
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    rows = browser.texts("table[data-rows=published] tbody th")
    assert rows == sorted(rows, key=str.lower)


def chosen(browser: Browser, name: str) -> object:
    return browser.run("return document.getElementsByName(arguments[0])[0].selectedOptions[0].text", name)


def test_a_score_leads_to_its_examples(browser: Browser) -> None:
    browser.open("index.html")
    browser.run("document.querySelector('table[data-rows=measured]').closest('details').open = true")
    browser.click("table[data-rows=measured] td[data-label=ConvFinQA] a.value")
    browser.until(f"{FOUND} > 0")
    assert chosen(browser, "benchmark") == "ConvFinQA"


def test_an_average_leads_to_the_answers_of_all_benchmarks(browser: Browser) -> None:
    browser.open("index.html")
    browser.click("td[data-label='Accuracy, %'] a.value")
    browser.until(f"{FOUND} > 0")
    assert chosen(browser, "benchmark") == "all"


def test_every_count_of_why_opens_as_many_answers(browser: Browser) -> None:
    browser.open("why.html")
    script = "return [...document.querySelectorAll('#failures td a')].map(e => [e.textContent, e.href])"
    links = browser.run(script)
    assert isinstance(links, list)
    counts = [(text, href) for text, href in links if text.isdecimal() and "va=" in href]
    assert len(counts) > 5
    for text, href in counts[:12]:
        browser.driver.get("about:blank")
        browser.driver.get(href)
        browser.until("document.getElementById('count').textContent !== ''")
        shown = browser.texts("#count")[0]
        assert f" of {text} answers" in shown, (shown, href)


def test_a_kind_of_question_opens_its_answers(browser: Browser) -> None:
    browser.open("why.html#where")
    text = browser.texts("#where td .n")[0]
    browser.click("#where td a.value")
    browser.until(f"{FOUND} > 0")
    assert f" of {text.removeprefix('n = ')} answers" in browser.texts("#count")[0]
    browser.click("#facet")
    browser.until(f"!document.getElementById('count').textContent.includes(' of {text[4:]} ')")


def test_tabs_show_one_part(browser: Browser) -> None:
    browser.open("why.html")
    assert (
        browser.run("return [...document.querySelectorAll('section.tab')].filter(e => !e.hidden).length") == 1
    )
    browser.click("#tabs a", "rule")
    browser.until("!document.getElementById('rules').hidden")
    assert browser.run("return document.getElementById('failures').hidden") is True


def test_two_files_are_picked_and_compared(browser: Browser) -> None:
    browser.open("compare.html")
    assert len(browser.texts("section.pair h2")) == 1
    first = browser.texts("section.pair h2")
    other = browser.run(
        "const s = document.querySelector('[name=candidate]'); s.selectedIndex = s.options.length - 1;"
        "s.dispatchEvent(new Event('change', {bubbles: true})); return s.value"
    )
    assert browser.texts("section.pair h2") != first
    assert browser.texts("section.pair h2")[0].startswith(f"{other} against ")
    link = browser.driver.current_url
    browser.open("index.html")
    browser.driver.get(link)
    assert browser.texts("section.pair h2")[0].startswith(f"{other} against ")


def test_a_run_unfolds_by_its_link(browser: Browser) -> None:
    browser.open("record.html")
    assert browser.run("return document.querySelectorAll('details.run[open]').length") == 0
    browser.open("record.html#run-1")
    browser.until("document.querySelectorAll('details.run[open]').length === 1")


def marks(browser: Browser) -> list[tuple[str, str]]:
    cells = [text[0] for text in browser.texts("#found tbody td.said .mark")]
    return list(zip(cells[::2], cells[1::2], strict=True))


def test_examples_are_filtered_by_two_verdicts(browser: Browser) -> None:
    browser.open("answers.html")
    browser.until("document.querySelectorAll('#found tbody tr').length > 0")
    browser.choose("b", "IQ3_XS")
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
    assert chosen(browser, "b") == "IQ3_XS"


def test_examples_are_searched_and_another_rule_has_other_verdicts(browser: Browser) -> None:
    from selenium.webdriver.common.by import By

    browser.open("answers.html")
    browser.until("document.querySelectorAll('#found tbody tr').length > 0")
    browser.driver.find_element(By.NAME, "q").send_keys("effective TAX rate")
    browser.until("document.querySelectorAll('#found tbody tr').length === 1")
    browser.open("answers.html")
    browser.until("document.querySelectorAll('#found tbody tr').length > 0")
    assert ("✓", "✓") in marks(browser)
    browser.choose("rule", "finben_emacc")
    browser.until("document.querySelectorAll('#found .mark.wrong').length === 32")


def test_an_example_opens_by_link_with_the_extracted_span_marked(browser: Browser) -> None:
    browser.open("answers.html#finqa/" + quote("CWQ/2017/page_58.pdf-2", safe=""))
    browser.until("document.querySelectorAll('.output').length === 5")
    assert browser.texts("#example h1") == ["what was the income tax expense in 2017 , in millions?"]
    assert browser.texts(".facts dd")[:2] == ["132.9", "132.924"]  # as printed, and its value
    said = ["132.924"] * 3 + ["no idea"]
    assert browser.texts("pre mark")[:4] == browser.texts(".extracted code")[:4] == said
    around = browser.run(
        "return [...document.querySelectorAll('pre mark')].slice(0, 4)"
        ".map(m => [m.previousSibling.data.slice(-7), m.nextSibling.data])"
    )
    assert around == [["\\boxed{", "}."]] * 4
    assert len(browser.texts(".prompt table tr")) > 4  # the page's table is one
    browser.click("#example details.fold summary")
    assert len(browser.texts("#example .box tbody th code")) >= 10  # every rule's verdict


def test_a_turn_opens_by_link_and_neighbours_follow(browser: Browser) -> None:
    browser.open("answers.html#?benchmark=convfinqa")
    browser.until("document.querySelectorAll('#found tbody tr').length > 0")
    browser.run(
        "[...document.querySelectorAll('#found tbody th')].find(e => e.textContent.includes('turn 1'))"
        ".querySelector('a').click()"
    )
    browser.until("document.querySelectorAll('.output').length > 0")
    assert browser.driver.current_url.endswith("/1")
    assert "turn 1" in browser.texts(".path")[0]
    browser.click("#example nav a", "Next")
    browser.until("document.querySelector('.path').textContent.includes('turn 2')")
    assert browser.run("return document.activeElement.tagName") == "H1"
    browser.click("#example nav a", "answers")
    browser.until("!document.getElementById('list').hidden")


def test_another_rule_marks_another_span(browser: Browser) -> None:
    browser.open("answers.html#finqa/" + quote("CWQ/2017/page_58.pdf-2", safe=""))
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
        answer["text"]: f"answers.html#finqa/{quote(item[0], safe='')}"
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
        assert browser.run("return document.title") == "Answers · evalkit"
        made = "#example script, #example img, #example textarea, pre a, a[href^=javascript]"
        assert browser.run(f"return document.querySelectorAll('{made}').length") == 0


def test_markup_that_does_get_in_is_refused(browser: Browser) -> None:
    """The policy stands behind the scripts: were they to read a text as HTML, nothing would run."""
    browser.open("answers.html")
    said = browser.run(
        "try { document.body.innerHTML = '<img src=x onerror=alert(1)>'; return 'written' }"
        "catch (error) { return error.name }"
    )
    assert said == "TypeError"
    assert any("TrustedHTML" in message for message in browser.complaints())


@pytest.mark.parametrize("address", ["finqa/none", "nowhere/x", "finqa/%E0%A4%A", "?benchmark=none&a=x&va=y"])
def test_a_wrong_address_is_said_or_ignored(browser: Browser, address: str) -> None:
    browser.open(f"answers.html#{address}")
    listed = address.startswith("?")
    shown = "#found tbody tr" if listed else "#problem:not([hidden])"
    browser.until(f"document.querySelectorAll('{shown}').length > 0")
    assert browser.run("return document.getElementById('problem').hidden") is listed


def test_a_sweeps_flips_lead_to_the_examples(browser: Browser) -> None:
    browser.open("compare.html")
    browser.click("section.pair:not([hidden]) td a[href*='va=right']")
    browser.until("(document.querySelector('[name=vb]') || {}).value === 'wrong'")
    assert chosen(browser, "a") == "Q8_0"


def press(browser: Browser, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    for each in keys:
        ActionChains(browser.driver).send_keys(each).perform()


def test_keys_go_through_the_answers(browser: Browser) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.open("answers.html")
    browser.until(f"{FOUND} > 0")
    questions = browser.texts("#found tbody a")
    press(browser, "j", "j", Keys.ARROW_DOWN, "k")
    assert browser.run("return document.activeElement.textContent.replace(/\\s+/g, ' ')") == questions[1]
    press(browser, Keys.ENTER)
    browser.until("!document.getElementById('example').hidden")
    assert browser.texts("#example h1") == [questions[1]]
    press(browser, "j")
    browser.until(f"document.querySelector('#example h1').textContent !== {json.dumps(questions[1])}")
    assert browser.texts("#example h1") == [questions[2]]
    press(browser, Keys.ARROW_LEFT)
    browser.until(f"document.querySelector('#example h1').textContent !== {json.dumps(questions[2])}")
    press(browser, Keys.ESCAPE)
    browser.until("!document.getElementById('list').hidden")


def test_keys_typed_into_a_field_are_text(browser: Browser) -> None:
    from selenium.webdriver.common.by import By

    browser.open("answers.html")
    browser.until(f"{FOUND} > 0")
    browser.driver.find_element(By.NAME, "q").send_keys("jkjk")
    assert browser.run("return document.activeElement.value") == "jkjk"


def test_why_an_answer_is_wrong_is_said_in_the_list_and_on_its_page(browser: Browser) -> None:
    browser.open("answers.html#?benchmark=finqa&a=iq3_xs&va=wrong_number")
    browser.until(f"{FOUND} > 0")
    why = browser.texts("#found td.why")
    assert all("read 7, right is " in text and "% allowed" in text for text in why)
    assert any("the dataset prints" in text for text in why)
    browser.click("#found tbody a")
    browser.until("document.querySelectorAll('.output').length > 0")
    assert browser.texts(".reason")[0] == why[0]
