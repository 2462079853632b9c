"""How many planted evaluation items `evalkit distill` finds, and what else it takes for one."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from evalkit.config.options import read_arguments
from evalkit.config.overrides import compose, quoted, to_dict
from evalkit.config.settings import read_questions
from evalkit.distill.contamination import REMOVED, Contamination, contaminated, evaluation_items
from evalkit.run.runner import load_data
from evalkit.schema import ChoiceGold, Example, UserError

HELP = """
usage: python -m bench contamination data.dir=DIR [limit=N]

Plants the items of FinQA, ConvFinQA, Ant_Finance and TFNS as they are, with every number changed, and with
their lines, sentences and clauses in another order, and counts how many are found. Then looks for those items
in sets that are others: TAT-QA, FinEval, and FinanceReasoning, which took questions from FinQA.

limit=N     items of each; default: all, which takes minutes

exit code: 0 done, 2 wrong request
"""

PLANTED = ("finqa", "convfinqa", "ant_finance", "tfns")
OTHERS: tuple[str, ...] = (
    "benchmark=tatqa",
    "benchmark=fineval",
    *(
        f"benchmark=finance_reasoning benchmark.finance_reasoning.split={each}"
        for each in ("easy", "medium", "hard")
    ),
)


def examples(words: Sequence[str], folder: str) -> list[Example]:
    settings = read_questions(to_dict(compose([*words, "data=local", f"data.dir={quoted(folder)}"])))
    return [example for loaded in load_data(settings).values() for example in loaded.examples]


def as_it_is(text: str, _: random.Random) -> str:
    return text


def renumbered(text: str, draw: random.Random) -> str:
    """Every number with other digits, as many."""
    return re.sub(r"\d+", lambda match: "".join(draw.choice("123456789") for _ in match[0]), text)


def reordered(text: str, draw: random.Random) -> str:
    """Lines, the sentences in each and their clauses shuffled; in a table the columns turned around.

    Where there is nothing of that, as in most questions, the second half stands first.
    """

    def shuffled(text: str, glue: str) -> str:
        parts = text.split(glue)
        draw.shuffle(parts)
        return glue.join(parts)

    def line(text: str) -> str:
        label, bar, cells = text.partition(" | ")
        if bar:
            return label + bar + " | ".join(reversed(cells.split(" | ")))
        return shuffled(shuffled(text, ", "), ". ")

    lines = [line(each) for each in text.split("\n")]
    found = shuffled("\n".join(lines), "\n")
    words = text.split(" ")
    return found if found != text else " ".join([*words[len(words) // 2 :], *words[: len(words) // 2]])


def changed(example: Example, change: Callable[[str, random.Random], str]) -> Example:
    draw = random.Random(example.id)
    gold = example.gold
    if isinstance(gold, ChoiceGold):
        gold = replace(gold, options={letter: change(text, draw) for letter, text in gold.options.items()})
    return replace(
        example, question=change(example.question, draw), context=change(example.context, draw), gold=gold
    )


def main(arguments: Sequence[str]) -> int:
    given = read_arguments("contamination", arguments, {"data.dir": "", "limit": ""})
    folder, limit = given.text("data.dir"), given.optional_whole("limit")
    if not folder:
        raise UserError("contamination: give the folder of the benchmarks' files: data.dir=DIR")
    items, _ = evaluation_items((*PLANTED, "finance_instruct"), "local", folder)
    cut = [f"limit={limit}"] if limit else []
    for name in PLANTED:
        own = examples([f"benchmark={name}", *cut], folder)
        for change in (as_it_is, renumbered, reordered):
            found = contaminated([changed(each, change) for each in own], items)
            print(f"{name}, {change.__name__}: {_counted(found)}")
    for words in OTHERS:
        own = examples([*words.split(), *cut], folder)
        print(f"{words}: {_counted(contaminated(own, items))}")
    return 0


def _counted(found: Sequence[Contamination | None]) -> str:
    kinds = Counter(each.kind for each in found if each is not None)
    return f"{sum(kinds[kind] for kind in REMOVED)} of {len(found)} taken out {dict(kinds)}"
