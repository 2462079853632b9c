"""FinanceIQ: Chinese single-choice questions of ten financial exams, accounting to actuarial mathematics.

github.com/Duxiaoman-DI/XuanYuan, ``FinanceIQ/data/<split>/<exam>.csv`` with columns
``,Question,A,B,C,D,Answer`` (the first, without a name, counts rows). The set is on the Hugging Face hub as
Duxiaoman-DI/FinanceIQ, too, which states its licence. Upstream reworded the questions with GPT-4 and shuffled
their options.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from evalkit.benchmarks import Unit
from evalkit.benchmarks.exams import Columns, exam_unit
from evalkit.benchmarks.sources import Record
from evalkit.config.settings import BenchmarkSettings

IDS: Literal["upstream", "content"] = "upstream"
TRAIN = {"split": "dev"}
SAME_GROUP = True  # `dev` has five questions an exam, made to stand before that exam's own


COLUMNS = Columns(question="Question", answer="Answer", id="")


def unit(record: Record, settings: BenchmarkSettings) -> Unit | None:
    """The question of one row; None for a row without an answer. Raises UserError for a malformed row."""
    exam = PurePosixPath(record.file).stem
    about = {"exam": exam}
    return exam_unit("financeiq", record, settings, COLUMNS, exam, facets=about, shown=about)
