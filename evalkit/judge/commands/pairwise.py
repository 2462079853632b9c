"""`evalkit judge pairwise`: two runs' free-text answers against each other, in both orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import UserError
from evalkit.judge.options import Given, given, whole

if TYPE_CHECKING:
    from rich.console import Console

    from evalkit.judge.pairwise import Match
    from evalkit.judge.pairwise_report import Pairwise
    from evalkit.judge.settings import JudgeSettings

HELP = """
usage: evalkit judge pairwise RUN_A RUN_B judge=NAME [n=200] [KEY=VALUE ...]

Which of two models answers free-text questions better, by a judge: both runs' answers to the same examples
are put before it, each pair in both orders. A pair is won only if both orders say so; one that the order
decides counts as a tie and as position-inconsistent. Prints A's wins, ties and losses, its win rate with a
clustered 95 % interval, an exact sign test, and the judge's position bias; writes pairwise.json and
pairwise.md into RUN_A, or out=DIR.

  judge=local judge.model=NAME        a model that can be named here, e.g. smollm2-135m
  judge=endpoint judge.base_url=URL   an OpenAI-compatible service
  n=200                    pairs per benchmark, a random sample; n=all: every one
  benchmark=NAME           of one benchmark only (default: every one with free text)
  seed=0                   of the sample
  out=DIR                  where the results go
  data.dir=PATH            where the runs' local data is now, if it has moved

exit code: 0 done, 1 some verdicts are missing (counted, left out), 2 wrong request
"""

_DEFAULTS = {"n": "200", "benchmark": "", "seed": "0", "out": "", "data.dir": ""}


def main(arguments: Sequence[str]) -> int:
    asked = given("pairwise", arguments, _DEFAULTS)
    n = None if asked.options["n"] == "all" else whole("pairwise", "n", asked.options["n"])
    seed = whole("pairwise", "seed", asked.options["seed"], least=0)
    if len(asked.folders) != 2:
        raise UserError("judge pairwise: give two run folders: evalkit judge pairwise RUN_A RUN_B judge=NAME")
    if asked.folders[0].resolve() == asked.folders[1].resolve():
        raise UserError(f"judge pairwise: {asked.folders[0]} is given twice: give two different runs")

    from evalkit.judge.settings import settings_of

    settings = settings_of(asked.judge)
    names, pairs = _pairs(asked, settings, n, seed)
    return _judge(settings, names, pairs, {"judge": settings.as_json(), "n": n, "seed": seed}, _folder(asked))


def _judge(
    settings: JudgeSettings,
    names: tuple[str, str],
    pairs: Mapping[str, Sequence[Match]],
    how: Mapping[str, Any],
    out: Path,
) -> int:
    from rich.console import Console

    from evalkit.judge.open import open_judge
    from evalkit.judge.pairwise import play, tally
    from evalkit.judge.pairwise_report import Pairwise
    from evalkit.judge.progress import Progress
    from evalkit.judge.show import show_lines
    from evalkit.judge.stage import LOG
    from evalkit.report.console import output_console

    progress = Progress(Console(stderr=True))
    with open_judge(settings, out / LOG, progress.verdict) as judge:
        played = {benchmark: play(of_one, judge) for benchmark, of_one in pairs.items()}
        about = {"name": judge.name, "identity": judge.identity}
        stopped = judge.stopped
    found = Pairwise(
        *names,
        judge=about,
        settings=how,
        tallies=[tally(benchmark, of_one) for benchmark, of_one in played.items()],
        played=[each for of_one in played.values() for each in of_one],
    )
    _write(out, found)
    console = output_console()
    _show(found, out, console)
    if stopped:
        show_lines(console, [f"judge stopped: {stopped}; the same command goes on from there"])
    return int(found.errors > 0)


def _pairs(
    asked: Given, settings: JudgeSettings, n: int | None, seed: int
) -> tuple[tuple[str, str], dict[str, list[Match]]]:
    """Both models' names, and the pairs to be judged by benchmark."""
    from evalkit.compare.side import load_side
    from evalkit.judge.pairwise import drawn, matches

    a, b = (load_side(folder, data_dir=asked.options["data.dir"] or None) for folder in asked.folders)
    found = matches(a, b, asked.options["benchmark"] or None)
    pairs = {name: drawn(of_one, n, seed, settings.language) for name, of_one in found.items()}
    names = (a.title, b.title) if a.title != b.title else (f"{a.title} (A)", f"{b.title} (B)")
    return names, pairs


def _folder(asked: Given) -> Path:
    if not asked.options["out"]:
        return asked.folders[0]
    out = Path(asked.options["out"])
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"judge pairwise: cannot make {out}: {error.strerror or error}") from error
    return out


def _write(out: Path, found: Pairwise) -> None:
    from evalkit.judge.pairwise_report import to_json, to_markdown
    from evalkit.runner.folder import write_atomically

    write_atomically(out / "pairwise.json", to_json(found))
    write_atomically(out / "pairwise.md", to_markdown(found))


def _show(found: Pairwise, out: Path, console: Console) -> None:
    from evalkit.judge.pairwise_report import HEADER, findings, notes, rows_of
    from evalkit.judge.show import show_lines, show_table

    show_lines(console, [f"{found.a} (A) against {found.b}"], "bold")
    show_lines(console, findings(found))
    show_table(console, "", HEADER, rows_of(found))
    show_lines(console, notes(found), "dim")
    show_lines(console, [f"written: {out / 'pairwise.md'}"])
