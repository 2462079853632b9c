"""The ten sources of Fin-R1-Data as its model card counts them, and what those counts do and do not say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evalkit.config.settings import BenchmarkSettings
from evalkit.files import PUBLISHED
from evalkit.published import read_table
from evalkit.schema import UserError
from evalkit.text import table

FILE = "training/fin-r1-data.yaml"
FINE_TUNED = ("ConvFinQA", "FinQA")
"""The sources that the card's section on training names for the fine-tuning."""


@dataclass(frozen=True, slots=True)
class Source:
    """One source as the card counts it; see the file for each field. `benchmark`: None: nothing to load."""

    name: str
    records: int
    field: str
    benchmark: str | None
    place: str | None
    revision: str | None
    licence: str
    public: Literal["yes", "no", "likely"]
    raw: int | None


@dataclass(frozen=True, slots=True)
class CardData:
    """The card's table, its printed total, and its four modules."""

    name: str
    title: str
    source: str
    total: int
    modules: tuple[str, ...]
    module_of_a_source: None
    sources: tuple[Source, ...]

    def of(self, benchmark: str) -> Source | None:
        """The source that evalkit reads as this benchmark; None if it is not one of the card's."""
        return next((each for each in self.sources if each.benchmark == benchmark), None)


def card_data() -> CardData:
    """The table in results/published/training/.

    Raises:
        UserError: the file is not one.
    """
    import yaml
    from pydantic import TypeAdapter, ValidationError

    file = PUBLISHED / FILE
    try:
        return TypeAdapter(CardData).validate_python(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (OSError, ValidationError, yaml.YAMLError) as error:
        raise UserError(f"{file} is not a table of training data: {type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the table was held against, and whether it stood."""

    holds: bool
    text: str


def printed_accuracy() -> dict[str, float]:
    """The teacher's printed scores by benchmark, in per cent."""
    teacher = next(row for row in read_table().rows if row.model == "deepseek-r1")
    return {name: float(score) for name, score in teacher.scores.items()}


def audit(data: CardData, printed_accuracy: Mapping[str, float]) -> list[Finding]:
    """Do the counts add up, and do the shares that they imply fit what the card says elsewhere?

    Args:
        printed_accuracy: the teacher's printed score by benchmark, in per cent.
    """
    total = sum(each.records for each in data.sources)
    tuned = sum(each.records for each in data.sources if each.name in FINE_TUNED)
    found = [
        Finding(total == data.total, f"the ten counts add up to {total:,}; printed is {data.total:,}."),
        Finding(round(total, -4) == 60_000, f"the text says about 60k: {total:,}."),
        Finding(
            tuned == total,
            "what is good and good is for fine-tuning, from all sources: of the fine-tuning the card says "
            f"that it used {' and '.join(FINE_TUNED)}, {tuned:,} of the records ({100 * tuned / total:.1f} "
            "%).",
        ),
    ]
    for each in data.sources:
        accuracy = printed_accuracy.get(each.benchmark or "")
        if (
            accuracy is None or each.raw is None or each.raw > 100_000
        ):  # nobody says that all of those were asked
            continue
        found.append(
            Finding(
                each.records >= each.raw,
                f"what is not good is for reinforcement learning, so no question is lost: {each.name} has "
                f"{each.records:,} of {each.raw:,}, {100 * each.records / each.raw:.1f} %, and the "
                f"teacher's right answers alone would be {accuracy:g} % by its printed score.",
            )
        )
    return found


def sources_markdown(data: CardData) -> str:
    """The table with each source's share, place, licence and loader."""
    rows = [
        [
            each.name,
            f"{each.records:,}",
            f"{100 * each.records / data.total:.1f} %",
            each.field,
            each.place or "no public trace",
            each.licence,
            {"yes": "yes", "no": "no", "likely": "a likely candidate"}[each.public],
            f"benchmark={each.benchmark}" if each.benchmark else "-",
        ]
        for each in data.sources
    ]
    header = ["Source", "Records", "Share", "The card's word", "Place", "Licence", "Public", "Read by"]
    return table(header, rows)


_NON_COMMERCIAL = re.compile(r"\bNC\b|non-?commercial", re.IGNORECASE)
_UNKNOWN = re.compile(r"^(none stated|not public|unknown|)$", re.IGNORECASE)
_UNSEEN = "not seen"


def licence_problem(settings: BenchmarkSettings) -> str | None:
    """What has to be said of a source's licence before anything of it is written; None for nothing."""
    licence = settings.licence or ""
    if settings.module == "questions" and not licence:  # a table of one's own
        return None
    if _NON_COMMERCIAL.search(licence):
        return f"{settings.title} is {licence}: no commercial use"
    if licence.strip().lower() == _UNSEEN:
        return f"{settings.title}: evalkit has not seen its licence, read it where the data are from"
    if _UNKNOWN.match(licence.strip()):
        return f"{settings.title} states no licence"
    return None


def licence_problems(benchmarks: Sequence[BenchmarkSettings]) -> list[str]:
    """Of all sources, each once."""
    return list(dict.fromkeys(found for each in benchmarks if (found := licence_problem(each))))
