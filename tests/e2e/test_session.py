"""The page of a first session has the session's commands, all of them from the other documents."""

from __future__ import annotations

import re

from tests.e2e.test_docs import ROOT, blocks, commands
from tests.session import PAGE, STEPS

SETTING = re.compile(r"[\w.]+=\S+")


def typed() -> list[str]:
    """What the page says was typed."""
    return re.findall(r"```text\n\$ (.+)\n", PAGE.read_text(encoding="utf-8"))


def test_the_page_is_of_this_session() -> None:
    for command, step in zip(typed(), STEPS, strict=True):
        wanted = re.escape(step.command).replace(re.escape("{wrong}"), r"\S+( turn \d+)?")
        assert re.fullmatch(wanted, command)


def test_a_newcomer_needs_no_command_that_is_not_documented() -> None:
    documented = {" ".join(SETTING.sub("", f"evalkit {command}").split()) for command in commands()}
    installing = blocks(ROOT / "README.md")
    for step in STEPS:
        if step.command == "ls":
            continue
        words = " ".join(SETTING.sub("", step.command).split())
        known = {words, words.removesuffix(" A.gguf B.gguf"), words.replace("{wrong}", "").strip()}
        assert known & documented or step.command in installing, step.command


def test_nothing_of_the_machine_that_recorded_it_is_left() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert not re.search(r"/(tmp|root|work|Users)/|evalkit-session-", text)
    assert "Traceback" not in text
