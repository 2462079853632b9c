"""What docs/rewards.md says in Python runs, as far as it needs no trainer, and names what there is."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "rewards.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_first_block_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(BLOCKS[0], str(PAGE), "exec"), {})  # noqa: S102 - our own page
    assert capsys.readouterr().out.splitlines() == re.findall(r"# (\[.*\])", BLOCKS[0])


@pytest.mark.parametrize("block", BLOCKS)
def test_what_the_blocks_import_of_evalkit_is_there(block: str) -> None:
    imports = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if (node.module or "").startswith("evalkit")]
    assert ours
    for node in ours:
        module = importlib.import_module(node.module or "")
        assert [each.name for each in node.names if not hasattr(module, each.name)] == []
