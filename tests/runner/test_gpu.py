"""What NVML says, from a stand-in for its library: there is no GPU where these tests run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from evalkit.engines.measure import _devices, energy_joules, memory_of


class NVMLError(Exception):
    pass


def library(**more: object) -> SimpleNamespace:
    """Two boards; our processes hold 5 and 3 bytes, somebody else's 100."""
    processes = {
        0: [SimpleNamespace(pid=1, usedGpuMemory=5), SimpleNamespace(pid=9, usedGpuMemory=100)],
        1: [SimpleNamespace(pid=2, usedGpuMemory=3), SimpleNamespace(pid=2, usedGpuMemory=None)],
    }
    content: dict[str, object] = {
        "NVMLError": NVMLError,
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetComputeRunningProcesses": lambda device: processes[device],
        "nvmlDeviceGetTotalEnergyConsumption": lambda device: 1500,
    }
    return SimpleNamespace(**{**content, **more})


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    _devices.cache_clear()
    yield
    _devices.cache_clear()


def fail(*_: object) -> None:
    raise NVMLError


def test_memory_of_our_processes_on_all_boards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", library())
    assert memory_of({1, 2, 3}) == 8
    assert memory_of({3}) is None, "a container hides processes: nothing told is not 0 bytes"


def test_energy_of_all_boards_in_joules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", library())
    assert energy_joules() == 3.0


def test_what_the_library_cannot_tell_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    old = library(nvmlDeviceGetTotalEnergyConsumption=fail, nvmlDeviceGetComputeRunningProcesses=fail)
    monkeypatch.setitem(sys.modules, "pynvml", old)
    assert energy_joules() is None
    assert memory_of({1}) is None


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", library(nvmlInit=fail))
    assert memory_of({1}) is None
    assert energy_joules() is None
