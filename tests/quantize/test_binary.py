"""A stand-in for `llama-quantize`: its command line, its failures, and death in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from evalkit.files import hash_file
from evalkit.schema import UserError
from evalkit.weights.quantize import QuantizeFailed, Recipe, build, find_quantizer

SCRIPT = """#!{python}
import os, pathlib, shutil, sys, time
here = pathlib.Path(__file__).parent
(here / "arguments").write_text("\\n".join(sys.argv[1:]))
source, target = sys.argv[-4:-2]
print("main: build = 4567 (abcdef)", flush=True)
{body}
"""
COPY = "shutil.copy(source, target)"
F32 = Recipe("same", "F32", None, None, False)

StandIn = Callable[[str], str]


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    def write(body: str) -> str:
        path = tmp_path / "llama-quantize"
        path.write_text(SCRIPT.format(python=sys.executable, body=body))
        path.chmod(0o755)
        return str(path)

    return write


def test_the_command_line(stand_in: StandIn, tiny: Path, tmp_path: Path) -> None:
    binary = stand_in(COPY)
    built = build(tiny, tmp_path / "out", F32, prefix="T", allow_requantize=True, quantizer=binary)
    assert built.quantizer == "llama-quantize build = 4567 (abcdef)"
    assert built.sha256 == hash_file(tiny)
    arguments = (tmp_path / "arguments").read_text().split("\n")
    assert arguments[0] == str(tiny), "no --allow-requantize where nothing is requantized"
    assert arguments[1:3] == [str(tmp_path / "out" / "T-same.gguf.part"), "F32"]

    full = Recipe("q4_k", "Q4_K", "Q8_0", "BF16", True)
    with pytest.raises(QuantizeFailed, match=r"is not what was asked for: .* is F32, asked for was"):
        build(tiny, tmp_path / "out", full, prefix="T", allow_requantize=False, quantizer=binary)
    arguments = (tmp_path / "arguments").read_text().split("\n")
    flags = ["--pure", "--output-tensor-type", "bf16", "--token-embedding-type", "q8_0"]
    assert arguments[:6] == [*flags, str(tiny)]
    assert arguments[7] == "Q4_K_M"


def test_requantizing_is_passed_on(stand_in: StandIn, small: Path, tmp_path: Path) -> None:
    binary = stand_in(COPY)
    recipe = Recipe("q4_1", "Q4_1", "Q8_0", None, False)
    built = build(small, tmp_path / "out", recipe, prefix="T", allow_requantize=True, quantizer=binary)
    assert built.requantized_from == "Q4_1"
    assert (tmp_path / "arguments").read_text().startswith("--allow-requantize\n--token-embedding-type\nq8_0")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("print('[3/9] x .. main: failed to quantize: no luck'); sys.exit(1)", "exit code 1: no luck (log: "),
        ("print('/x.c:3: GGML_ASSERT(n) failed', flush=True); os.abort()", "SIGABRT: /x.c:3: GGML_ASSERT(n)"),
        ("os.abort()", "was ended by SIGABRT"),
        (f"{COPY}; os.kill(os.getpid(), 9)", "was ended by SIGKILL"),
        ("pass", "left no complete file"),
        ("pathlib.Path(target).write_bytes(pathlib.Path(source).read_bytes()[:-9])", "left no complete file"),
        ("pathlib.Path(target).write_text('not a model, but long enough')", "left no complete file"),
    ],
)
def test_a_failure_leaves_its_log_and_no_file(
    body: str, says: str, stand_in: StandIn, tiny: Path, tmp_path: Path
) -> None:
    binary, out = stand_in(body), tmp_path / "out"
    with pytest.raises(QuantizeFailed) as caught:
        build(tiny, out, F32, prefix="T", allow_requantize=False, quantizer=binary)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in out.iterdir()) == ["T-same.gguf.log", "ladder.lock"]
    assert "build = 4567" in (out / "T-same.gguf.log").read_text()

    built = build(tiny, out, F32, prefix="T", allow_requantize=False, quantizer=stand_in(COPY))
    assert built.path.read_bytes() == tiny.read_bytes()
    assert not (out / "T-same.gguf.log").exists()


PARENT = """
import sys
from pathlib import Path
from evalkit.weights.quantize import build
from evalkit.weights.quantize import Recipe
source, out, binary = sys.argv[1:]
for name in ("first", "second"):
    recipe = Recipe(name, "F32", None, None, False)
    build(Path(source), Path(out), recipe, prefix="T", allow_requantize=False, quantizer=binary)
"""
HALF = """
if "second" in target:
    pathlib.Path(target).write_bytes(pathlib.Path(source).read_bytes()[:-9])
    (here / "pid").write_text(str(os.getpid()))
    time.sleep(600)
shutil.copy(source, target)
"""


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_in_the_middle_the_same_command_goes_on(
    number: int, stand_in: StandIn, tiny: Path, tmp_path: Path
) -> None:
    out, pid_file = tmp_path / "out", tmp_path / "pid"
    command = [sys.executable, "-c", PARENT, str(tiny), str(out), stand_in(HALF)]
    parent = subprocess.Popen(
        command,
        stderr=subprocess.DEVNULL,
        # What a shell starts in the background inherits a deaf ear for Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    until(lambda: pid_file.is_file() and pid_file.read_text() != "", "the quantizer did not start")
    os.kill(parent.pid, number)
    parent.wait(timeout=300)
    child = int(pid_file.read_text())
    until(lambda: not psutil.pid_exists(child), "the quantizer outlived its parent")
    assert not (out / "T-second.gguf").exists()
    first = out / "T-first.gguf"
    before = first.stat().st_mtime_ns

    stand_in(COPY)
    assert subprocess.run(command, check=False).returncode == 0
    assert first.stat().st_mtime_ns == before
    assert (out / "T-second.gguf").read_bytes() == tiny.read_bytes()
    assert not list(out.glob("*.part"))


def test_finding_a_quantizer(stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = stand_in(COPY)
    assert find_quantizer(binary) == binary
    with pytest.raises(UserError, match="no executable 'nowhere'"):
        find_quantizer("nowhere")
    # Without the library: the binary on PATH, and without that a line that says what to do.
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_quantizer(None) == binary
    with pytest.raises(UserError, match=r"pip install -e '\.\[quantize\]'"):
        find_quantizer("library")
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"no quantizer is installed: pip install -e '\.\[quantize\]'"):
        find_quantizer(None)
