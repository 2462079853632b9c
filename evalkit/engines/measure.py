"""What an engine takes of a machine, and how fast it is: memory, energy, tokens per second.

GPU memory and energy are what NVIDIA's management library (NVML) tells; without a GPU, a driver or the
`nvidia-ml-py` package they are None: nothing was measured. Processor energy is what RAPL counts (Linux;
reading it usually takes root): https://docs.kernel.org/power/powercap/powercap.html
"""

from __future__ import annotations

import contextlib
import functools
import statistics
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from evalkit.schema import Speed


class PeakMemory:
    """The highest memory seen of a process and its children, in bytes; `gpu_bytes` None if nothing told.

    The kernel's own high-water mark (VmHWM) is exact for one process but knows nothing of its children;
    sampling sees the tree but can miss a peak. The larger of the two is kept.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self.gpu_bytes: int | None = None

    def sample(self, pid: int) -> None:
        """Look at the tree below `pid` now. A process that has just ended counts as nothing."""
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(pid)
            tree = [root, *root.children(recursive=True)]
            total = 0
            for process in tree:
                with contextlib.suppress(psutil.Error):
                    total += process.memory_info().rss
            self.bytes = max(self.bytes, total, high_water_mark(pid))
            on_gpu = memory_of({process.pid for process in tree})
            if on_gpu is not None:
                self.gpu_bytes = max(self.gpu_bytes or 0, on_gpu)


def high_water_mark(pid: int) -> int:
    """VmHWM of one process in bytes (Linux; elsewhere 0)."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


@functools.cache
def _devices() -> tuple[Any, ...]:
    try:
        import pynvml

        pynvml.nvmlInit()
        return tuple(pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount()))
    except Exception:
        return ()


def memory_of(pids: Collection[int]) -> int | None:
    """GPU memory in bytes that these processes hold on all boards; None if NVML does not tell.

    In a container NVML often hides the processes: then None, not 0.
    """
    found: list[int] = []
    for device in _devices():
        import pynvml

        with contextlib.suppress(pynvml.NVMLError):
            running = pynvml.nvmlDeviceGetComputeRunningProcesses(device)
            found += [p.usedGpuMemory for p in running if p.pid in pids and p.usedGpuMemory is not None]
    return sum(found) if found else None


def energy_joules() -> float | None:
    """Energy in joules that the boards have used since their driver was loaded; None if they do not count."""
    total = 0
    for device in _devices():
        import pynvml

        try:
            total += pynvml.nvmlDeviceGetTotalEnergyConsumption(device)
        except pynvml.NVMLError:  # boards before Volta
            return None
    return total / 1000 if _devices() else None


_POWERCAP = Path("/sys/class/powercap")


class EnergyMeter:
    """Joules since it was made, of everything that runs on the machine and not of one process.

    `update` must be called more often than a counter wraps (some 40 minutes).
    """

    def __init__(self, powercap: Path = _POWERCAP) -> None:
        self._packages = [
            (domain / "energy_uj", _number(domain / "max_energy_range_uj") or 0)
            # Sub-domains (intel-rapl:0:0) are parts of their package, and psys holds the packages.
            for domain in sorted(powercap.glob("intel-rapl:*"))
            if domain.name.count(":") == 1 and _name(domain).startswith("package")
        ]
        self._last = [_number(file) for file, _ in self._packages]
        self._microjoules = 0
        self._boards = energy_joules()

    def update(self) -> None:
        """Add what the processors have used since the last look."""
        for index, (file, span) in enumerate(self._packages):
            now, before = _number(file), self._last[index]
            if now is not None and before is not None:
                self._microjoules += now - before if now >= before else now - before + span
            self._last[index] = now

    def joules(self) -> float | None:
        """Energy used since the start; None if nothing here counts it."""
        self.update()
        parts: list[float] = []
        if any(value is not None for value in self._last):
            parts.append(self._microjoules / 1e6)
        boards = energy_joules()
        if boards is not None and self._boards is not None:
            parts.append(boards - self._boards)
        return round(sum(parts), 3) if parts else None


def _name(domain: Path) -> str:
    try:
        return (domain / "name").read_text()
    except OSError:
        return ""


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


PROMPT_TOKENS = 512
ANSWER_TOKENS = 64
_FEWEST_ANSWER_TOKENS = 8
_REPEATS = 3
_ENOUGH_SECONDS = 90.0  # a large model on a CPU takes minutes for one repeat: then one must do
_TEXT = "Net revenue for the fiscal year increased by 4.2 percent to 1,318 million dollars. "
_TEXT_TOKENS = 8  # of `_TEXT`, at least


@dataclass(frozen=True, slots=True)
class Trial:
    """Seconds until the first token, and tokens per second of the prompt and of the answer."""

    first_token_seconds: float
    prefill: float
    decode: float


async def measure_speed(
    context: int,
    tokenize: Callable[[str], Awaitable[list[int]]],
    trial: Callable[[list[int], int], Awaitable[Trial]],
) -> Speed | None:
    """The speed of a server alone with one request: comparable between files whatever their answers.

    The same idea as llama.cpp's `llama-bench` (pp512, tg64): a prompt of fixed length, an answer of fixed
    length that no end-of-text token cuts short, nothing reused from the cache. Medians of some repeats.

    Args:
        context: tokens that one request may take; None is returned where they are too few to tell.
        trial: sends a prompt and has an answer of so many tokens.
    """
    answer_tokens = min(ANSWER_TOKENS, context // 4)
    prompt_tokens = min(PROMPT_TOKENS, context - answer_tokens - 1)
    if answer_tokens < _FEWEST_ANSWER_TOKENS:
        return None
    tokens = (await tokenize(_TEXT * (prompt_tokens // _TEXT_TOKENS)))[:prompt_tokens]
    trials: list[Trial] = []
    started = time.monotonic()
    while len(trials) < _REPEATS and time.monotonic() - started <= _ENOUGH_SECONDS:
        trials.append(await trial(tokens, answer_tokens))
    return Speed(
        prompt_tokens=len(tokens),
        answer_tokens=answer_tokens,
        repeats=len(trials),
        prefill_tokens_per_second=statistics.median(each.prefill for each in trials),
        decode_tokens_per_second=statistics.median(each.decode for each in trials),
        first_token_seconds=statistics.median(each.first_token_seconds for each in trials),
    )
