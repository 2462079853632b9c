"""Verdicts on code that a model wrote: each answer's function is called in a sandbox, where that was allowed.

No rule runs code, and no command that only reads a run does. `evalkit run ... allow_code=true` and `evalkit
score RUN allow_code=true` run what is there, and leave the verdicts in the run's folder (code.jsonl), where
every scoring finds them afterwards. A verdict belongs to one answer and one gold: another answer of that
name, or changed cases, have none.

The sandbox is `evalkit.children.sandbox`: a child process that has locked itself in with Linux's seccomp. The
child gets the arguments of the cases, and what is expected stays here. Its lines are hostile: so many bytes
of them, in so much time, and only plain values count.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from evalkit.files import write_atomically
from evalkit.schema import (
    CODE_UNSCORED,
    SHOWN_CHARS,
    Answer,
    CodeGold,
    Name,
    Outcome,
    Output,
    Score,
    UserError,
)
from evalkit.scoring.code import MAX_CODE, agrees, code_of
from evalkit.scoring.places import unfinished
from evalkit.text import printable

VERDICTS = "code.jsonl"

_CHILD = Path(__file__).resolve().parents[1] / "children" / "sandbox.py"
_MACHINES = ("x86_64", "aarch64")
_NAME = re.compile(r"[A-Za-z_]\w{0,59}", re.ASCII)
_SHOWN_VALUE = 60  # characters


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one answer: seconds of CPU, seconds in all, bytes of memory, bytes of what it says."""

    cpu_s: int = 10
    wall_s: float = 60.0
    memory: int = 512 << 20
    output: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of the code in an answer. ``correct`` is None where none could be run; ``note`` says why.

    ``generation`` is the answer's key and ``gold`` a hash of its cases: the verdict is on nothing else.
    """

    benchmark: str
    id: str
    turn: int | None
    sample: int
    generation: str
    gold: str
    correct: bool | None
    outcome: Outcome
    note: str

    @property
    def name(self) -> Name:
        return (self.benchmark, self.id, self.turn, self.sample)


Verdicts = Mapping[Name, Verdict]


def code_score(answer: Answer, output: Output, gold: CodeGold, verdicts: Verdicts) -> Score:
    """The score of an answer to a code task, from the verdict on it; unscored without one."""
    found = _of(verdicts, answer, gold)
    if found is None:
        return CODE_UNSCORED
    code = code_of(output, gold)
    value = None if found.correct is None else float(found.correct)
    text, span = (code.text[:SHOWN_CHARS], code.span) if code else (None, None)
    return Score(text, found.correct, value, found.outcome, found.note, span)


def _of(verdicts: Verdicts, answer: Answer, gold: CodeGold) -> Verdict | None:
    """The verdict on this answer and this gold; None if there is none, or it is on another."""
    found = verdicts.get(answer.name)
    return found if found and (found.generation, found.gold) == (answer.key, _hash(gold)) else None


def read_verdicts(folder: Path) -> Verdicts:
    """The verdicts in a run's folder; none where its code was never run.

    Raises:
        UserError: they cannot be read.
    """
    try:
        lines = (folder / VERDICTS).read_bytes().splitlines()
        found = [_VERDICT.validate_json(line, strict=True) for line in lines]
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        raise UserError(
            f"{folder / VERDICTS}: cannot be read: remove it, and score with allow_code=true again"
        ) from error
    return {each.name: each for each in found}


_VERDICT = TypeAdapter(Verdict)


def judge_code(
    folder: Path, answers: Iterable[tuple[Answer, Output, CodeGold]], *, again: bool = False
) -> int:
    """Run the code of a run's answers, and keep the verdicts in its folder; returns how many there are.

    Args:
        again: also where there is a verdict already.

    Raises:
        UserError: the verdicts that are there cannot be read.
    """
    known: Verdicts = {} if again else read_verdicts(folder)
    found = []
    for answer, output, gold in answers:
        made = _of(known, answer, gold)
        if made is None or made.correct is None:
            made = Verdict(*answer.name, answer.key, _hash(gold), *verdict(output, gold))
        found.append(made)
    if found or (folder / VERDICTS).exists():
        lines = (json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in found)
        write_atomically(folder / VERDICTS, "".join(lines))
    return len(found)


def _hash(gold: CodeGold) -> str:
    content = json.dumps([gold.function, gold.cases, gold.tolerance], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def verdict(output: Output, gold: CodeGold, limits: Limits | None = None) -> tuple[bool | None, Outcome, str]:
    """Whether the code in an output is right, the outcome's kind, and why in a few words.

    None where the code could not be run in a sandbox.
    """
    code = code_of(output, gold)
    if code is None:
        return False, "truncated" if unfinished(output) else "no_final_answer", "no code block"
    if len(code.text) > MAX_CODE:
        return False, "wrong_code", f"longer than {MAX_CODE:,} characters"
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        return None, "unscored", "code is run only on Linux, on x86_64 or aarch64"
    said = _ask(code.text, gold, limits or Limits())
    if said.refused:
        return None, "unscored", said.refused
    note = said.failed or _compared(said.lines, gold)
    return not note, "wrong_code" if note else "correct", note


@dataclass(frozen=True, slots=True)
class _Said:
    """What the child said after it was ready; why it refused, or what ended it."""

    lines: tuple[bytes, ...] = ()
    refused: str = ""
    failed: str = ""


def _ask(code: str, gold: CodeGold, limits: Limits) -> _Said:
    request = {
        "code": code.encode("utf-8", "replace").decode(),
        "function": gold.name,
        "cases": [arguments for arguments, _ in gold.cases],
        "cpu_s": limits.cpu_s,
        "memory": limits.memory,
    }
    try:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-X", "utf8", str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        return _Said(refused=f"the sandbox cannot be started ({error.strerror or error})")
    with child:
        try:
            with contextlib.suppress(BrokenPipeError):
                assert child.stdin is not None
                child.stdin.write(json.dumps(request).encode())
                child.stdin.close()
            text, failed = _read(child, limits)
        finally:
            child.kill()
    first, *lines = text.split(b"\n")
    if first != b'{"ready": true}':
        reason = _json(first)
        refused = reason.get("refused") if isinstance(reason, dict) else None
        return _Said(refused=printable(str(refused or failed or "the sandbox did not start"), SHOWN_CHARS))
    return _Said(tuple(line for line in lines if line), failed=failed or _ended(child.returncode, limits))


def _read(child: subprocess.Popen[bytes], limits: Limits) -> tuple[bytes, str]:
    """All that the child says until it ends, and why it was not let go on, if so."""
    assert child.stdout is not None
    parts: list[bytes] = []
    left, deadline = limits.output, time.monotonic() + limits.wall_s
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return b"".join(parts), f"did not end in {limits.wall_s:g} s"
            part = os.read(child.stdout.fileno(), 1 << 16)
            if not part:
                break
            left -= len(part)
            if left < 0:
                return b"".join(parts), "wrote too much"
            parts.append(part)
    try:  # it may have closed its output and go on
        child.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return b"".join(parts), f"did not end in {limits.wall_s:g} s"
    return b"".join(parts), ""


def _ended(code: int | None, limits: Limits) -> str:
    if not code:
        return ""
    import signal

    if -code in (signal.SIGXCPU, signal.SIGKILL):
        return f"took more than {limits.cpu_s} s of CPU"
    return "crashed"


def _compared(lines: tuple[bytes, ...], gold: CodeGold) -> str:
    """Why the values are not those expected; "" where they are."""
    first = _json(lines[0]) if lines else None
    if isinstance(first, dict) and "undefined" in first:
        name = first["undefined"]
        return f"{_error(name)} where it is defined" if name else f"defines no {gold.name}"
    if len(lines) != len(gold.cases):
        return "ended before its last case"
    for number, (line, (_, wanted)) in enumerate(zip(lines, gold.cases, strict=True), start=1):
        said = _json(line)
        place = f"case {number} of {len(lines)}: "
        if not isinstance(said, dict) or "value" not in said:
            return place + _error(said.get("error") if isinstance(said, dict) else None)
        expected = json.loads(wanted)
        if not agrees(expected, said["value"], gold.tolerance):
            return f"{place}{_short(said['value'])}, right is {_short(expected)}"
    return ""


def _error(name: object) -> str:
    return name if isinstance(name, str) and _NAME.fullmatch(name) else "an error"


def _short(value: object) -> str:
    return printable(json.dumps(value)[: 4 * _SHOWN_VALUE], _SHOWN_VALUE)


def _json(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
