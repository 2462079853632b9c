"""The small model as a judge, for real: through llama.cpp, with a schema that the server sees to."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.config.judge import judge_settings
from evalkit.judge.judge import Judge
from evalkit.judge.prompt import Case
from evalkit.judge.stage import open_judge

SETTINGS = ["judge=local", "judge.model=smollm2-135m", "judge.overrides=['backend.slots=1']"]
CASES = [
    Case("answer", "What was revenue in 2017?", "1140", "\\boxed{1140}"),
    Case("answer", "What was revenue in 2017?", "1140", "\\boxed{-3}"),
    Case("free_text", "What is a bond?", "A loan that can be traded.", "A bond is a tradable loan."),
]


def test_every_reply_keeps_the_contract_and_none_is_asked_for_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = judge_settings(SETTINGS)
    with open_judge(chosen, tmp_path / "judge.log") as judge:
        found = judge(CASES)
        assert judge.identity["engine"]["weights_sha256"] == chosen.model.sha256
        assert judge.spent.attempts >= len(CASES)
    assert [each.error for each in found] == [None] * len(CASES)
    assert all(each.ruling and each.ruling.score in (0, 0.25, 0.5, 0.75, 1) for each in found)
    assert all(each.prompt_tokens > 300 and each.completion_tokens > 3 for each in found)

    async def never(*_: object) -> None:
        raise AssertionError("the engine is not needed for what is known")

    monkeypatch.setattr(Judge, "_ready", never)
    with open_judge(chosen, tmp_path / "judge.log") as judge:
        assert [each.ruling for each in judge(CASES)] == [each.ruling for each in found]
