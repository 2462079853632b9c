"""Real gold answers in other dresses, directions and units (`bench.metamorphic`).

On the bundled samples, which ship, and on the real records of EVALKIT_DATA_DIR.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bench.metamorphic import TRANSFORMATIONS, examples, rows
from bench.rules import METAMORPHIC_SHARE

DATA = os.environ.get("EVALKIT_DATA_DIR") or ""
needs_data = pytest.mark.skipif(not Path(DATA or "missing").is_dir(), reason="EVALKIT_DATA_DIR is not set")


def test_samples() -> None:
    found = list(rows(examples(None)))
    assert len(found) == len(TRANSFORMATIONS)
    assert sum(row.cases for row in found) > 1_000
    assert [(row.transformation.name, row.missed) for row in found if row.missed] == []


@needs_data
def test_real_golds() -> None:
    for row in rows(examples(Path(DATA))):
        kind = row.transformation
        sys.stdout.write(f"{kind.area}, {kind.name}: {row.as_expected} of {row.cases} {row.missed}\n")
        assert row.cases
        assert row.share >= METAMORPHIC_SHARE, row.missed
