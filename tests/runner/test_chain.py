"""The chain over generations.jsonl: what somebody changed is named, and what a kill leaves is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evalkit.run.generations import (
    Seal,
    Writer,
    line_of,
    read_chain,
    read_generations,
    require_sealed,
    rewrite,
)
from evalkit.schema import Answer, UserError
from tests.runner.test_record import record

NAMES = ("a", "b", "c", "d")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "generations.jsonl"
    writer = Writer(file)
    writer.append([record("a")])
    writer.append([record("b"), record("c")])
    writer.close()
    writer = Writer(file)  # another session
    writer.append([record("d")])
    writer.close()
    return file


def lines_of(path: Path) -> list[str]:
    return [line + "\n" for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def write(path: Path, lines: list[str]) -> None:
    path.write_text("".join(lines), encoding="utf-8")


def edited(line: str, **fields: object) -> str:
    return json.dumps({**json.loads(line), **fields}) + "\n"


def without_link(line: str) -> str:
    return json.dumps({k: v for k, v in json.loads(line).items() if k not in ("link", "after")}) + "\n"


def said(path: Path) -> str:
    with pytest.raises(UserError) as error:
        read_generations(path)
    text = str(error.value)
    assert "\n" not in text
    assert "mend=true" in text
    return text


def test_a_chain_over_several_sessions_holds(path: Path) -> None:
    found = read_chain(path)
    assert [answer.id for answer in found.answers] == list(NAMES)
    assert (found.broken, found.linked) == ([], 4)
    assert found.seal == Seal(4, found.links[-1])
    assert Writer(path).seal == found.seal


@pytest.mark.parametrize(
    "change",
    [
        {"text": "\\boxed{bearish}"},
        {"messages": [{"role": "user", "content": "another question"}]},
        {"completion_tokens": 3},
        {"finish_reason": "length"},
        {"key": "f" * 32},
        {"id": "z"},
        {"latency_s": 0.25},
    ],
)
@pytest.mark.parametrize("place", [0, 2, 3])
def test_an_edited_answer_is_named(change: dict[str, object], place: int, path: Path) -> None:
    lines = lines_of(path)
    lines[place] = edited(lines[place], **change)
    write(path, lines)
    name = change.get("id", NAMES[place])
    assert f'"toy" "{name}" (line {place + 1}) was changed after it was written' in said(path)
    assert [each.line for each in read_chain(path).broken] == [place + 1]


def test_a_changed_layout_of_a_line_is_no_change(path: Path) -> None:
    write(path, [json.dumps(json.loads(line), separators=(",", ":")) + "\n" for line in lines_of(path)])
    assert read_chain(path).broken == []


@pytest.mark.parametrize(
    ("rearrange", "line", "name"),
    [
        (lambda lines: [*lines[:1], *lines[2:]], 2, "c"),
        (lambda lines: lines[1:], 1, "b"),
        (lambda lines: [lines[0], lines[2], lines[1], lines[3]], 2, "c"),
        (lambda lines: [lines[0], line_of("", record("x"))[0], *lines[1:]], 2, "x"),
        (lambda lines: [*lines, record("x").line()], 5, "x"),
        (lambda lines: [lines[0], without_link(lines[1]), *lines[2:]], 2, "b"),
    ],
)
def test_a_removed_added_or_moved_answer_is_named(
    rearrange: Callable[[list[str]], list[str]], line: int, name: str, path: Path
) -> None:
    write(path, rearrange(lines_of(path)))
    assert f'"toy" "{name}" (line {line}) does not follow the one before it' in said(path)


def test_the_seal_misses_what_is_gone_from_the_end(path: Path) -> None:
    seal = read_chain(path).seal
    write(path, lines_of(path)[:2])
    found = read_chain(path)
    assert found.broken == []
    with pytest.raises(UserError, match="2 answers are gone from its end"):
        require_sealed(path, found, seal, all_of_them=True)
    require_sealed(path, found, seal, all_of_them=False)  # a resumed run asks them again


def test_links_that_were_taken_away_leave_the_seal(path: Path) -> None:
    seal, lines = read_chain(path).seal, [without_link(line) for line in lines_of(path)]
    write(path, lines)
    require_sealed(path, read_chain(path), seal, all_of_them=True)  # nothing else was changed
    write(path, [edited(lines[0], text="x"), *lines[1:]])
    with pytest.raises(UserError, match=r"are not those that run\.json says"):
        require_sealed(path, read_chain(path), seal, all_of_them=False)


def test_a_torn_last_line_breaks_nothing_at_any_length(path: Path) -> None:
    lines = lines_of(path)
    for end in range(0, len(lines[3]) - 1, 7):
        write(path, [*lines[:3], lines[3][:end]])
        found = read_chain(path)
        assert len(found.answers) == 3
        assert found.broken == []
    rewrite(path, found.answers)
    assert read_chain(path).broken == []


def test_a_line_of_an_older_version_has_no_link_and_is_counted_in(path: Path) -> None:
    old = [record(name) for name in ("a", "b")]
    write(path, [answer.line() for answer in old])
    found = read_chain(path)
    assert (found.answers, found.broken, found.linked) == (old, [], 0)
    writer = Writer(path)
    writer.append([record("c")])
    writer.close()
    assert read_chain(path).broken == []
    lines = lines_of(path)
    write(path, [edited(lines[0], text="x"), *lines[1:]])
    assert '"c" (line 3) does not follow' in said(path)


def test_the_same_line_twice_counts_once(path: Path) -> None:
    lines = lines_of(path)
    write(path, [*lines, lines[1]])
    assert len(read_generations(path)) == 4
    write(path, [*lines, lines[1].replace("四", "五")])
    with pytest.raises(UserError, match="another answer"):
        read_generations(path)


@pytest.mark.parametrize("link", [5, "x" * 32, "0" * 31, None, ["0" * 32]])
def test_a_link_that_is_none_is_a_broken_line(link: object, path: Path) -> None:
    lines = lines_of(path)
    write(path, [*lines[:3], edited(lines[3], link=link)])
    with pytest.raises(UserError, match="line 4 is not a generation record"):
        read_generations(path)


def test_what_a_link_covers() -> None:
    """Every field of an answer: a new one must be covered as well."""
    assert set(json.loads(record("a").line())) == set(Answer.__slots__)
