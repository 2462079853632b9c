"""`evalkit loglikelihood`: which option a file finds likeliest, without generating anything."""

from __future__ import annotations

from collections.abc import Sequence

HELP = r"""
usage: evalkit loglikelihood RUN FILE.gguf... [KEY=VALUE ...]

Put the prompts of a run to every file and score each option by the log-probability of \boxed{OPTION} right
after the prompt, without reasoning: accuracy of the likeliest option, mean probability of the right one, and
how well calibrated that probability is (expected calibration error). For benchmarks whose answers are a
closed set: tfns, the choices of ant_finance, and yes/no questions, which stand apart from a benchmark's
others. Beside it, for the file that made the run, the accuracy of its generated answers.

  reference=FILE.gguf      the file that made the run (default: as its folder says)
  benchmark=[A,B]          only these of the run's (default: all that have options)
  limit=N                  items per benchmark at most (default: all)
  out=results/fidelity     the folder for figures and for what was computed
  threads=N                of the processor (default: its cores)
  gpu_layers=-1            layers on the GPU, where the library has one; -1: all
  data.dir=PATH            where the run's local data is now, if it has moved
  json=true                print what loglikelihood.json holds

example:
  evalkit loglikelihood results/runs/fin-r1-f16/greedy-hub-200-1a2b3c4d ladder/*.gguf benchmark=[tfns]

exit code: 0 done, 2 wrong request, 130 interrupted
"""

_DEFAULTS = {
    "reference": "",
    "benchmark": "",
    "limit": "",
    "out": "results/fidelity",
    "threads": "",
    "gpu_layers": "-1",
    "data.dir": "",
    "json": "false",
}


def main(arguments: Sequence[str]) -> int:
    from pathlib import Path

    from evalkit.config.options import read_arguments
    from evalkit.run.find import find_run
    from evalkit.schema import UserError

    given = read_arguments("loglikelihood", arguments, _DEFAULTS)
    if len(given.places) < 2:
        raise UserError("loglikelihood: give a run and files: evalkit loglikelihood RUN FILE.gguf...")
    run_path = find_run(given.places[0])
    files = [Path(place).expanduser() for place in given.places[1:]]

    from evalkit.fidelity.engine import ends_are_said, gpu_layers, require_library, threads
    from evalkit.fidelity.gguf import check_file, reference_file
    from evalkit.fidelity.likelihood import score_options
    from evalkit.report.fidelity import likelihoods_json, show_likelihoods, write_likelihoods
    from evalkit.run.runner import read_run
    from evalkit.text import output_console, write_json

    require_library()
    as_json = given.truth("json")
    out = given.path("out")
    assert out is not None
    run = read_run(run_path, given.text("data.dir") or None)
    reference = reference_file(run, given.path("reference"))
    headers = [check_file(file, reference, 0, None)[0] for file in files]
    with ends_are_said(resumable=True):
        found = score_options(
            run,
            reference,
            headers,
            out,
            limit=given.optional_whole("limit"),
            benchmarks=given.names("benchmark"),
            threads=threads(given),
            gpu_layers=gpu_layers(given),
        )
    write_likelihoods(found)
    if as_json:
        write_json(likelihoods_json(found))
        return 0
    console = output_console()
    show_likelihoods(found, console)
    console.print(f"loglikelihood.json is in {found.folder}", highlight=False, markup=False)
    return 0
