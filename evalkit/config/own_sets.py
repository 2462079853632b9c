"""Sets of questions of one's own: `benchmark=finqa,mine.csv`, or `benchmark=mine benchmark.mine.file=FILE`.

A set's config is benchmark/questions.yaml under the set's own name: its file's stem, unless it is given.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from evalkit.schema import UserError
from evalkit.text import printable

READER = "questions"
SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".xlsx")


def own_sets(overrides: Sequence[str], known: Sequence[str]) -> list[str]:
    """The overrides with every set of one's own as Hydra can compose it; others stay as they are.

    Args:
        known: the benchmarks that have a config.

    Raises:
        UserError: two sets are called the same.
    """
    chosen = next((o for o in reversed(overrides) if o.startswith("benchmark=")), "")
    words = _words(chosen.partition("=")[2])
    files = {o.split(".")[1] for o in overrides if re.match(r"benchmark\.[^.=]+\.file=", o)} - {READER}
    own = {word: _name(word) for word in words if _is_file(word) or (word in files and word not in known)}
    if not own:
        return list(overrides)
    names = [*(word for word in words if word not in own), *own.values()]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"two sets of questions are called {twice}: benchmark=NAME benchmark.NAME.file=FILE")
    given = {word for word in own if _is_file(word)}
    added = [
        line
        for word, name in own.items()
        for line in (
            f"+benchmark@benchmark.{name}={READER}",
            f"benchmark.{name}.name={name}",
            *([f"benchmark.{name}.file={word}"] if word in given else []),
        )
    ]
    rest = f"benchmark=[{','.join(word for word in words if word not in own)}]"
    others = [override for override in overrides if override is not chosen]
    return [rest, *added, *others]


def _words(value: str) -> list[str]:
    """The names in `a`, `a,b` or `[a,b]`; quotes around one are taken off."""
    listed = value.strip().removeprefix("[").removesuffix("]")
    return [word.strip().strip("'\"") for word in listed.split(",") if word.strip()]


def _is_file(word: str) -> bool:
    return word.lower().endswith(SUFFIXES) or word.startswith("hf:")


def _name(word: str) -> str:
    """What a set is called: its file's stem, in letters that a setting's key may have."""
    if not _is_file(word):
        return word
    stem = PurePath(word.removeprefix("hf:").partition(":")[0]).name
    stem = stem.rpartition(".")[0] if stem.lower().endswith(SUFFIXES) else stem
    name = re.sub(r"\W+", "_", stem, flags=re.ASCII).strip("_").lower()
    if not name or not name[0].isalpha():
        raise UserError(
            f"{printable(word)}: give the set a name: benchmark=NAME benchmark.NAME.file={printable(word)}"
        )
    return name
