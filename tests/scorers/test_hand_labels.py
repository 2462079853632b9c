"""Agreement with the hand labels of real outputs, which are not shipped: needs EVALKIT_DATA_DIR."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bench.rules import figures, labelled

DATA = Path(os.environ.get("EVALKIT_DATA_DIR") or "missing")
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="EVALKIT_DATA_DIR is not set")


def test_agreement_with_hand_labels() -> None:
    found = figures(labelled(DATA))
    for figure in found:
        sys.stdout.write(f"{figure.title}: {figure.agreed} of {figure.total}\n")
    assert [figure.target for figure in found] == [0.97, 0.95, 0.98, 0.85]
    assert all(figure.total > 100 for figure in found)
    assert all(figure.met for figure in found)
