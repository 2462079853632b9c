"""What people try by habit: no command, help, another name, another shell, a narrow terminal, no colours."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from evalkit import text
from evalkit.__main__ import COMMANDS, main
from evalkit.commands.completion import vocabulary
from evalkit.config.overrides import names

ROOT = Path(__file__).parents[2]


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.mark.parametrize("words", [[], ["help"], ["--help"], ["-h"]])
def test_a_short_help_with_every_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, *words)
    assert [name for name in COMMANDS if f"  {name} " not in shown] == []
    assert shown.index("  run ") < shown.index("  compare ") < shown.index("more:") < shown.index("  audit ")


@pytest.mark.parametrize(
    ("words", "same"),
    [(["help", "run"], ["run", "-h"]), (["help", "judge", "run"], ["judge", "run", "--help"])],
)
def test_help_of_a_command(words: list[str], same: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, *words) == printed(capsys, *same) != printed(capsys)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("list", "Did you mean models or benchmarks?"),
        ("ls", "Did you mean models or benchmarks?"),
        ("eval", "Did you mean run?"),
        ("model", "Did you mean models?"),
        ("diff", "Did you mean compare?"),
        ("my.gguf", "evalkit run my.gguf"),
        ("http://localhost:1234/v1", "evalkit run http://localhost:1234/v1"),
        ("benchmark=finqa", "evalkit run FILE.gguf benchmark=finqa"),
        ("--model", "there is no option --model: `evalkit help`"),
    ],
)
def test_a_command_of_another_name(word: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 2
    line = capsys.readouterr().err
    assert says in line
    assert line.count("\n") == 1


def test_a_python_without_the_dependencies_says_so() -> None:
    """`-S` leaves out site-packages: a Python that finds evalkit only because it stands in its folder."""
    lines = [
        "import sys",
        "sys.path.insert(0, sys.argv[1])",
        "from evalkit.__main__ import main",
        "sys.exit(main(['models']))",
    ]
    script = "\n".join(lines)
    command = [sys.executable, "-S", "-c", script, str(ROOT)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]}
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "this Python has no evalkit installed: use .venv/bin/evalkit" in done.stderr


def complete(script: str, *words: str) -> list[str]:
    """What bash offers for the last of `words`, which it has split at equals signs."""
    quoted = " ".join(f"'{word}'" for word in words)
    program = f"{script}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _evalkit\n"
    program += 'printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.gguf").touch()
    script = printed(capsys, "completion", "bash")
    assert complete(script, "evalkit", "swe") == ["sweep"]
    assert set(complete(script, "evalkit", "")) == {*COMMANDS, "help"}
    assert complete(script, "evalkit", "run", "smol") == ["smollm2-135m"]
    assert complete(script, "evalkit", "run", "mi") == ["mine.gguf"]
    assert complete(script, "evalkit", "sweep", "fin-r1-qu") == ["fin-r1-quants"]
    assert complete(script, "evalkit", "run", "x", "benchmark", "=") == names("benchmark")
    found = complete(script, "evalkit", "run", "x", "benchmark", "=", "finance_")
    assert found == ["finance_instruct", "finance_reasoning"]
    assert complete(script, "evalkit", "run", "x", "benchmark", "=", "tfns,finq") == ["tfns,finqa"]
    assert complete(script, "evalkit", "run", "x", "protocol.max") == ["protocol.max_tokens="]
    assert complete(script, "evalkit", "help", "rec") == ["recommend"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_parses(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    script = printed(capsys, "completion", shell)
    assert "%(" not in script
    assert all(name in script for name in (*COMMANDS, *names("model"), *names("benchmark"), "limit="))
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_settings_that_are_completed_exist() -> None:
    words = vocabulary()
    assert {"limit=", "data.dir=", "backend.slots=", "protocol.max_tokens="} <= set(words.settings)
    assert not [key for key in words.settings if ".hub." in key]


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert "bash, zsh or fish" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("command", COMMANDS)
def test_helps_break_between_words_in_a_narrow_terminal(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = printed(capsys, command, "--help")
    broken = text.for_terminal(shown, Terminal())
    assert broken.split() == shown.split()
    assert [line for line in broken.split("\n") if len(line) > 60 and " " in line.strip()] == []
    assert text.for_terminal(shown, io.StringIO()) == shown


@pytest.mark.usefixtures("narrow")
def test_notes_break_between_words() -> None:
    words = [
        "the",
        "quantization",
        "of",
        "the",
        "candidate",
        "costs",
        "nothing",
        "that",
        "could",
        "be",
        "measured",
        "here",
        "at",
        "all",
    ]
    shown = io.StringIO()
    text.show_lines(Console(file=shown, force_terminal=True, width=60), [" ".join(words)])
    assert shown.getvalue().split() == words
    assert max(map(len, shown.getvalue().splitlines())) <= 60


def test_names_are_never_cut_and_other_columns_give_way() -> None:
    name = "a-model-with-a-rather-long-name-q4_k_m"
    for width in (60, 80, 300):
        shown = io.StringIO()
        console = Console(file=shown, force_terminal=True, width=width)
        text.show_names(console, "", ("name", "size", "source"), [(name, "5.08 GB", "hf: " + "x" * 80)])
        assert name in shown.getvalue()
        assert ("also: source." in " ".join(shown.getvalue().split())) == (width == 60)


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    def styled() -> str:
        shown = io.StringIO()
        Console(file=shown, force_terminal=True, color_system="standard").print("better", style="green")
        return shown.getvalue()

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32m" in styled()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in styled()


def test_models_and_benchmarks_list_whole_names(capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, "models")
    assert [name for name in names("model") if f" {name} " not in shown] == []
    first, ways, closed = shown.split("\n\n")
    assert " smollm2-135m " in first
    assert all(f" {name} " in ways for name in ("gguf", "endpoint", "replay"))
    assert " fin-r1-sft " in closed
    assert [name for name in names("benchmark") if f" {name} " not in printed(capsys, "benchmarks")] == []


def test_a_cell_is_broken_where_a_reader_would() -> None:
    name = "DeepSeek-R1-Distill-Qwen-7B [-1.0, +2.0]"
    assert text.fitted(name, 10).split("\n") == [
        *("DeepSeek-", "R1-", "Distill-", "Qwen-7B", "[-1.0,", "+2.0]")
    ]
    assert text.fitted(name, 40) == name


def test_a_narrow_table_breaks_no_word() -> None:
    header = ("Benchmark", "right→wrong", "wrong→right", "verdict", "difference")
    row = ("FinQA", "12", "1,234", "as good as the reference (within 2 points)", "-12.5 [-57.3, +38.2]")
    console = Console(width=66, file=io.StringIO(), legacy_windows=False)
    with console.capture() as capture:
        console.print(text.terminal_table(header, [row], console.width))
    shown = capture.get()
    assert max(map(len, shown.splitlines())) <= 66
    assert all(word in shown.split() for cell in (*header, *row) for word in cell.split())
    # Where there is no room for the words either, something has to give way, and the table still fits.
    widths = text.column_widths([["Benchmark", "FinQA"], ["right→wrong", "12"]], 12)
    assert sum(widths) == 12
