"""A board with real records: outputs replayed over the bundled samples, some of them hostile."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

from rich.console import Console

from evalkit.audit import audit_table
from evalkit.board.board import Board, Problem, board_of
from evalkit.board.published import against
from evalkit.board.site import site
from evalkit.config.settings import run_settings
from evalkit.published import read_table
from evalkit.run.info import Run
from evalkit.run.runner import execute, load_data
from evalkit.run.scoring import scored_run
from evalkit.schema import Example, TextGold, gold_text
from tests.settings import changed
from tests.sweep.ladders import tiny

HOSTILE = (
    "<script>document.title='owned'</script> <!-- \\boxed{42}",
    "</textarea></pre></script><img src=x onerror=\"document.title='owned'\"> so \\boxed{42}",
    "[click](javascript:document.title='owned') <a href=javascript:alert(1)>x</a> \\boxed{42}",
    "line\u2028separator\u2029and\x00nul\x1b[31m \u202eright to left\u202c \\boxed{42}",
    "x" * 100_000 + " \\boxed{42}",
    "𝟙𝟚 😀😀 中文 emoji before the answer \\boxed{42}",
)
LEVELS = {"q8_0": 90, "q6_k": 85, "q4_k": 75, "iq3_xs": 50}
"""Model's name -> how many of a hundred answers are right."""


def answer(model: str, example: Example) -> str:
    """Right or wrong by the ids' hash, always the same; a better model is right where a worse one is."""
    if isinstance(example.gold, TextGold):
        return "In short: **it depends** on the <em>yield</em>."
    luck = int(sha256(f"{example.id}/{example.turn}".encode()).hexdigest(), 16) % 100
    said = gold_text(example.gold) if luck < LEVELS[model] else "7" if luck % 2 else "no idea"
    return f"<think>\nThe page says it, so step by step.\n</think>\n\nThe answer is \\boxed{{{said}}}."


def run(
    folder: Path,
    name: str,
    said: Callable[[Example], str],
    benchmarks: Sequence[str] = ("finqa", "convfinqa", "ant_finance", "tfns", "finance_instruct"),
) -> Run:
    """A run of what `said` gives for every bundled example."""
    folder.mkdir(parents=True)
    outputs = folder / "outputs.jsonl"
    settings = run_settings(
        [
            "+model=replay",
            f"model.path={outputs}",
            f"model.name={name}",
            f"model.title='Small {name.upper()}'",
            "model.family=small",
            "data=sample",
            f"benchmark=[{','.join(benchmarks)}]",
        ]
    )
    examples = [example for loaded in load_data(settings).values() for example in loaded.examples]
    lines = [json.dumps({"id": e.id, "turn": e.turn, "text": said(e)}) + "\n" for e in examples]
    outputs.write_text("".join(lines), encoding="utf-8")
    settings = changed(settings, run_dir=str(folder / "run"))
    return scored_run(execute(settings, Console(file=io.StringIO())))


def hostile(example: Example) -> str:
    """Every kind of hostile output, by turns; on FinQA and ConvFinQA all of them hold an answer."""
    return HOSTILE[int(sha256(example.id.encode()).hexdigest(), 16) % len(HOSTILE)]


def made_board(runs: Mapping[str, Run], problems: Sequence[Problem] = ()) -> Board:
    """The leaderboard of runs, by file name, beside the published table."""
    return board_of(runs, [read_table()], problems)


def ladder(folder: Path) -> dict[str, Run]:
    """Four members of a ladder, and a hostile one, by the records' file names."""
    made = {name: run(folder / name, name, partial(answer, name)) for name in LEVELS}
    made["hostile"] = run(folder / "hostile", "hostile", hostile, ("finqa", "convfinqa"))
    return {f"runs/{name}/record.jsonl.gz": each for name, each in made.items()}


def files_of(runs: Mapping[str, Run]) -> dict[str, bytes]:
    """The site of these runs, with a sweep whose members they are and the published table's audit."""
    problems = [Problem("runs/odd/record.jsonl.gz", "is cut off <here>")]
    ids = {each.info.model.name: each.info.run_id for each in runs.values()}
    sweep = tiny()
    members = tuple(replace(m, run_dir=f"../runs/{m.name}/{ids.get(m.name)}") for m in sweep.members)
    board = made_board(runs, problems)
    table = read_table()
    return site(board, runs, [replace(sweep, members=members)], audit_table(table), against(board, table))


def write(files: Mapping[str, bytes], folder: Path) -> Path:
    """The site on disk; its index page."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / "index.html"
