"""Peak memory of a process tree: resident on the host, and on the GPU where NVML tells."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

from evalkit.backends.gpu import memory_of


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
