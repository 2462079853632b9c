"""`evalkit run`: a model through the benchmarks, and the table; `-m`: Hydra's multirun, with any launcher."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.files import CONFIGS
from evalkit.schema import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from evalkit.config.settings import RunSettings
    from evalkit.config.words import Words
    from evalkit.run.forecast import Forecast


HELP = """
usage: evalkit run FILE|NAME|hf:OWNER/REPO/FILE|URL [KEY=VALUE ...]

Generate answers, score them, print the comparison table. Called again after any interruption, the same
command goes on where it stopped.

  FILE                     a GGUF file of your own; a checkpoint's folder (vLLM); a .jsonl of outputs to score
  NAME                     `evalkit models` lists them; model=NAME is the same
  hf:OWNER/REPO/FILE       a GGUF file on Hugging Face, @REVISION after it; or any https address of one
  URL                      an OpenAI-compatible server, http://localhost:11434/v1; of several name=MODEL
  name=NAME                what the model is called in tables (default: the file's name without .gguf)
  benchmark=A,B            `evalkit benchmarks` lists them; mine.csv is one of your own; default: the five of
                           Fin-R1's card, but free text only with a judge
  data=hub|local|sample    hub: pinned downloads (default); local: data.dir=PATH; sample: the bundled records
  limit=N                  scored items per benchmark; a larger limit contains the smaller
  sampling=item|group      group: whole pages, dialogues, files until the limit is reached
  shots=N                  answered questions of the train split before each one (FinQA, ConvFinQA, TFNS, ...)
  protocol=NAME            greedy (default), fin-r1-paper, fin-r1-card; protocol.max_tokens=N ...
  backend.slots=N          requests decoded together; also backend.context, .threads, .binary, .port
  judge=local|endpoint     a judge for what rules cannot decide: see `evalkit judge run --help`
  allow_code=true          run the code in answers to code tasks (benchmark=scenes), in a sandbox without
                           files and network; without it they are unscored
  label_defects=FILE       wrong or ambiguous gold labels of your own (CSV), to see accuracy without them
  plan=true                say what it takes (questions, tokens, download, memory, time) and start nothing
  published=true           at the end, the rows of the published table as well
  track=TOOL               at the end, log settings, figures and record with wandb, mlflow or trackio, offline
  json=true                at the end (or with plan=true), the figures as JSON and nothing else
  run_dir=PATH             default: results/runs/<model>/<run id>
  -m ...                   one run for each of several values: -m fin-r1-q4_k backend.slots=1,4

examples:
  evalkit run smollm2-135m data=sample
  evalkit run my.gguf benchmark=finqa,tfns limit=200
  evalkit run outputs.jsonl benchmark=finqa data=local data.dir=DIR

exit code: 0 done, 1 finished but some examples have no answer or no verdict, 2 wrong request, 130 interrupted
"""


def main(arguments: Sequence[str]) -> int:
    from evalkit.config.options import json_wanted
    from evalkit.config.overrides import compose, names_benchmarks
    from evalkit.config.words import read_words
    from evalkit.run.named import run_overrides

    flags = {"-m", "--multirun"}
    as_json, given = json_wanted("run", arguments)
    words = [argument for argument in given if argument not in flags]
    if len(words) < len(given):
        if as_json:
            raise UserError("run: json=true is for one run: leave it out, or -m")
        return multirun(_each(read_words("run", words)))
    overrides = run_overrides(read_words("run", words))
    return run(compose(overrides), named=names_benchmarks(overrides), as_json=as_json)


def _each(words: Words) -> list[str]:
    """The overrides of one run for each model; Hydra multiplies out what else has several values."""
    from evalkit.run.named import chosen, run_overrides

    if len(words.models) <= 1:
        return run_overrides(words)
    found = [chosen(model, None, words.settings) for model in words.models]
    if all(len(each) == 1 for each in found):
        return [f"+model={','.join(words.models)}", *words.settings]
    if all(each[0] == "+model=gguf" and len(each) == 2 for each in found):
        files = ",".join(each[1].partition("=")[2] for each in found)
        return ["+model=gguf", f"model.path={files}", *words.settings]
    raise UserError(
        "run -m takes several names or several files: evalkit sweep takes both, and compares them"
    )


LEFT_OUT = "{}: left out, as without a judge nothing scores it (name it in benchmark=, or give judge=)"


def run(config: DictConfig, *, named: bool = True, as_json: bool = False) -> int:
    """One run of a composed config; returns the exit code.

    Args:
        named: whether the user named the benchmarks; of the default set, those that nothing would score are
            left out.
        as_json: whether the figures are printed as JSON, and nothing else on standard output.
    """
    from pathlib import Path

    from rich.console import Console

    from evalkit.config.judge import read_judge_settings
    from evalkit.config.overrides import to_dict
    from evalkit.config.settings import read_run
    from evalkit.judge.stage import check_judge, judge_run
    from evalkit.report.label_defects import known_defects
    from evalkit.report.run import conclude
    from evalkit.run.folder import path_of
    from evalkit.run.runner import execute, planned, without_unscored
    from evalkit.run.scoring import run_code
    from evalkit.schema import DEFAULT, EngineUnusable
    from evalkit.text import output_console, show_lines, write_json
    from evalkit.track import check_tracker, track

    messages = Console(stderr=True)
    composed = to_dict(config)
    settings = read_run(composed)
    defects = Path(settings.label_defects) if settings.label_defects else None
    known_defects(defects)  # a file that cannot be read shows before hours of work, and not after
    judge = read_judge_settings(composed["judge"]) if composed.get("judge") else None
    notes: list[str] = []
    if not named and not judge and not settings.backend.is_recorded:
        settings, left_out = without_unscored(settings)
        notes = [LEFT_OUT.format(", ".join(left_out))] if left_out else []
    if settings.plan and as_json:
        write_json({"run": path_of(settings), "left_out": notes, **planned(settings).record()})
        return 0
    if settings.plan:
        show_lines(output_console(), [*_plan_lines(settings, planned(settings)), *notes])
        return 0
    if judge:
        check_judge(judge)
    if settings.track:
        check_tracker(settings.track)
    try:
        finished = execute(settings, messages, notes=notes)
    except EngineUnusable as error:
        messages.print(
            f"evalkit: {error}; finished answers are kept, the same command goes on",
            markup=False,
            soft_wrap=True,
            highlight=False,
        )
        return 1
    if settings.allow_code:
        run_code(finished)
    if judge:
        judge_run(finished, judge, messages)
    shown = {"published": settings.published, "as_json": as_json}
    code = conclude(finished, DEFAULT, output_console(), defects, **shown)
    if line := track(finished.path, settings):
        show_lines(messages, [line])
    return code


def _plan_lines(settings: RunSettings, expected: Forecast) -> Iterator[str]:
    """What would be run, where, and what that takes."""
    from evalkit.run.folder import path_of
    from evalkit.text import printable

    protocol = settings.protocol
    title = printable(settings.model.title)
    yield f"{title}, protocol {protocol.name}, at most {settings.max_tokens:,} tokens"
    yield f"into {path_of(settings)}"
    if expected.questions:
        yield from expected.lines()
    else:
        yield "already complete: nothing is left to ask"


_LAUNCHER = "hydra/launcher="
_PLUGINS = ("joblib", "submitit")


def multirun(overrides: Sequence[str]) -> int:
    """Run every combination of the overrides; returns the worst of their exit codes.

    Raises:
        UserError: an override is wrong, or its launcher is not installed.
    """
    launcher = _launcher(overrides)
    # Jobs on other machines find their instructions below the working directory, which they share.
    shared = Path.cwd() if launcher.startswith("submitit") else None
    with tempfile.TemporaryDirectory(prefix="evalkit-multirun-", dir=shared) as scratch:
        codes = Path(scratch) / "codes"
        codes.mkdir()
        _launch(overrides, Path(scratch), codes)
        return max((int(code.read_text()) for code in codes.iterdir()), default=0)


def _launch(overrides: Sequence[str], scratch: Path, codes: Path) -> None:
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from evalkit.config.overrides import check_choices, explain, names_benchmarks, normalized
    from evalkit.config.search_path import extend_hydra

    named = names_benchmarks(overrides)

    def job(config: DictConfig) -> None:
        # A launcher's jobs are other processes, perhaps elsewhere, and sweepers have their own idea of a
        # job's result: a file passes through all of them.
        code = _job(config, named)
        (codes / uuid.uuid4().hex).write_text(str(code))

    # Hydra keeps a copy of the sweep's config; a run's folder has its own, so this one may go.
    own = [] if any(o.startswith("hydra.sweep.dir=") for o in overrides) else [f"hydra.sweep.dir={scratch}"]
    own += ["hydra/hydra_logging=none", "hydra/job_logging=none"]  # its notes would stand between our tables
    wanted = normalized(overrides, lists=False)
    check_choices(wanted)
    extend_hydra()
    sys.argv = ["evalkit run", "-m", *own, *wanted]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise, and leave the explaining to us
    try:
        hydra.main(config_path=str(CONFIGS), config_name="config", version_base=None)(job)()
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, wanted, sweeping=True)) from error


def _launcher(overrides: Sequence[str]) -> str:
    """The launcher that `overrides` ask for; raises UserError if its plugin is not installed."""
    name = next((o.removeprefix(_LAUNCHER) for o in overrides if o.startswith(_LAUNCHER)), "basic")
    plugin = name.partition("_")[0]
    if plugin in _PLUGINS and importlib.util.find_spec(f"hydra_plugins.hydra_{plugin}_launcher") is None:
        raise UserError(f"{_LAUNCHER}{name} needs its plugin: pip install hydra-{plugin}-launcher")
    return name


def _job(config: DictConfig, named: bool) -> int:
    try:
        return run(config, named=named)
    except UserError as error:
        # One impossible combination must not stop the others.
        print(f"evalkit: {error}", file=sys.stderr)
        return 2
