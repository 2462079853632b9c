"""`evalkit import`: logs of other harnesses to recorded outputs that replay scores."""

from __future__ import annotations

from collections.abc import Sequence

HELP = """
usage: evalkit import FORMAT FILE... OUT.jsonl [benchmark=NAME] [id=FIELD] [turn=FIELD] [text=FIELD]
                      [json=true]

Convert the per-sample logs of another harness to recorded outputs, and score them here:

  evalkit import lm_eval samples_finqa_2026-01-31.jsonl outputs.jsonl benchmark=finqa
  evalkit run outputs.jsonl benchmark=finqa
  evalkit import jsonl inference.json outputs.jsonl benchmark=finance_reasoning

formats:
  lm_eval        lm-evaluation-harness: samples_TASK_DATE.jsonl, written with --log_samples
  inspect_ai     inspect_ai: .eval and .json logs
  jsonl          any .jsonl or .json file with an id and a text in every record, as FinanceReasoning publishes
                 its models' outputs

  benchmark=NAME   the benchmark that the outputs belong to, written to every line
  id=FIELD         the dotted field with the benchmark's id (lm_eval: doc.id, and nothing is needed for the
                   benchmarks that name items by content; inspect_ai: id; jsonl: id, question_id or qid)
  turn=FIELD       the dotted field with the dialogue's turn, from 0 (lm_eval: doc.turn or
                   doc.annotation.turn_ind; inspect_ai: metadata.turn; jsonl: turn; none if there is none)
  text=FIELD       jsonl: the field with the output (text, output, response, completion, prediction, ...)

Repeats and epochs become samples 0, 1, ... (score them all with protocol.samples=N protocol.temperature=T).
Samples that ended without an output are left out and counted. The logs of lm_eval do not tell which outputs
were cut at the token limit, so none of those counts as truncated.

exit code: 0 done, 2 wrong request
"""

_FIELDS = {"benchmark": "", "id": "", "turn": "", "text": ""}
_DEFAULTS = {**_FIELDS, "json": "false"}


def main(arguments: Sequence[str]) -> int:
    from pathlib import Path

    from evalkit.config.options import read_arguments
    from evalkit.config.overrides import names
    from evalkit.importers import Settings, convert, describe, formats
    from evalkit.schema import UserError, nearest
    from evalkit.text import write_json

    # A file may have an equals sign in its name.
    files = [argument for argument in arguments if "=" in argument and Path(argument).exists()]
    rest = [argument for argument in arguments if argument not in files]
    given = read_arguments("import", rest, _DEFAULTS)
    paths = [argument for argument in arguments if argument in files or argument in given.places]
    benchmark = given.text("benchmark")
    if benchmark and benchmark not in names("benchmark"):
        known = names("benchmark")
        raise UserError(f"no benchmark '{benchmark}'.{nearest(benchmark, known)} Known: {', '.join(known)}")
    if len(paths) < 3:
        raise UserError(
            f"import: give the format ({', '.join(formats())}), the logs and the file to write: "
            "evalkit import FORMAT FILE... OUT.jsonl"
        )
    out = Path(paths[-1])
    settings = Settings(**{key: given.text(key) for key in _FIELDS if given.text(key)})
    as_json = given.truth("json")
    summary = convert(paths[0], [Path(path) for path in paths[1:-1]], out, settings)
    if as_json:
        write_json({"out": out, "written": summary.written, "left_out": summary.left_out})
        return 0
    print(describe(summary, out))
    return 0
