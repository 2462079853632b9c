"""The child process that runs a model's code: without files, network, other processes, or our environment.

    python -I -S sandbox.py

reads one request from standard input, `{"code", "function", "cases", "cpu_s", "memory"}`, cases as the JSON
of their arguments, and writes lines of JSON to standard output: `{"ready": true}`, or `{"refused": REASON}`
where it cannot lock itself in; then for each case `{"value": ...}` or `{"error": NAME}`, or one
`{"undefined": NAME}`. Nobody believes these lines: they come from whatever the code makes of this process,
which knows the arguments and not what is expected.

Linux's seccomp allows, from before the first line of that code to the process's end, only the system calls
on a short list: memory, time, random bytes, reading and writing what is open already, and to end. To open a
file or a socket, to start a process or a thread, to signal anybody: everything else fails with EPERM. What is
open is standard input (at its end), the pipe to the parent, and /dev/null. That needs no privileges, no
namespaces and no other program, and holds for native code, too. The process tests that it holds before it
says that it is ready.

Modules of the standard library that calculations need are imported before: later there are no others.

It is run as a file, and imports nothing of ours.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import struct
import sys
import types
import warnings
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

MODULES = (
    *("abc", "array", "bisect", "calendar", "cmath", "collections", "collections.abc", "contextlib", "copy"),
    *("dataclasses", "datetime", "_strptime", "decimal", "enum", "fractions", "functools", "heapq", "io"),
    *("itertools", "json", "math", "numbers", "operator", "random", "re", "statistics", "string", "textwrap"),
    *("time", "types", "typing"),
)
"""What code may import. Later there is no file to import anything from."""

_MOST_VALUES = 10_000  # in one case's value, lists in lists included
_DEEPEST = 8
_LONGEST_TEXT = 2_000

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER = 2
_ALLOW, _EPERM, _KILL_PROCESS = 0x7FFF0000, 0x00050001, 0x80000000

# Numbers of Linux's arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
_SYSTEM_CALLS: dict[str, tuple[int, dict[str, int]]] = {
    "x86_64": (
        0xC000003E,
        {
            **{"read": 0, "write": 1, "close": 3, "fstat": 5, "lseek": 8},
            **{"mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "mremap": 25, "madvise": 28},
            **{"rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "sigaltstack": 131},
            **{"gettimeofday": 96, "time": 201, "clock_gettime": 228, "clock_getres": 229},
            **{"getrusage": 98, "times": 100, "getpid": 39, "getrandom": 318},
            **{"futex": 202, "sched_yield": 24, "rseq": 334, "restart_syscall": 219},
            **{"exit": 60, "exit_group": 231},
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            **{"read": 63, "write": 64, "close": 57, "fstat": 80, "lseek": 62},
            **{"mmap": 222, "mprotect": 226, "munmap": 215, "brk": 214, "mremap": 216, "madvise": 233},
            **{"rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "sigaltstack": 132},
            **{"gettimeofday": 169, "clock_gettime": 113, "clock_getres": 114},
            **{"getrusage": 165, "times": 153, "getpid": 172, "getrandom": 278},
            **{"futex": 98, "sched_yield": 124, "rseq": 293, "restart_syscall": 128},
            **{"exit": 93, "exit_group": 94},
        },
    ),
}


def _filter(architecture: int, allowed: list[int]) -> bytes:
    """The program of classic BPF (struct sock_filter: code, jump if true, jump if false, constant).

    It loads the architecture (offset 4 of struct seccomp_data) and kills calls of another one, whose numbers
    mean something else; then the number (offset 0), and allows those of the list. Numbers of x32 have a bit
    more and are on no list.
    """
    load, equal, answer = 0x20, 0x15, 0x06
    steps = [(load, 0, 0, 4), (equal, 1, 0, architecture), (answer, 0, 0, _KILL_PROCESS), (load, 0, 0, 0)]
    steps += [(equal, len(allowed) - place, 0, number) for place, number in enumerate(allowed)]
    steps += [(answer, 0, 0, _EPERM), (answer, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


class _Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def lock_in(cpu_seconds: int, memory: int) -> None:
    """Give up everything that calculations do not need, for good. Raises OSError where Linux cannot."""
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 3),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(limit, (value, value))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    architecture, calls = _SYSTEM_CALLS[os.uname().machine]
    code = _filter(architecture, sorted(calls.values()))
    held = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(held))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*arguments):
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))


def open_door(socket: Callable[[], object]) -> str:
    """What this process can do though it must not; "" if nothing. Each attempt is harmless by itself."""
    attempts: dict[str, Callable[[], object]] = {
        "read a file": lambda: os.open(sys.executable, os.O_RDONLY),
        "list a folder": lambda: list(Path("/").iterdir()),
        "see a file": Path("/").stat,
        "write a file": lambda: os.open(f"/tmp/evalkit-sandbox-{os.getpid()}", os.O_WRONLY | os.O_CREAT),
        "open a socket": socket,
        "start a process": _fork,
        "send a signal": lambda: os.kill(os.getpid(), 0),
    }
    for name, attempt in attempts.items():
        try:
            attempt()
        except PermissionError:
            continue
        except OSError as error:
            return f"{name} (errno {error.errno})"
        return name
    return ""


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def plain(value: object, depth: int = 0) -> object:
    """A value as JSON has it, made of exactly Python's own types: no method of anybody else's is called.

    Raises TypeError for other types, and for too much.
    """

    def is_a(*kinds: type) -> bool:
        return any(type(value) is kind for kind in kinds)  # `==` would ask a metaclass

    if value is None or is_a(bool, int, float) or (is_a(str) and len(value) <= _LONGEST_TEXT):  # type: ignore[arg-type]
        return value
    if is_a(Decimal, Fraction):
        return float(value)  # type: ignore[arg-type]
    if is_a(list, tuple) and depth < _DEEPEST and len(value) <= _MOST_VALUES:  # type: ignore[arg-type]
        return [plain(each, depth + 1) for each in value]  # type: ignore[attr-defined]
    raise TypeError("no plain value")


class _Nowhere:
    """Standard output and error of the code."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


def main() -> None:
    """Lock in, define, call, and write a line each."""
    request = json.loads(sys.stdin.buffer.read())
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, 9)
    for name in MODULES:
        importlib.import_module(name)
    import _socket

    warnings.simplefilter("ignore")
    os.chdir("/")
    write, dumps, loads = os.write, json.dumps, json.loads

    def say(line: dict[str, object]) -> None:
        write(1, dumps(line).encode() + b"\n")

    try:
        lock_in(request["cpu_s"], request["memory"])
        way_out = open_door(_socket.socket)
    except (OSError, ValueError, KeyError) as error:
        say({"refused": f"Linux's seccomp cannot be had here ({error})"})
        return
    if way_out:
        say({"refused": f"seccomp does not hold here: the child can still {way_out}"})
        return
    say({"ready": True})
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = _Nowhere()  # type: ignore[assignment, misc]
    module = sys.modules["solution"] = types.ModuleType("solution")  # dataclasses look for it
    try:
        exec(compile(request["code"], "<code>", "exec"), vars(module))  # noqa: S102 - what this process is for
        function = vars(module).get(request["function"])
    except BaseException as error:
        say({"undefined": type(error).__name__})
        return
    if function is None:
        say({"undefined": ""})
        return
    for arguments in request["cases"]:
        try:
            line = dumps({"value": plain(function(*loads(arguments)))})
        except BaseException as error:
            line = dumps({"error": type(error).__name__})
        write(1, line.encode() + b"\n")


if __name__ == "__main__":
    try:
        main()
    finally:
        os._exit(0)  # no handler of the code's has the last word
