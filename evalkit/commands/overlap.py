"""`evalkit overlap`: evaluated examples looked for in a training file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evalkit.schema import UserError

if TYPE_CHECKING:
    from evalkit.overlap.index import EvaluatedExample


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
  json=true                the counts and accuracies as JSON
  out=FILE.csv             write every example with what was found of it, and where

`evalkit audit` says what is known of the published models' training data.

exit code: 0 done (whatever was found), 2 wrong request
"""

_DEFAULTS = {"train": "", "n": "13", "out": "", "json": "false"}


def main(arguments: Sequence[str]) -> int:
    from evalkit.config.options import everything, read_arguments
    from evalkit.files import write_atomically
    from evalkit.overlap import check_overlap, overlap_markdown, summaries, to_csv
    from evalkit.overlap.index import texts
    from evalkit.text import output_console, show_markdown, write_json

    given = read_arguments("overlap", arguments, _DEFAULTS, hand_on=everything)
    train = given.path("train")
    if train is None:
        raise UserError("overlap: give the training file: train=FILE (.jsonl, .json, .csv or .txt)")
    n, as_json = given.whole("n", least=5, most=50), given.truth("json")
    if not train.is_file():
        raise UserError(f"overlap: train={train}: there is no such file")
    asked, titles, rules = _asked(given.places, given.handed_on)
    matches = check_overlap(asked, texts(train), n)
    out = given.path("out")
    if out:
        try:
            write_atomically(out, to_csv(asked, matches))
        except OSError as error:
            raise UserError(f"overlap: out={out} cannot be written: {error.strerror}") from error
    found = summaries(asked, matches, rules)
    if as_json:
        write_json({"train": train.name, "n": n, "titles": titles, "benchmarks": found})
    else:
        show_markdown(output_console(), overlap_markdown(found, titles, train.name, n))
    return 0


def _asked(
    runs: Sequence[str], overrides: Sequence[str]
) -> tuple[list[EvaluatedExample], Mapping[str, str], Mapping[str, str]]:
    """The examples of a run or a benchmark; by benchmark, its title and the rule that counts in the run."""
    from pathlib import Path

    from evalkit.metrics import scored_benchmarks
    from evalkit.overlap.index import from_examples, from_run
    from evalkit.run.record import load_run

    if len(runs) == 1 and not overrides:
        run = load_run(Path(runs[0]))
        titles = {name: benchmark.title for name, benchmark in run.info.benchmarks.items()}
        return from_run(run), titles, {name: rule for name, (_, rule) in scored_benchmarks(run).items()}
    if runs or not any(override.startswith("benchmark=") for override in overrides):
        raise UserError("overlap: give either a run's folder or benchmark=NAME with its settings")

    from evalkit.config.overrides import compose, to_dict
    from evalkit.config.settings import read_questions
    from evalkit.run.runner import load_data

    settings = read_questions(to_dict(compose(overrides)))
    titles = {name: benchmark.title for name, benchmark in settings.benchmark.items()}
    data = load_data(settings)
    return [each for loaded in data.values() for each in from_examples(loaded.examples)], titles, {}
