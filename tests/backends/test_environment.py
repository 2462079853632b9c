"""What llama.cpp finds in its environment."""

from __future__ import annotations

import pytest

from evalkit.engines.llama_cpp import llama_environment


def test_threads_spin_for_less_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    assert llama_environment()["GOMP_SPINCOUNT"] == "3000"
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert "GOMP_SPINCOUNT" not in llama_environment()
