"""`evalkit import`: logs of other harnesses to recorded outputs that replay scores."""

from __future__ import annotations

from collections.abc import Sequence

HELP = """
usage: evalkit import FORMAT FILE... OUT.jsonl [benchmark=NAME] [id=FIELD] [turn=FIELD]

Convert the per-sample logs of another harness to recorded outputs, and score them here:

  evalkit import lm_eval samples_finqa_2026-01-31.jsonl outputs.jsonl benchmark=finqa
  evalkit run +model=replay model.path=outputs.jsonl benchmark=finqa

formats:
  lm_eval        lm-evaluation-harness: samples_TASK_DATE.jsonl, written with --log_samples
  inspect_ai     inspect_ai: .eval and .json logs

  benchmark=NAME   the benchmark that the outputs belong to, written to every line
  id=FIELD         the dotted field with the benchmark's id (lm_eval: doc.id, and nothing is needed for the
                   benchmarks that name items by content; inspect_ai: id)
  turn=FIELD       the dotted field with the dialogue's turn, from 0 (lm_eval: doc.turn or
                   doc.annotation.turn_ind; inspect_ai: metadata.turn; none if there is no such field)

Repeats and epochs become samples 0, 1, ... (score them all with protocol.samples=N protocol.temperature=T).
Samples that ended without an output are left out and counted. The logs of lm_eval do not tell which outputs
were cut at the token limit, so none of those counts as truncated.

exit code: 0 done, 2 wrong request
"""

_SETTINGS = ("benchmark", "id", "turn")


def main(arguments: Sequence[str]) -> int:
    from pathlib import Path

    from evalkit.config import names
    from evalkit.errors import UserError, nearest
    from evalkit.importers import formats
    from evalkit.importers.common.convert import convert, describe
    from evalkit.importers.common.outputs import Settings

    paths, settings = _parse(arguments)
    benchmark = settings.get("benchmark")
    if benchmark is not None and benchmark not in names("benchmark"):
        known = names("benchmark")
        raise UserError(f"no benchmark '{benchmark}'.{nearest(benchmark, known)} Known: {', '.join(known)}")
    if len(paths) < 3:
        raise UserError(
            f"import: give the format ({', '.join(formats())}), the logs and the file to write: "
            "evalkit import FORMAT FILE... OUT.jsonl"
        )
    out = Path(paths[-1])
    summary = convert(paths[0], [Path(path) for path in paths[1:-1]], out, Settings(**settings))
    print(describe(summary, out))
    return 0


def _parse(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Paths and settings apart. An unknown KEY=VALUE is an error unless there is such a file."""
    from pathlib import Path

    from evalkit.errors import UserError, nearest

    paths: list[str] = []
    settings: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if equals and key in _SETTINGS:
            if not value:
                raise UserError(f"import: {key}= has no value")
            settings[key] = value
        elif equals and key.isidentifier() and not Path(argument).exists():
            raise UserError(
                f"import: no setting '{key}'.{nearest(key, _SETTINGS)} Settings: {', '.join(_SETTINGS)}"
            )
        else:
            paths.append(argument)
    return paths, settings
