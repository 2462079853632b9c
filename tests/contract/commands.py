"""What the contract tests run: commands whose output depends on nothing but the project and its arguments.

`python -m tests.contract` writes the expected outputs again. Do so only where a change of behaviour is meant,
and show the difference in that commit.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from evalkit.__main__ import COMMANDS, main
from evalkit.config.settings import run_settings
from evalkit.run.runner import load_data

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results"
EXPECTED = Path(__file__).parent / "expected"

HELPS = [
    *COMMANDS,
    "judge run",
    "judge calibrate",
    "judge pairwise",
    "judge label",
]
BENCHMARKS = "benchmark=[finqa,convfinqa,ant_finance,tfns,finance_instruct]"
_ANSWERS = ("\\boxed{12.5}", "The answer is A.", "**neutral**", "是", "about -3 million", "I cannot say.")


def run_command(arguments: list[str], errors: bool = False) -> tuple[int, str]:
    """Exit code and output of a command in this process, 200 columns wide; `errors`: standard error too."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output if errors else io.StringIO()):
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
    return code, output.getvalue()


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """`folder` as the current directory, so that relative paths, which outputs show, are always the same."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def outputs(name: str, shift: int) -> str:
    """A file of made-up outputs for every example of the samples; the same for the same `shift`."""
    code, _ = run_command(["benchmarks"])
    assert code == 0
    lines = []
    for number, (benchmark, id_, turn) in enumerate(asked()):
        text = _ANSWERS[(number + shift) % len(_ANSWERS)]
        lines.append(json.dumps({"benchmark": benchmark, "id": id_, "turn": turn, "text": text}))
    Path(name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return name


def asked() -> list[tuple[str, str, int | None]]:
    """Benchmark, id and turn of every example of the samples, page by page as records have them."""
    settings = run_settings(["+model=replay", "model.path=unread", "data=sample", BENCHMARKS])
    examples = [each for loaded in load_data(settings).values() for each in loaded.examples]
    order = list(settings.benchmark)
    examples.sort(key=lambda each: (order.index(each.benchmark), each.group, each.id, each.turn or 0))
    return [(each.benchmark, each.id, each.turn) for each in examples]


def replayed(name: str, shift: int, *more: str) -> list[str]:
    """The command of a run over made-up outputs in the folder `name`."""
    path = outputs(f"{name}.jsonl", shift)
    return ["run", "+model=replay", f"model.path={path}", f"model.name={name}", "data=sample", *more]


def keys_and_ids(folder: Path) -> str:
    """Run ids under several settings, and the keys of what each generated, as lines of text."""
    lines = []
    with inside(folder):
        for more in ([], ["protocol=fin-r1-paper"], ["limit=3"], ["seed=7", "sampling=group", "limit=4"]):
            code, _ = run_command(replayed("keys", 0, BENCHMARKS, *more))
            assert code == 0
        for run in sorted(Path("results/runs/keys").iterdir(), key=lambda path: path.name):
            records = [
                json.loads(line) for line in (run / "generations.jsonl").read_text("utf-8").splitlines()
            ]
            lines.append(f"{run.name}: {len(records)} generations")
            lines += [f"  {each['benchmark']} {each['id']} {each['turn']} {each['key']}" for each in records]
    return "\n".join(lines) + "\n"


def help_text(command: str) -> str:
    code, text = run_command([*command.split(), "--help"])
    assert code == 0
    return text


def record_lines(path: Path) -> tuple[dict[str, object], list[str]]:
    """A record's head and its other lines. Older heads lack the fields of a judge that was never asked."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        head, *rows = file.read().split("\n")
    return {"judge": None, "calibration": None, **json.loads(head)}, rows


def _records() -> list[str]:
    return [
        f"results/{path.relative_to(RESULTS).as_posix()}" for path in sorted(RESULTS.glob("records/*/*.gz"))
    ]


def _files(folder: Path) -> str:
    """The files below a folder with their hashes."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return "".join(f"{path.relative_to(folder)} {_digest(path)}\n" for path in paths)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _export(format_: str) -> Callable[[Path], str]:
    def show(folder: Path) -> str:
        with inside(ROOT):
            code, text = run_command(["export", format_, *_records(), str(folder / "out")])
        assert code == 0
        shown = re.sub(r"\S*/out", "out", text) + _files(folder / "out")
        if format_ in ("latex", "markdown"):
            shown += "".join(path.read_text("utf-8") for path in (folder / "out").iterdir())
        return shown

    return show


def _shown(*arguments: str) -> Callable[[Path], str]:
    """What a command prints that is run in the project's folder."""

    def show(folder: Path) -> str:
        with inside(ROOT):
            code, text = run_command(list(arguments), errors=True)
        return f"exit code {code}\n{text}"

    return show


def _compare(folder: Path) -> str:
    with inside(folder):
        for name, shift in (("a", 0), ("b", 1)):
            run_command(replayed(name, shift, BENCHMARKS, f"run_dir={name}"))
        code, text = run_command(["compare", "a", "b", "out=compared"])
        details = run_command(["compare", "a", "b", "details=true"])[1]
        written = Path("compared/comparison.md").read_text("utf-8")
        return f"exit code {code}\n{text}\n{details}\n{written}"


def _score(folder: Path) -> str:
    with inside(folder):
        run_command(replayed("a", 0, BENCHMARKS, "run_dir=a"))
        code, text = run_command(["score", "a", "rules=all"])
        shown = [f"exit code {code}", text, *(Path("a", name).read_text("utf-8") for name in SCORED)]
        return "\n".join(shown)


SCORED = ("scores.jsonl", "report.md", "table.md", "table.csv", "rules.csv", "disagreements.csv")
SWEEP = "sweep=results/records/sweeps/qwen2.5-coder-1.5b-ladder.json"
COMMANDS_SHOWN: dict[str, Callable[[Path], str]] = {
    "models": _shown("models"),
    "benchmarks": _shown("benchmarks"),
    "audit": _shown("audit"),
    "recommend": _shown("recommend", "memory=2.5GiB", SWEEP),
    "recommend-nothing": _shown("recommend", "memory=1MiB", SWEEP),
    "no-such-model": _shown("run", "+model=fin-r1-q4k", "data=sample"),
    "no-such-setting": _shown("run", "+model=fin-r1-q4_k", "data=sample", "limt=3"),
    "required": _shown("statistics", "required", "difference=2", "discordant=10"),
    "compare": _compare,
    "score": _score,
    **{
        f"export-{name}": _export(name)
        for name in ("markdown", "latex", "lm_eval", "every_eval_ever", "model_card")
    },
}
