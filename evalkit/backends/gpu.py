"""What NVIDIA's management library (NVML) tells: GPU memory of our processes, energy of the boards.

Without a GPU, a driver or the `nvidia-ml-py` package everything is None: nothing was measured.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Any


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
    import contextlib

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
