"""How much is tried: the same few examples in CI, or EVALKIT_FUZZ=N random ones a reader by hand.

EVALKIT_FUZZ=20000 python -m pytest tests/fuzz -x
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_QUIET = list(HealthCheck)
_BY_HAND = os.environ.get("EVALKIT_FUZZ")

settings.register_profile(
    "ci", max_examples=80, derandomize=True, database=None, deadline=None, suppress_health_check=_QUIET
)
settings.register_profile(
    "by hand", max_examples=int(_BY_HAND or 1), database=None, deadline=None, suppress_health_check=_QUIET
)
settings.load_profile("by hand" if _BY_HAND else "ci")
