"""`evalkit benchmarks`: what can be named after benchmark=."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evalkit.benchmarks.questions import Question

HELP = """
usage: evalkit benchmarks [json=true]
       evalkit benchmarks show FILE|NAME [KEY=VALUE ...]

List the benchmarks that `benchmark=NAME` knows: split, size, licence, source. Each has a data card,
benchmarks/<name>/README.md. Those of your folders (EVALKIT_PATH, evalkit.yaml) and packages come last. With
json=true, here and with show, the same as JSON.

show  what a set of your own becomes before anything is asked: which column is taken for what, how many
      answers of each kind, and three prompts as the model gets them. A file (CSV, TSV, JSON, JSONL, Parquet,
      Excel) or hf:OWNER/DATASET:SPLIT. Settings of the set: columns, answers, labels, language, prompt

examples:
  evalkit benchmarks show questions.csv
  evalkit benchmarks show fragen.csv columns.question=Frage columns.answer=Antwort

exit code: 0 done, 2 wrong request
"""


def main(arguments: Sequence[str]) -> int:
    from evalkit.config.options import json_wanted
    from evalkit.schema import UserError

    as_json, rest = json_wanted("benchmarks", arguments)
    if rest and rest[0] == "show":
        return _show(rest[1:], as_json)
    if rest:
        raise UserError(f"benchmarks: '{rest[0]}': nothing, or show FILE")
    return _list(as_json)


_PROMPTS = 3
_PROMPT_CHARS = 1_500


def _show(arguments: Sequence[str], as_json: bool) -> int:
    from collections import Counter

    from evalkit.benchmarks.questions import Settings, prompt_of, questions, read_table
    from evalkit.config.overrides import compose, to_dict
    from evalkit.config.settings import read_questions
    from evalkit.schema import UserError
    from evalkit.text import output_console, printable, write_json

    if not arguments or "=" in arguments[0]:
        raise UserError("benchmarks show: name a file of questions: evalkit benchmarks show questions.csv")
    what, *settings = arguments
    name = next(iter(to_dict(compose(["data=sample", f"benchmark={what}"]))["benchmark"]))
    words = ["data=sample", f"benchmark={what}", *(f"benchmark.{name}.{each}" for each in settings)]
    block = read_questions(to_dict(compose(words))).benchmark[name]
    if not isinstance(block, Settings):
        raise UserError(
            f"{what} is a benchmark of its own kind: see its data card, benchmarks/{name}/README.md"
        )
    table = read_table(block)
    found = questions(block, table)
    kinds = Counter(question.kind for question in found)
    if as_json:
        record = {"name": name, "rows": len(table.records), "with_answer": len(found), "answers": kinds}
        read_as = {"columns": table.columns, "options": table.letters, "labels": table.labels}
        prompts = [
            {"kind": each.kind, "answer": each.answer, "prompt": prompt_of(each, block)}
            for each in _one_of_each(found)[:_PROMPTS]
        ]
        write_json({**record, **read_as, "prompts": prompts})
        return 0
    console = output_console()

    def say(line: str) -> None:
        console.print(printable(line, _PROMPT_CHARS), highlight=False, markup=False)

    say(f"{name}: {len(table.records)} rows, {len(found)} with an answer")
    columns = [f"{field} = {column}" for field, column in table.columns.items()]
    options = [f"options = {', '.join(table.letters.values())}"] if table.letters else []
    say("columns: " + "; ".join([*columns, *options]))
    say("answers: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
    if table.labels:
        say("labels: " + ", ".join(table.labels))
    if kinds["text"]:
        say("free text is scored by a judge only: judge=local judge.model=NAME")
    for question in _one_of_each(found)[:_PROMPTS]:
        console.rule()
        for line in prompt_of(question, block)[:_PROMPT_CHARS].splitlines():
            say(line)
        say(f"[{question.kind}; right: {question.answer}]")
    return 0


def _one_of_each(found: Sequence[Question]) -> list[Question]:
    """The questions with one of each kind first."""
    first = {question.kind: question for question in reversed(found)}
    kinds = [question for question in found if first[question.kind] is question]
    return [*kinds, *(question for question in found if question not in kinds)]


def _list(as_json: bool) -> int:
    from evalkit.config.extensions import listed
    from evalkit.config.overrides import compose, own_names, to_dict
    from evalkit.config.settings import read_questions
    from evalkit.text import output_console, show_names, write_json

    usual = list(read_questions(to_dict(compose(["data=sample"]))).benchmark)
    others = [name for name in own_names("benchmark") if name not in usual]
    every = ",".join([*usual, *others])
    settings = read_questions(to_dict(compose(["data=sample", f"benchmark=[{every}]"])))
    if as_json:
        shown = ("title", "split", "records", "items", "licence", "source")
        blocks = settings.benchmark.items()
        write_json([{"name": name, **{key: getattr(each, key) for key in shown}} for name, each in blocks])
        return 0
    rows = [
        (
            name,
            each.title,
            each.split,
            *("-" if count is None else f"{count:,}" for count in (each.records, each.items)),
            *(each.licence or "-", each.source or "-"),
        )
        for name, each in settings.benchmark.items()
    ]
    header = ("name", "title", "split", "records", "scored items", "licence", "source")
    console = output_console()
    show_names(console, "", header, rows)
    if added := listed("benchmark"):
        console.print()
        show_names(console, "From your folders and packages", ("name", "title", "from"), added)
    return 0
