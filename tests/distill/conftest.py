"""Each test has a cache of verdicts of its own, and no key of anybody's."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.judge.stage.default_path", lambda: tmp_path / "verdicts" / "replies.sqlite")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-key-that-must-not-be-seen")
