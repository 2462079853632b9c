"""`evalkit overlap`: evaluated examples looked for in a training file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evalkit.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.overlap.asked import Asked

HELP = """
usage: evalkit overlap RUN_DIR train=FILE [n=13] [out=FILE.csv]
       evalkit overlap benchmark=NAME train=FILE [n=13] [out=FILE.csv] [data=... limit=N ...]

Look for evaluated examples in a training file, by n-grams of words (of characters in Chinese), as
contamination reports do: which share is there exactly, which nearly (70 % of the question's n-grams or more);
with a run, its accuracy with and without these. An example about a page is found where its question and its
page are in one training record. Reworded examples are not found.

  RUN_DIR                  a run's folder, or a record.jsonl.gz
  benchmark=NAME           all its examples; with data=, limit=, seed= and so on as for `evalkit run`
  train=FILE               .jsonl, .json (a list), .csv or .txt, whatever its columns are called
  n=N                      words of an n-gram, 5 to 50
  out=FILE.csv             write every example with what was found of it, and where

`evalkit audit` says what is known of the published models' training data.

exit code: 0 done (whatever was found), 2 wrong request
"""

_OWN = ("train", "n", "out")


def main(arguments: Sequence[str]) -> int:
    from pathlib import Path

    from evalkit.overlap.check import N, check
    from evalkit.overlap.report import summaries, to_csv, to_markdown
    from evalkit.overlap.training import texts
    from evalkit.runner.folder import write_atomically

    options = dict(argument.partition("=")[::2] for argument in arguments if _key(argument) in _OWN)
    rest = [argument for argument in arguments if _key(argument) not in _OWN]
    if not options.get("train"):
        raise UserError("overlap: give the training file: train=FILE (.jsonl, .json, .csv or .txt)")
    train, n = Path(options["train"]), _words(options.get("n", str(N)))
    if not train.is_file():
        raise UserError(f"overlap: train={train}: there is no such file")
    asked, titles = _asked(rest)
    matches = check(asked, texts(train), n)
    if options.get("out"):
        try:
            write_atomically(Path(options["out"]), to_csv(asked, matches))
        except OSError as error:
            raise UserError(f"overlap: out={options['out']} cannot be written: {error.strerror}") from error
    print(to_markdown(summaries(asked, matches), titles, train.name, n), end="")
    return 0


def _key(argument: str) -> str:
    key, equals, _ = argument.partition("=")
    return key if equals else ""


def _words(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 2 and 5 <= int(text) <= 50):
        raise UserError(f"overlap: n={text}: give a number of words from 5 to 50")
    return int(text)


def _asked(arguments: Sequence[str]) -> tuple[list[Asked], Mapping[str, str]]:
    """The examples and the benchmarks' titles, from a run's record or from the benchmark itself."""
    from pathlib import Path

    from evalkit.overlap.asked import from_examples, from_record
    from evalkit.records.file import read_record

    runs = [argument for argument in arguments if not _key(argument)]
    if len(runs) == 1 and len(arguments) == 1:
        record = read_record(_record_file(Path(runs[0])))
        titles = {name: str(block.get("title", name)) for name, block in record.head.benchmarks.items()}
        return from_record(record), titles
    if runs or not any(_key(argument) == "benchmark" for argument in arguments):
        raise UserError("overlap: give either a run's folder or benchmark=NAME with its settings")

    from evalkit.config import compose, to_dict
    from evalkit.runner.run import load_data

    config = to_dict(compose(arguments))
    titles = {name: str(block["title"]) for name, block in config["benchmark"].items()}
    data = load_data(config)
    return [each for loaded in data.values() for each in from_examples(loaded.examples)], titles


def _record_file(path: Path) -> Path:
    from evalkit.records.file import FILE

    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"overlap: {file} is not there: `evalkit score RUN_DIR` makes a run's record")
    return file
