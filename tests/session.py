"""The newcomer's session of docs/first-session.md, recorded: a fresh clone, two files, a wrong answer.

    python -m tests.session [FILE.gguf]

A clone of this repository's last commit in an empty home, and two files of one's own: A.gguf is FILE (by
default the small model's own file), B.gguf is made from it by `evalkit quantize`. What each command prints is
written into the page. Needs llama.cpp's quantizer, network, and some minutes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.config.settings import run_settings
from evalkit.spawn import usable_cores
from evalkit.text import duration
from evalkit.weights.fetch import resolve_weights

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "first-session.md"
COLUMNS = 100
_HOME = "/home/you"
_MOST_LINES = 48  # of one command's output; what is longer loses its middle, and the page says so
_RECIPE = "q4_0"
# An answer that was read and is wrong; else one that is wrong in any way.
_WRONG = (
    re.compile(r"(?m)^- (\S+(?: turn \d+)?)  gold .*  wrong number$"),
    re.compile(r"(?m)^- (\S+(?: turn \d+)?)  gold "),
)


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and what is said before it. `{wrong}` is the id of a wrong answer that was listed before."""

    text: str
    command: str
    exit_code: int = 0


STEPS = (
    Step("A fresh clone, and two files beside it.", "ls"),
    Step("Into an environment of its own:", "make install"),
    Step("", ". .venv/bin/activate"),
    Step("Would the two fit on 16 GiB?", "evalkit fit 16GiB A.gguf B.gguf"),
    Step(
        "Both on the same 20 bundled questions. Real ones come from the hub without `data=sample`.",
        "evalkit sweep A.gguf B.gguf reference=A.gguf data=sample benchmark=finqa,tfns limit=10 "
        "protocol.max_tokens=64 sweep.noise=none",
    ),
    Step("The two runs beside each other:", "evalkit compare last"),
    Step("What was wrong?", "evalkit show last wrong=true benchmark=finqa"),
    Step("One of them in full:", "evalkit show last {wrong}"),
)

HEAD = """# A first session

A newcomer's first sitting, recorded as it went by `python -m tests.session`: a fresh clone in an empty
home, two files of one's own, and no command that is not in the README or on these pages. {files}
On {cores} it took {total} in all.

"""
FILES = (
    "`A.gguf` is {label}\n({size:.0f} MB), as its makers publish it; `B.gguf` was made from it before, by\n"
    "`evalkit quantize A.gguf ladder ladder=fin-r1 ladder.recipes={recipe} allow_requantize=true`."
)
TAIL = """
What this shows: twenty questions cannot tell two files apart, and the report says how many could. So the
next step is the same command with a larger `limit`, which asks only what is new.
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """A step as it went: the command as it was typed, all that it printed, and its seconds."""

    step: Step
    command: str
    output: str
    exit_code: int
    seconds: float


def two_files(folder: Path, source: Path) -> None:
    """A.gguf, which is `source`, and B.gguf, requantized from it, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, folder / "A.gguf")
    subprocess.run(
        [
            *(sys.executable, "-m", "evalkit", "quantize", str(folder / "A.gguf"), str(folder / "ladder")),
            *("ladder=fin-r1", f"ladder.recipes={_RECIPE}", "allow_requantize=true"),
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = (folder / "ladder").glob("*.gguf")
    built.rename(folder / "B.gguf")
    shutil.rmtree(folder / "ladder")


def clone(home: Path) -> Path:
    """A fresh clone in an empty `home`."""
    home.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(home / "evalkit")], check=True)
    return home / "evalkit"


def play(folder: Path, steps: Sequence[Step] = STEPS) -> Iterator[Shown]:
    """Each step in the clone `folder`, in the shell of somebody whose home is the folder above it."""
    home, before, listed = folder.parent, "true", ""
    secret = ("EVALKIT_", "HF_", "XDG_", "VIRTUAL_ENV", "PYTHON", "PYTEST")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(secret)}
    environment |= {"HOME": str(home), "COLUMNS": str(COLUMNS), "NO_COLOR": "1"}
    for step in steps:
        wrong = next((match for pattern in _WRONG if (match := pattern.search(listed))), None)
        command = step.command.format(wrong=wrong[1] if wrong else "nothing-was-wrong")
        began = time.monotonic()
        done = subprocess.run(
            ["bash", "-c", f"{before}; {command}"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        yield Shown(step, command, done.stdout, done.returncode, time.monotonic() - began)
        listed += done.stdout
        if command.startswith(". "):
            before = command


def page(shown: Sequence[Shown], home: Path, source: Path) -> str:
    """The page: what was typed and what came, without what is this machine's alone."""
    label = source.stem
    files = FILES.format(label=label, size=source.stat().st_size / 1e6, recipe=_RECIPE)
    total = duration(sum(each.seconds for each in shown))
    cores = "1 core" if usable_cores() == 1 else f"{usable_cores()} cores"
    parts = [HEAD.format(files=files, cores=cores, total=total)]
    for each in shown:
        if each.step.text:
            parts.append(f"{each.step.text}\n\n")
        body = "\n".join([f"$ {each.command}", *_lines(each.output.replace(str(home), _HOME))])
        parts.append(f"```text\n{body}\n```\n\n")
        if each.seconds >= 1:
            parts.append(f"({duration(each.seconds)})\n\n")
    return "".join(parts).rstrip("\n") + "\n" + TAIL


def _lines(output: str) -> list[str]:
    lines = [line.rstrip().replace("```", "'''") for line in output.rstrip("\n").splitlines()]
    if len(lines) <= _MOST_LINES:
        return lines
    half = _MOST_LINES // 2
    left_out = len(lines) - 2 * half
    return [*lines[:half], f"[… {left_out} lines]", *lines[-half:]]


def record(source: Path, folder: Path) -> list[Shown]:
    """The whole session with `source` in the empty folder `folder`.

    Raises:
        AssertionError: a command ended otherwise than it should.
    """
    here = clone(folder / "home")
    two_files(here, source)
    shown = []
    for each in play(here):
        assert each.exit_code == each.step.exit_code, f"{each.command}: {each.exit_code}\n{each.output}"
        shown.append(each)
    return shown


def main() -> None:
    given = Path(sys.argv[1]).absolute() if sys.argv[1:] else None
    source = given or resolve_weights(run_settings(["model=smollm2-135m", "data=sample"]).model).path
    with tempfile.TemporaryDirectory(prefix="evalkit-session-") as folder:
        shown = record(source, Path(folder))
        PAGE.write_text(page(shown, Path(folder) / "home", source), encoding="utf-8")


if __name__ == "__main__":
    main()
