"""Evaluation items among the questions of a training set, looked for before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evalkit.config.overrides import compose, quoted, to_dict
from evalkit.config.settings import read_questions
from evalkit.overlap import of_records
from evalkit.overlap.index import EvaluatedExample, from_examples
from evalkit.overlap.variants import Variants
from evalkit.run.runner import load_data
from evalkit.schema import Example, UserError

FIVE = ("finqa", "convfinqa", "ant_finance", "tfns", "finance_instruct")
"""The evaluation splits that Fin-R1's card reports on."""

Kind = Literal["exact", "near", "renumbered", "reordered", "page"]
"""The first four are taken out. `page`: another question about a page that an evaluation item asks about."""
REMOVED: tuple[Kind, ...] = ("exact", "near", "renumbered", "reordered")


@dataclass(frozen=True, slots=True)
class EvaluationSplit:
    """What was looked for: a benchmark's split, and the hash of its files or rows as they were read."""

    benchmark: str
    split: str
    source: str
    examples: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Contamination:
    """An evaluation item, by its benchmark and id, and how a question is one."""

    kind: Kind
    benchmark: str
    id: str
    turn: int | None


def evaluation_items(
    names: Sequence[str], source: str, folder: str | None
) -> tuple[list[EvaluatedExample], list[EvaluationSplit]]:
    """The items of these benchmarks' evaluation splits, and what was read.

    Args:
        source: hub, local or sample, as in configs/data/.
        folder: of local data.

    Raises:
        UserError: one of them is not there: nothing may be written without having looked.
    """
    where = [f"data={source}", *([f"data.dir={quoted(folder)}"] if folder and source == "local" else [])]
    items: list[EvaluatedExample] = []
    splits: list[EvaluationSplit] = []
    for name in names:
        try:
            settings = read_questions(to_dict(compose([f"benchmark={name}", *where])))
            data = load_data(settings)
        except UserError as error:
            raise UserError(
                f"against={name}: its evaluation split cannot be had: {error} (against_data= and "
                "against_dir= say where from; against=NAMES names those that are there)"
            ) from error
        for key, loaded in data.items():
            items += from_examples(loaded.examples)
            facts = loaded.provenance
            splits.append(
                EvaluationSplit(
                    key, settings.benchmark[key].split, source, len(loaded.examples), data_hash(facts)
                )
            )
    return items, splits


def data_hash(provenance: Mapping[str, Any]) -> str:
    """The hash of a benchmark's data as they were read: of its only file, of many, or of the hub's rows."""
    files = provenance.get("files") or [{}]
    found = provenance.get("sha256") or provenance.get("rows_sha256") or files[0].get("sha256")
    return str(found or "")


def contaminated(
    examples: Sequence[Example], items: Sequence[EvaluatedExample]
) -> list[Contamination | None]:
    """For each example the evaluation item that it is, or whose page it is about; None for neither.

    What is looked at is the question with its options and its page. What the teacher says of them is not: it
    repeats their numbers among its own words.
    """
    own = from_examples(examples)
    texts = [(each.question, each.page) for each in own]
    exact = of_records(items, (f"{page}\n{question}" for question, page in texts))
    variants = Variants(items)
    found: list[Contamination | None] = []
    for (question, page), match, renumbered in zip(texts, exact, variants.renumbered(texts), strict=True):
        hit: tuple[int, Kind] | None = None
        if match is not None and match[1].found:
            hit = match[0], "exact" if match[1].level == "exact" else "near"
        elif renumbered is not None:
            hit = renumbered, "renumbered"
        elif (place := variants.reordered(question, page)) is not None:
            hit = place, "reordered"
        elif match is not None and match[1].level == "page":
            hit = match[0], "page"
        found.append(hit and _named(items[hit[0]], hit[1]))
    return found


def _named(item: EvaluatedExample, kind: Kind) -> Contamination:
    return Contamination(kind, item.benchmark, item.id, item.turn)
