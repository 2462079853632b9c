"""`evalkit distill`: a teacher's answers, filtered twice, as training sets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.schema import UserError
from evalkit.text import printable

if TYPE_CHECKING:
    from evalkit.config.judge import JudgeSettings
    from evalkit.config.options import Arguments
    from evalkit.config.settings import RunSettings
    from evalkit.distill.manifest import Manifest
    from evalkit.distill.pipeline import Options
    from evalkit.run.folder import Finished

HELP = """
usage: evalkit distill RUN_DIR... out=DIR [judge=local judge.model=NAME] [KEY=VALUE ...]
       evalkit distill model=TEACHER benchmark=A,B split=train out=DIR [judge=...] [KEY=VALUE ...]
       evalkit distill sources [json=true]

From a teacher's answers to training sets, as Fin-R1's card tells it: is the answer right (a rule where one
decides, else the judge), and if it is, is the reasoning good (the judge, by seven criteria). Good and good
goes into the set for fine-tuning (SFT), all else into the set for reinforcement learning (RL), and every
verdict is kept with its reason. Duplicates and evaluation items are taken out before anything is written.

With RUN_DIR: of finished runs of any engine, also of outputs made elsewhere (`evalkit import`, then
`evalkit run OUT.jsonl`); several runs are several teachers or sources. With a model: asks it first, as
`evalkit run` does with the same settings, under protocol=distill (DeepSeek-R1's own: temperature 0.6, no
system prompt); ended at any moment, the same command goes on. Where none of the first 20 answers has its
reasoning between <think> and </think>, no more are asked for: no set could be made of them.

  out=DIR                  the data set's folder: README.md, manifest.json, and for each format Parquet files
  judge=local|endpoint     see `evalkit judge run --help`; judge.reasoning=criteria (default) or holistic.
                           Without: what `evalkit judge run RUN_DIR judge.reasoning=...` has said
  unjudged=true            write the SFT set although nobody checked its reasoning; said inside
  accept_licences=true     also of sources that forbid commercial use or state no licence; said inside
  against=A,B              evaluation splits whose items are taken out; default: the five of Fin-R1's card.
                           against=none looks for nothing; said inside
  against_data=NAME        hub, local (with against_dir=DIR) or sample: where from; default: as the run's data
  split=NAME               with a model: of every benchmark, e.g. train, where benchmark.NAME.split= does not
                           say another
  validation=0.05          the share of pages that is held out, by hash under seed=
  json=true                the manifest as JSON

`distill sources` shows the ten sources of Fin-R1-Data, what the card counts of each, and an audit of that.

exit code: 0 done, 1 written but some answers or verdicts are missing, 2 wrong request, 130 interrupted
"""

_DEFAULTS = {
    "out": "",
    "unjudged": "false",
    "accept_licences": "false",
    "against": "",
    "against_data": "",
    "against_dir": "",
    "split": "",
    "validation": "0.05",
    "json": "false",
}
_PROTOCOL = "protocol=distill"
_SPLIT_OF_ONE = re.compile(r"\+*benchmark\.[^.=]+\.split=")


def main(arguments: Sequence[str]) -> int:
    from rich.console import Console

    from evalkit.config.options import everything, read_arguments
    from evalkit.distill.pipeline import ReasoningWatch, distill, prepared
    from evalkit.run.runner import execute
    from evalkit.schema import EngineUnusable
    from evalkit.text import output_console, show_markdown, write_json

    asked = read_arguments("distill", arguments, _DEFAULTS, hand_on=everything)
    if asked.places == ["sources"]:
        return _sources(asked)
    judge = [each for each in asked.handed_on if each.lstrip("+").startswith(("judge=", "judge."))]
    rest = [each for each in asked.handed_on if each not in judge]
    messages = Console(stderr=True)
    options = _options(asked, rest)
    judge_settings = _judge(judge)
    if _are_runs(asked.places, rest):
        runs = _finished(asked, rest)
        ready = prepared([run.settings for run in runs], options)
    else:
        settings = _run_settings(asked, rest)
        ready = prepared([settings], options)  # what is wrong with the request shows before hours of work
        try:
            runs = [execute(settings, messages, watch=ReasoningWatch())]
        except EngineUnusable as error:
            kept = "finished answers are kept, the same command goes on"
            messages.print(f"evalkit: {error}; {kept}", markup=False, soft_wrap=True, highlight=False)
            return 1
    manifest = distill(runs, ready, judge_settings, options, messages)
    if asked.truth("json"):
        write_json(manifest)
    else:
        show_markdown(output_console(), _summary(manifest, options.out))
    return int(_is_incomplete(manifest))


def _options(asked: Arguments, rest: Sequence[str]) -> Options:
    from evalkit.config.overrides import names
    from evalkit.distill.contamination import FIVE
    from evalkit.distill.pipeline import Options
    from evalkit.schema import nearest

    out = asked.path("out")
    if out is None:
        raise UserError("distill: say where the data set goes: out=DIR")
    against = tuple(asked.names("against")) if asked.text("against") else FIVE
    known = names("benchmark")
    for name in against:
        if name not in known and against != ("none",):
            raise UserError(f"distill: against={printable(name)}: no such benchmark.{nearest(name, known)}")
    source = asked.text("against_data") or None
    if source not in (None, "hub", "local", "sample"):
        raise asked.refusal("against_data", "write hub, local or sample")
    seeds = [each.partition("=")[2] for each in rest if each.startswith("seed=")]
    return Options(
        out=out,
        unjudged=asked.truth("unjudged"),
        accept_licences=asked.truth("accept_licences"),
        against=() if against == ("none",) else against,
        against_data=source,
        against_dir=str(folder) if (folder := asked.path("against_dir")) else None,
        seed=int(seeds[-1]) if seeds and seeds[-1].isdecimal() else 0,
        validation=asked.number("validation", -1e-9, 1),
    )


def _judge(given: Sequence[str]) -> JudgeSettings | None:
    """The judge that is asked, by default about the seven criteria as well; None for none."""
    from evalkit.config.judge import judge_settings

    if not given:
        return None
    asks = any(each.lstrip("+").startswith("judge.reasoning=") for each in given)
    return judge_settings([*given, *([] if asks else ["judge.reasoning=criteria"])])


def _are_runs(places: Sequence[str], rest: Sequence[str]) -> bool:
    """Whether finished runs are named, and no model that is to be asked."""
    if any(each.lstrip("+").startswith("model=") for each in rest):
        return False
    if not places:
        raise UserError(
            "distill: give the folder of a finished run, or a model: evalkit distill RUN_DIR out=DIR"
        )
    if records := [place for place in places if place.endswith(".jsonl.gz")]:
        raise UserError(f"distill: {printable(records[0])} is a record: give the folder of its run")
    return all(_is_run(place) for place in places)


def _is_run(place: str) -> bool:
    from evalkit.run.find import LAST

    folder = Path(place).expanduser()
    return place == LAST or any((each / "config.yaml").is_file() for each in (folder, *folder.glob("*/")))


def _finished(asked: Arguments, rest: Sequence[str]) -> list[Finished]:
    from evalkit.run.find import find_run
    from evalkit.run.runner import finished_run

    given = [each for each in rest if not each.startswith(("seed=", "data.dir="))]
    if given or asked.text("split"):
        setting = given[0] if given else f"split={asked.text('split')}"
        raise UserError(
            f"distill: {printable(setting)}: the questions of a finished run are what they are: leave it "
            "out, or name a model to ask"
        )
    moved = [each.partition("=")[2] for each in rest if each.startswith("data.dir=")]
    return [finished_run(find_run(place), moved[-1] if moved else None) for place in asked.places]


def _run_settings(asked: Arguments, rest: Sequence[str]) -> RunSettings:
    """The run that is to be filtered: as of `evalkit run`, under the teacher's protocol and on one split."""
    from evalkit.benchmarks import with_split
    from evalkit.config.overrides import compose, names_benchmarks, to_dict
    from evalkit.config.settings import read_run
    from evalkit.config.words import read_words
    from evalkit.run.named import run_overrides

    overrides = run_overrides(read_words("distill", [*asked.places, *rest]))
    if not names_benchmarks(overrides):
        raise UserError("distill: name the sources: benchmark=A,B split=train")
    if not any(each.startswith("protocol=") for each in overrides):
        overrides = [_PROTOCOL, *overrides]
    settings = read_run(to_dict(compose(overrides)))
    split = asked.text("split")
    if not split:
        return settings
    own = {each.lstrip("+").split(".")[1] for each in overrides if _SPLIT_OF_ONE.match(each)}
    benchmarks = {
        name: each if name in own else with_split(each, split) for name, each in settings.benchmark.items()
    }
    return settings.model_copy(update={"benchmark": benchmarks})


def _is_incomplete(manifest: Manifest) -> bool:
    """Whether an answer or a verdict that was asked for is missing."""
    return any(
        each.counts.no_answer
        or each.counts.answer_undecided
        or (each.counts.reasoning_undecided and each.reasoning in ("done", "forced"))
        for each in manifest.sources.values()
    )


def _summary(manifest: Manifest, out: Path) -> str:
    """The counts, and where everything is."""
    from evalkit.distill.card import counts_markdown
    from evalkit.text import code

    parts = [
        *manifest.notices,
        counts_markdown(manifest),
        f"Written: {code(str(out), cap=200)}, see README.md there.",
    ]
    return "\n\n".join(parts) + "\n"


def _sources(asked: Arguments) -> int:
    """The card's ten sources, and the audit of their counts."""
    from evalkit.distill.sources import audit, card_data, printed_accuracy, sources_markdown
    from evalkit.text import output_console, show_markdown, write_json

    if asked.handed_on:
        raise UserError(
            f"distill sources: it takes json=true only: leave {printable(asked.handed_on[0])} out"
        )
    data = card_data()
    findings = audit(data, printed_accuracy())
    if asked.truth("json"):
        write_json({"data": data, "audit": findings})
        return 0
    lines = [f"- {'Holds' if each.holds else 'Does not hold'}: {each.text}" for each in findings]
    modules = ", ".join(data.modules)
    note = f"The card names four modules ({modules}), and not which source belongs to which."
    show_markdown(output_console(), "\n\n".join([sources_markdown(data), note, "\n".join(lines)]) + "\n")
    return 0
