"""`evalkit export`: run records for other tools."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.export import exporter, formats


def _summary(name: str) -> str:
    return (exporter(name).__doc__ or "").partition("\n")[0].replace("`", "")


HELP = f"""
usage: evalkit export FORMAT RUN... OUT_DIR [json=true]

Write finished runs, from their records, for other tools. A RUN is a folder, a record that `evalkit keep`
made, a model's name or `last`. Nothing is run and nothing leaves this machine. The paths of the files are
printed, one a line or with json=true as JSON.

  evalkit export latex results/records/*/*.jsonl.gz paper/
  evalkit export lm_eval results/runs/fin-r1-q4_k/greedy-hub-all-1a2b3c4d exported/

formats:
{chr(10).join(f"  {name:<17}{_summary(name)}" for name in formats())}

latex and markdown make one table of all the runs; the others make files for each run.
Same records, same bytes: files hold the time of the run and no other. Accuracy is under each
benchmark's own rule unless the format has room for more.

exit code: 0 done, 2 wrong request
"""


def main(arguments: Sequence[str]) -> int:
    from pathlib import Path

    from evalkit.config.options import json_wanted
    from evalkit.export import load_runs
    from evalkit.run.find import find_run
    from evalkit.run.record import RECORD_FILE
    from evalkit.schema import UserError
    from evalkit.text import write_json

    as_json, places = json_wanted("export", arguments)
    if len(places) < 3:
        raise UserError(
            f"export: give the format ({', '.join(formats())}), the runs and a folder: "
            "evalkit export FORMAT RUN_DIR... OUT_DIR"
        )
    format_, *runs, last = places
    chosen, out = exporter(format_), Path(last)
    if (out / RECORD_FILE).exists() or (out.exists() and not out.is_dir()):
        raise UserError(f"export: {out} is a run or a file; give a folder for the exported files last")
    written = chosen.export(load_runs(find_run(run) for run in runs), out)
    if as_json:
        write_json({"format": format_, "files": written})
        return 0
    for path in written:
        print(path)
    return 0
