"""What must stay the same whatever the code inside looks like: keys, run ids, records, helps, outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.run.record import load_run, to_bytes

from .commands import COMMANDS_SHOWN, EXPECTED, HELPS, RESULTS, help_text, keys_and_ids, record_lines


def expected(name: str) -> str:
    return (EXPECTED / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", HELPS)
def test_help(command: str) -> None:
    assert help_text(command) == expected(f"help-{command.replace(' ', '-')}")


def test_generation_keys_and_run_ids(tmp_path: Path) -> None:
    assert keys_and_ids(tmp_path) == expected("keys")


@pytest.mark.parametrize("name", COMMANDS_SHOWN)
def test_command(name: str, tmp_path: Path) -> None:
    assert COMMANDS_SHOWN[name](tmp_path) == expected(name)


@pytest.mark.parametrize("path", sorted(RESULTS.glob("records/*/*.gz")), ids=lambda path: path.parent.name)
def test_a_record_read_and_written_is_the_same(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "record.jsonl.gz"
    copy.write_bytes(to_bytes(load_run(path)))
    assert record_lines(copy) == record_lines(path)
