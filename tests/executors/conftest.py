"""The small model, fetched before anything needs it."""

from __future__ import annotations

from tests.e2e.conftest import model_file

__all__ = ["model_file"]
