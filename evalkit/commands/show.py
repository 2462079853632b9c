"""`evalkit show`: what a run answered, and why each answer was judged as it was, in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

HELP = """
usage: evalkit show RUN [ID] [wrong=true] [benchmark=NAME] [prompt=true] [data.dir=PATH]

Without ID a line for every answer: + right, - wrong, ? neither; the example's id, the gold answer, what was
read as the answer, and the verdict. With ID (or the beginning of one) that answer in full: the question, the
gold answer, what was read and why it counts as right or wrong, and the output with the answer marked.
RUN is a folder, a record, a model's name or `last`; a run that is still at work has the answers so far.

  wrong=true               only the answers that are wrong
  benchmark=NAME           of one benchmark only
  prompt=true              with ID: all that the model was told, too
  data.dir=PATH            where the run's local data is now, if it has moved
  json=true                the answers in full as JSON

examples:
  evalkit show last wrong=true benchmark=finqa
  evalkit show last HBQ/2018/page_41.pdf-1

exit code: 0 done, 2 wrong request
"""

_DEFAULTS = {"wrong": "false", "benchmark": "", "prompt": "false", "data.dir": "", "json": "false"}


def main(arguments: Sequence[str]) -> int:
    from evalkit.config.options import read_arguments
    from evalkit.report.answers import answer_parts, answer_records, chosen, list_lines
    from evalkit.run.find import find_run
    from evalkit.run.runner import run_as_it_is
    from evalkit.schema import UserError, nearest
    from evalkit.text import output_console, printable, write_json

    given = read_arguments("show", arguments, _DEFAULTS)
    if not 1 <= len(given.places) <= 2:
        raise UserError("show: give a run, and perhaps an example's id: evalkit show RUN [ID]")
    name, id_ = given.places[0], given.places[1] if len(given.places) > 1 else None
    wrong, prompt, benchmark = given.truth("wrong"), given.truth("prompt"), given.text("benchmark") or None
    run = run_as_it_is(find_run(name), given.text("data.dir") or None)
    if benchmark is not None and benchmark not in run.info.benchmarks:
        known = run.info.benchmarks
        raise UserError(
            f"show: no benchmark {printable(benchmark)!r} in this run: {', '.join(known)}."
            f"{nearest(benchmark, known)}"
        )
    answers = chosen(run, id_=id_, benchmark=benchmark, wrong=wrong)
    as_json, console = given.truth("json"), output_console()
    if id_ is None and not as_json:
        for line in list_lines(run, answers):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        return 0
    if not answers and id_ is not None:
        hint = nearest(id_, {item.id for item in run.items})
        which = "wrong answer" if wrong else "answer"
        raise UserError(f"show: no {which} to {printable(id_)!r} in this run.{hint}")
    if as_json:
        write_json(list(answer_records(run, answers, prompt=prompt)))
        return 0
    for number, (item, sample) in enumerate(answers):
        if number:
            console.print()
        for part in answer_parts(run, item, sample, prompt=prompt, width=min(console.width, 120)):
            console.print(part, soft_wrap=True, highlight=False)
    return 0
