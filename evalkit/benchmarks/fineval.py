"""FinEval (Fin-Eva, SUFE part): Chinese single-choice questions of 34 subjects, accounting to certificates.

Zhang et al. 2023, arXiv 2308.09975. github.com/alipay/financial_evaluation_dataset, ``data/SUFE/<split>/
<subject>_<split>.csv`` with columns ``id,question,A,B,C,D,answer`` (dev: and ``explanation``). The answers of
upstream's test split are not public, so `val` is what is scored, as in FinEval's own scripts.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import PurePosixPath
from typing import Literal

from evalkit.benchmarks import Unit
from evalkit.benchmarks.exams import Columns, exam_unit
from evalkit.benchmarks.sources import Record
from evalkit.config.settings import BenchmarkSettings
from evalkit.files import BENCHMARKS

IDS: Literal["upstream", "content"] = "upstream"
TRAIN = {"split": "dev"}
SAME_GROUP = True  # `dev` has five questions a subject, made to stand before that subject's own


@cache
def subjects() -> dict[str, tuple[str, str]]:
    """Of every subject its Chinese name and its category, as in upstream's subject map."""
    with (BENCHMARKS / "fineval" / "subjects.tsv").open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t")
        return {row["name"]: (row["subject"], row["category"]) for row in rows}


COLUMNS = Columns(question="question", answer="answer", id="id")


def unit(record: Record, settings: BenchmarkSettings) -> Unit | None:
    """The question of one row; None for a row without an answer. Raises UserError for a malformed row."""
    name = PurePosixPath(record.file).stem.removesuffix(f"_{settings.split}")
    subject, category = subjects().get(name, (name, "-"))
    facets = {"category": category, "subject": subject}
    return exam_unit("fineval", record, settings, COLUMNS, name, facets=facets, shown={"subject": subject})
