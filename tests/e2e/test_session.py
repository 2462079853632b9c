"""The page of a first session has the session's commands, all of them from the other documents."""

from __future__ import annotations

import re

from tests.e2e.test_docs import DOCUMENTS, blocks
from tests.session import PAGE, STEPS

SETTING = re.compile(r"[\w.]+=\S+")


def typed() -> list[str]:
    """What the page says was typed."""
    return re.findall(r"```text\n\$ (.+)\n", PAGE.read_text(encoding="utf-8"))


def test_the_page_is_of_this_session() -> None:
    for command, step in zip(typed(), STEPS, strict=True):
        wanted = re.escape(step.command).replace(re.escape("{wrong}"), r"\S+( turn \d+)?")
        assert re.fullmatch(wanted, command)


def words(command: str) -> str:
    """A command without its settings, and without the files that stand for one's own."""
    return " ".join(SETTING.sub("", command).split()).replace("{wrong}", "").strip()


def test_a_newcomer_needs_no_command_that_is_not_documented() -> None:
    others = [document for document in DOCUMENTS if document != PAGE]
    spans = [re.findall(r"`(evalkit [^`]+)`", document.read_text(encoding="utf-8")) for document in others]
    lines = [line for document in others for line in blocks(document)]
    documented = {words(command) for command in [*lines, *(span for found in spans for span in found)]}
    for step in STEPS[1:]:  # the first only looks around
        command = words(step.command)
        assert {command, command.removesuffix(" A.gguf B.gguf")} & documented, command


def test_nothing_of_the_machine_that_recorded_it_is_left() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert not re.search(r"/(tmp|root|work|Users)/|evalkit-session-", text)
    assert "Traceback" not in text
