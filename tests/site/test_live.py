"""The site of a run that goes on: who may ask, what is answered, and that pages follow."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from evalkit.board.live import LiveServer, LiveSite, at_work
from evalkit.run.find import run_state
from tests.site.material import answer, run

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

FEW = 3


@pytest.fixture
def going(tmp_path: Path) -> tuple[Path, list[str]]:
    """A run's folder as it is after three answers, and the lines that are still to come."""
    run(tmp_path / "made", "q4_k", partial(answer, "q4_k"), ("finqa",))
    path = tmp_path / "made" / "run"
    lines = (path / "generations.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (path / "generations.jsonl").write_text("".join(lines[:FEW]), encoding="utf-8")
    facts = json.loads((path / "run.json").read_text(encoding="utf-8"))
    facts["engine"], facts["ended"] = {"engine": "llama.cpp"}, None
    facts = {name: value for name, value in facts.items() if name != "answers"}  # not sealed yet
    (path / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    return path, lines[FEW:]


@pytest.fixture
def server(going: tuple[Path, list[str]], tmp_path: Path) -> Iterator[LiveServer]:
    made = LiveServer(LiveSite(lambda: [going[0]], tmp_path))
    yield made
    made.close()


def ask(
    server: LiveServer, path: str, method: str = "GET", headers: Mapping[str, str] | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request(method, path, headers=dict(headers or {}))
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, response.headers, content


def test_the_site_is_there_behind_its_token_alone(server: LiveServer) -> None:
    assert server.address == f"http://127.0.0.1:{server.port}/{server.token}/"
    assert len(server.token) >= 32
    status, headers, _ = ask(server, f"/{server.token}/")
    assert (status, headers["Location"]) == (302, "1/index.html")
    status, headers, content = ask(server, f"/{server.token}/1/index.html")
    assert status == 200
    assert b"assets/live.js" in content
    assert b"connect-src 'self'" in content
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    for path in ("/", "/1/index.html", "/token/1/index.html", f"/{server.token}x/1/index.html"):
        assert ask(server, path)[0] == 404


@pytest.mark.parametrize(
    "name",
    [
        "../run.json",
        "1/../../run.json",
        "1/%2e%2e/run.json",
        "1//etc/passwd",
        "1/",
        "7/data/b0.js",
        "x/index.html",
        "99999999999999999999/index.html",
        "²/index.html",
    ],
)
def test_what_is_no_page_of_the_site_is_not_there(server: LiveServer, name: str) -> None:
    from urllib.parse import quote

    assert ask(server, f"/{server.token}/{quote(name, safe='/%.')}")[0] == 404


def test_another_host_name_is_refused(server: LiveServer) -> None:
    page = f"/{server.token}/1/index.html"
    assert ask(server, page, headers={"Host": "evil.example"})[0] == 403
    assert ask(server, page, headers={"Host": f"evil.example:{server.port}"})[0] == 403
    assert ask(server, page, headers={"Host": f"localhost:{server.port}"})[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_written(server: LiveServer, method: str) -> None:
    assert ask(server, f"/{server.token}/1/index.html", method)[0] == 501


def test_head_has_no_body(server: LiveServer) -> None:
    status, headers, content = ask(server, f"/{server.token}/1/index.html", "HEAD")
    assert (status, content) == (200, b"")
    assert int(headers["Content-Length"]) > 0


def status_of(site: LiveSite) -> dict[str, Any]:
    reply = site.reply("1/status.json")
    assert reply.status == 200
    found = json.loads(reply.body)
    assert isinstance(found, dict)
    return found


def test_new_answers_are_a_new_state_with_addresses_of_its_own(
    going: tuple[Path, list[str]], tmp_path: Path
) -> None:
    path, rest = going
    site = LiveSite(lambda: [path], tmp_path)
    (shown,) = status_of(site)["runs"]
    assert (shown["there"], shown["wanted"], shown["working"]) == (FEW, FEW + len(rest), True)
    assert at_work(run_state(path))
    assert not site.refresh()
    before = site.reply("1/data/b0.js").body
    assert before
    with (path / "generations.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(rest)
    site._due = 0.0
    assert site.refresh()
    found = status_of(site)
    assert found == {"version": 2, "runs": []}
    assert site.reply("1/data/b0.js").body == before  # a page goes on with what it came with
    assert site.reply("2/data/b0.js").body != before
    assert not at_work(run_state(path))


def test_an_old_page_leads_to_the_newest_and_old_data_are_gone(
    going: tuple[Path, list[str]], tmp_path: Path
) -> None:
    path, rest = going
    site = LiveSite(lambda: [path], tmp_path)
    for line in rest[:3]:
        with (path / "generations.jsonl").open("a", encoding="utf-8") as file:
            file.write(line)
        site._due = 0.0
        assert site.refresh()
    assert site.version == 4
    assert site.reply("1/answers.html").location == "../4/answers.html"
    assert site.reply("1/data/b0.js").status == 404


def test_a_run_without_any_answer_is_waited_for(going: tuple[Path, list[str]], tmp_path: Path) -> None:
    path, rest = going
    whole = (path / "generations.jsonl").read_text(encoding="utf-8")
    (path / "generations.jsonl").write_text("", encoding="utf-8")
    site = LiveSite(lambda: [path], tmp_path)
    assert b"No answer is here yet" in site.reply("1/index.html").body
    assert status_of(site)["runs"][0]["there"] == 0
    (path / "generations.jsonl").write_text(whole + "".join(rest), encoding="utf-8")
    site._due = 0.0
    assert site.refresh()
    assert b"No answer is here yet" not in site.reply("2/index.html").body
    assert site.reply("1/answers.html").location == "../2/answers.html"


def test_progress_is_known_before_the_next_build_is_due(
    going: tuple[Path, list[str]], tmp_path: Path
) -> None:
    path, rest = going
    site = LiveSite(lambda: [path], tmp_path)
    with (path / "generations.jsonl").open("a", encoding="utf-8") as file:
        file.write(rest[0])
    site._due = float("inf")
    assert not site.refresh()
    found = status_of(site)
    assert (found["version"], found["runs"][0]["there"]) == (1, FEW + 1)


def test_pages_follow_the_run(chromium: Chrome, server: LiveServer, going: tuple[Path, list[str]]) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    path, rest = going

    def until(script: str) -> None:
        WebDriverWait(chromium, 60, poll_frequency=0.1).until(
            lambda driver: driver.execute_script(f"return {script}")
        )

    chromium.get_log("browser")  # type: ignore[no-untyped-call]
    chromium.get(f"{server.address}1/answers.html")
    until(f"document.querySelectorAll('#found tbody tr').length === {FEW}")
    until("document.querySelector('#live progress') !== null")
    assert f"{FEW} of {FEW + len(rest)} answers" in chromium.find_element("id", "live").text
    with (path / "generations.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(rest)
    until(f"document.querySelectorAll('#found tbody tr').length === {FEW + len(rest)}")
    until("document.getElementById('live').textContent.includes('Every run is complete')")
    # Whoever reads an answer is not interrupted: a link says that there is more.
    chromium.find_element("css selector", "#found tbody a").click()
    until("!document.getElementById('example').hidden")
    (path / "generations.jsonl").touch()
    until("document.getElementById('live').textContent.includes('Show the new answers')")
    assert chromium.execute_script("return document.getElementById('example').hidden") is False
    said = [entry["message"] for entry in chromium.get_log("browser")]  # type: ignore[no-untyped-call]
    assert [text for text in said if "favicon" not in text] == []
    server.close()
    until("document.getElementById('live').textContent.includes('The server has ended')")
    chromium.get("about:blank")
    chromium.get_log("browser")  # type: ignore[no-untyped-call]
    chromium.get_log("performance")  # type: ignore[no-untyped-call]
