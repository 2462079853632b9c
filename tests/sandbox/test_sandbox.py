"""Code in answers: the right one passes, a hostile one is wrong within bounds, and nothing is left of it."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.config.settings import run_settings
from evalkit.run import code as code_module
from evalkit.run.code import Limits, verdict
from evalkit.run.runner import load_data
from evalkit.schema import CodeGold, Example, Output
from evalkit.scoring.code import agrees, code_of
from tests.benchmarks.scene_solutions import SOLUTIONS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="code is run on Linux only")

EXAMPLES = [
    example
    for example in load_data(run_settings(["+model=smollm2-135m", "benchmark=scenes"]))["scenes"].examples
    if isinstance(example.gold, CodeGold)
]
DOUBLE = CodeGold("double(x)", (("[2]", "4"), ("[0.5]", "1.0"), ("[-3]", "-6")))
# Time decides nothing here but that a test ends: what is endless has one second of CPU.
LIMITS = Limits(cpu_s=60, wall_s=300, output=1 << 16)
ENDLESS = replace(LIMITS, cpu_s=1)


def fenced(code: str) -> Output:
    return Output(f"Like this:\n\n```python\n{code}\n```\n")


def judged(code: str, gold: CodeGold = DOUBLE, limits: Limits = LIMITS) -> tuple[bool | None, str]:
    """The verdict and its note."""
    correct, outcome, note = verdict(fenced(code), gold, limits)
    assert outcome == {True: "correct", False: "wrong_code", None: "unscored"}[correct], (outcome, note)
    return correct, note


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.id)
def test_the_reference_solution_passes(example: Example) -> None:
    assert isinstance(example.gold, CodeGold)
    assert verdict(fenced(SOLUTIONS[example.id]), example.gold) == (True, "correct", "")


def test_every_code_task_has_a_reference_solution() -> None:
    assert {example.id for example in EXAMPLES} == SOLUTIONS.keys()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.id)
def test_a_constant_passes_no_task(example: Example) -> None:
    assert isinstance(example.gold, CodeGold)
    expected = example.gold.cases[0][1]
    code = f"def {example.gold.name}(*arguments):\n    return {expected}"
    assert judged(code, example.gold)[0] is False


def test_libraries_and_helpers_and_prints_are_fine() -> None:
    code = """
import math, statistics as st
from dataclasses import dataclass
from decimal import Decimal
from datetime import datetime

@dataclass
class Twice:
    of: float
    def value(self) -> float:
        return math.fsum([self.of, self.of])

def double(x: float) -> float:
    print("working on", x)
    datetime.strptime("2026-01-01", "%Y-%m-%d")
    assert st.fmean([Decimal(1)]) == 1
    return Twice(x).value()

if __name__ == "__main__":
    print(double(float(input())))
"""
    assert judged(code) == (True, "")


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ("return x", "case 1 of 3: 2, right is 4"),
        ("return str(2 * x)", 'case 1 of 3: "4", right is 4'),
        ("return 2 * x * 1.0001", "case 1 of 3: 4.0004, right is 4"),
        ("return [2 * x]", "case 1 of 3: [4], right is 4"),
        ("return float('nan')", "case 1 of 3: NaN, right is 4"),
        ("return True", "case 1 of 3: true, right is 4"),
        ("pass", "case 1 of 3: null, right is 4"),
        ("return 1 / 0", "case 1 of 3: ZeroDivisionError"),
        ("return 10 ** 5000", "case 1 of 3: ValueError"),
        ("raise SystemExit(0)", "case 1 of 3: SystemExit"),
        ("import sys; sys.exit()", "case 1 of 3: SystemExit"),
        ("import os; os._exit(0)", "ended before its last case"),
        ("import os; os._exit(3)", "crashed"),
        ("return double(x)", "case 1 of 3: RecursionError"),
        ("import numpy; return 2 * x", "case 1 of 3: ModuleNotFoundError"),
        ("return input()", "case 1 of 3: "),
        ("return [0] * 10 ** 12", "case 1 of 3: MemoryError"),
        ("return [[0] * 20_000] * 20_000", "case 1 of 3: TypeError"),
        ("a = []\n    a.append(a)\n    return a", "case 1 of 3: TypeError"),
        ("return 'x' * 10 ** 8", "case 1 of 3: TypeError"),
    ],
)
def test_a_wrong_function_is_wrong_with_its_reason(body: str, note: str) -> None:
    correct, found = judged(f"def double(x):\n    {body}")
    assert correct is False
    assert found.startswith(note)


@pytest.mark.parametrize(
    "code",
    [
        "def double(x): return 2 *",
        "raise ValueError",
        "import os; os.kill(os.getppid(), 9)",
        "(" * 100_000,
        "def twice(x): return 2 * x",
        "double = None",
        "double = 4",
        "",
        "x = " + "9" * 6_000,
        "def double(x):\n    return 2 * x\n" + "#" * 30_000,
        "\0",
    ],
)
def test_what_defines_nothing_is_wrong(code: str) -> None:
    correct, outcome, _ = verdict(fenced(code), DOUBLE, LIMITS)
    assert correct is False
    assert outcome in ("wrong_code", "no_final_answer")


@pytest.mark.parametrize(
    "code", ["while True: pass", "def double(x):\n    while True: pass", "x = 9 ** 9 ** 9"]
)
def test_what_is_endless_ends(code: str) -> None:
    assert judged(code, limits=ENDLESS) == (False, "took more than 1 s of CPU")


REACHING = {
    "read a file": "open('/etc/passwd').read()",
    "read the home": f"open({str(Path.home())!r} + '/.bashrc').read()",
    "read itself": "open('/proc/self/environ').read()",
    "list": "__import__('os').listdir('/')",
    "where": "__import__('os').getcwd()",
    "see": "__import__('os').stat('/etc')",
    "read by io": "__import__('io').FileIO('/etc/passwd')",
    "connect": "__import__('_socket').socket()",
    "fork": "__import__('os').fork()",
    "spawn": "__import__('os').posix_spawn('/bin/true', ['true'], {})",
    "execute": "__import__('os').execv('/bin/true', ['true'])",
    "shell": "1 / (__import__('os').system('true') == 0)",
    "thread": "__import__('_thread').start_new_thread(print, ())",
    "kill": "__import__('os').kill(1, 0)",
    "kill the parent": f"__import__('os').kill({os.getpid()}, 9)",
    "kill all": "__import__('os').kill(-1, 9)",
    "sleep": "__import__('time').sleep(1000)",
    "raise limits": "__import__('resource').setrlimit(__import__('resource').RLIMIT_AS, (1 << 40, 1 << 40))",
    "pipe": "__import__('os').pipe()",
    "memory file": "__import__('os').memfd_create('x')",
    "copy a descriptor": "__import__('os').dup(1)",
    "read other descriptors": "__import__('os').read(3, 10)",
    "change root": "__import__('os').chroot('/')",
    "delete": "__import__('os').unlink('/etc/passwd')",
    "import a file": "__import__('http.server')",
}


@pytest.mark.parametrize("attempt", REACHING.values(), ids=REACHING.keys())
def test_nothing_outside_can_be_reached(attempt: str) -> None:
    """Each attempt raises: a function that only survives it gives another value."""
    code = f"def double(x):\n    try: {attempt}\n    except BaseException: return 2 * x\n    return 0"
    if attempt.startswith("1 /"):  # os.system says by its value that nothing was started
        code = "def double(x):\n    import os\n    return 2 * x if os.system('true') != 0 else 0"
    assert judged(code) == (True, "")


def test_native_code_reaches_no_more() -> None:
    code = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
closed = [
    libc.open(b"/etc/passwd", 0) == -1 and ctypes.get_errno() == 1,
    libc.socket(2, 1, 0) == -1 and ctypes.get_errno() == 1,
    libc.fork() == -1 and ctypes.get_errno() == 1,
    libc.kill(1, 0) == -1 and ctypes.get_errno() == 1,
    libc.prctl(22, 0, 0, 0, 0) == -1 and ctypes.get_errno() == 1,
]
def double(x): return 2 * x if all(closed) else 0
"""
    assert judged(code) == (True, "")


def test_nothing_of_the_environment_is_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_API_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    code = """
import os, sys
clean = set(os.environ) <= {"LC_CTYPE"} and "/somewhere" not in sys.path
def double(x): return 2 * x if clean else 0
"""
    assert judged(code) == (True, "")


def test_no_file_is_written(tmp_path: Path) -> None:
    target = tmp_path / "left"
    code = f"def double(x):\n    open({str(target)!r}, 'w').write('x')\n    return 2 * x"
    assert judged(code) == (False, "case 1 of 3: PermissionError")
    assert list(tmp_path.iterdir()) == []


def test_a_gigabyte_of_output_is_not_kept() -> None:
    printing = "def double(x):\n    for _ in range(1000): print('x' * 10 ** 6, flush=True)\n    return 2 * x"
    assert judged(printing) == (True, "")
    writing = "import os\ndef double(x):\n    while True: os.write(1, b'x' * 10 ** 6)"
    assert judged(writing) == (False, "wrote too much")


def test_a_fork_bomb_starts_nothing() -> None:
    code = "import os\nwhile True:\n    os.fork()\ndef double(x): return 2 * x"
    assert judged(code) == (False, "PermissionError where it is defined")


def test_ignored_signals_do_not_prolong_it() -> None:
    code = """
import _signal
for number in range(1, 65):
    try: _signal.signal(number, lambda *arguments: None)
    except BaseException: pass
def double(x):
    while True:
        try:
            while True: pass
        except BaseException: pass
"""
    assert judged(code, limits=ENDLESS) == (False, "took more than 1 s of CPU")


def test_a_deadlock_ends_at_the_clock() -> None:
    code = """
import _thread
def double(x):
    lock = _thread.allocate_lock()
    lock.acquire()
    lock.acquire()
"""
    correct, _, note = verdict(fenced(code), DOUBLE, replace(LIMITS, wall_s=2))
    assert (bool(correct), note) == (False, "did not end in 2 s")


@pytest.mark.parametrize(
    "value",
    [
        "class Evil(float):\n    def __eq__(self, other): return True\n    def __float__(self): while_(1)",
        "class Evil(int):\n    def __sub__(self, other): return 0\n    __rsub__ = __sub__",
        "class Evil(list):\n    def __len__(self): return 1",
        "class Evil:\n    def __eq__(self, other): return True\n    def __float__(self): return 4.0",
        "class Meta(type):\n    def __eq__(self, other): return True\n    __hash__ = type.__hash__\n"
        "class Evil(metaclass=Meta):\n    __class__ = int",
        "class Evil(dict):\n    def __missing__(self, key): return 4",
    ],
)
def test_an_object_that_is_equal_to_everything_is_not(value: str) -> None:
    correct, note = judged(f"{value}\ndef double(x): return Evil()")
    assert correct is False
    assert note == "case 1 of 3: TypeError"


@pytest.mark.parametrize(
    "forged",
    [
        'b\'{"value": 4}\\n{"value": 1.0}\\n\'',
        'b"[" * 50_000 + b"\\n"',
        'b"9" * 50_000 + b"\\n"',
        'b"\\xff\\x00\\n" * 9',
        'b\'{"value": {"value": 4}}\\n\' * 3',
        'b\'{"refused": "no"}\\n\' * 3',
    ],
)
def test_forged_lines_are_not_believed(forged: str) -> None:
    code = f"import os\nos.write(1, {forged})\nos._exit(0)"
    assert judged(code)[0] is False


def test_code_that_patches_what_compares_gains_nothing() -> None:
    code = "import json, builtins\njson.dumps = lambda x: '{\"value\": 0}'\nbuiltins.abs = lambda x: 0\n"
    code += "builtins.type = lambda x: int\ndef double(x): return 0"
    assert judged(code)[0] is False


def test_where_the_sandbox_does_not_hold_code_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child without the filter finds its own open door, and says so before the code."""
    source = code_module._CHILD.read_text("utf-8")
    place = source.index("    for arguments in (\n        (_PR_SET_NO_NEW_PRIVS")
    end = source.index("\n\n\ndef open_door")
    leaky = tmp_path / "leaky.py"
    leaky.write_text(source[:place] + "    del libc, program\n" + source[end:])
    monkeypatch.setattr(code_module, "_CHILD", leaky)
    target = tmp_path / "left"
    correct, outcome, note = verdict(fenced(f"open({str(target)!r}, 'w')\ndouble = 0"), DOUBLE, LIMITS)
    assert (correct, outcome) == (None, "unscored")
    assert note.startswith("seccomp does not hold here: the child can still ")
    assert not target.exists()


def test_another_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    found = verdict(fenced("def double(x): return 2 * x"), DOUBLE, LIMITS)
    assert found == (None, "unscored", "code is run only on Linux, on x86_64 or aarch64")


def block(text: str, truncated: bool = False) -> str | None:
    found = code_of(Output(text, truncated), DOUBLE)
    if found is not None:
        assert text[slice(*found.span)] == found.text
    return found.text if found else None


DEF = "def double(x): return 2 * x\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"```python\n{DEF}```", DEF),
        (f"~~~\n{DEF}~~~\n", DEF),
        (f"```py\n{DEF}", DEF),  # never closed, but ended by itself
        (f"```\nx = 1\n```\ntext\n```\n{DEF}```", DEF),
        (f"```python\n{DEF}```\nIt prints\n```\n4\n```\n", DEF),  # the one that defines it
        (f"````md\n```python\n{DEF}```\n````\n", f"```python\n{DEF}```\n"),
        ("```\nx = 1\n```\n```\nx = 2\n```", "x = 2\n"),
        (f"<think>```python\n{DEF}```</think>It is clear.", None),
        (f"<think>```python\n{DEF}```", None),
        (f"<think>hm</think>\n```python\n{DEF}```", DEF),
        (DEF, None),
        ("", None),
        ("```python\n\n```", None),
        ("```", None),
        ("`` `double` ``", None),
    ],
)
def test_the_code_of_an_output(text: str, found: str | None) -> None:
    assert block(text) == found


def test_a_block_that_was_cut_off_is_no_answer() -> None:
    text = f"```python\n{DEF}"
    assert block(text, truncated=True) is None
    assert block(f"{text}```\nand so", truncated=True) == DEF
    assert verdict(Output(text, truncated=True), DOUBLE)[:2] == (False, "truncated")
    assert verdict(Output("It doubles."), DOUBLE) == (False, "no_final_answer", "no code block")


@pytest.mark.parametrize("text", ["```\n" * 10_001, "`" * 1_000_000, "~~~ `\n" * 100_000, " ```x\n" * 10_001])
def test_thousands_of_fences_take_no_time(text: str) -> None:
    assert verdict(Output(text), DOUBLE, LIMITS)[0] is False


@pytest.mark.parametrize(
    ("expected", "value", "right"),
    [
        (4, 4.0, True),
        (4, True, False),
        (True, 1, False),
        (True, True, True),
        (1e6, 1e6 + 0.5, True),
        (1e6, 1e6 + 2, False),
        (0, 5e-7, True),
        (0, float("inf"), False),
        (0, 10**400, False),
        ([1, [2]], [1, [2.0]], True),
        ([1, 2], [1], False),
        ("a", "a", True),
        (None, None, True),
        (None, 0, False),
        (1, "1", False),
    ],
)
def test_when_values_agree(expected: object, value: object, right: bool) -> None:
    assert agrees(expected, value, 1e-6) is right
