"""Programs of real records. Needs EVALKIT_DATA_DIR."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from evalkit.schema import NumberGold, Output, YesNoGold
from evalkit.scoring import get_rule
from evalkit.scoring.programs import execute

from .perturbations import golds

DATA = os.environ.get("EVALKIT_DATA_DIR") or "missing"
pytestmark = pytest.mark.skipif(not Path(DATA).is_dir(), reason="EVALKIT_DATA_DIR is not set")


def programs() -> list[NumberGold | YesNoGold]:
    found = golds("finqa", DATA) + golds("convfinqa", DATA)
    return [gold for gold in found if isinstance(gold, NumberGold | YesNoGold)]


def test_gold_programs_give_gold_values() -> None:
    cases = programs()
    for gold in cases:
        value = execute(gold.program, gold.table)
        expected = gold.yes if isinstance(gold, YesNoGold) else gold.value
        assert (value if isinstance(value, bool) else round(value, 5)) == expected, gold.program
    sys.stdout.write(f"{len(cases)} programs\n")
    assert len(cases) > 500


def test_gold_programs_as_answers_are_right_under_both_official_scores() -> None:
    cases = [gold for gold in programs() if "(" in gold.program]
    for gold in cases:
        output = Output(rf"<think>divide(1, 2)</think>So \boxed{{{gold.program}}}.")
        for rule in ("finqa_official", "finqa_program"):
            verdict = get_rule(rule)(output, gold)
            assert verdict
            assert verdict.correct, (rule, gold.program)
    assert len(cases) > 400
