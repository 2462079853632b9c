"""Reading the machine's energy counters, from files laid out as Linux has them."""

from __future__ import annotations

from pathlib import Path

from evalkit.engines.measure import EnergyMeter


def domain(root: Path, folder: str, name: str, microjoules: int, span: int = 1_000_000_000) -> Path:
    place = root / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / "name").write_text(f"{name}\n")
    (place / "max_energy_range_uj").write_text(f"{span}\n")
    (place / "energy_uj").write_text(f"{microjoules}\n")
    return place / "energy_uj"


def test_it_adds_up_packages_and_not_their_parts(tmp_path: Path) -> None:
    one = domain(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    two = domain(tmp_path, "intel-rapl:1", "package-1", 1_000_000)
    part = domain(tmp_path, "intel-rapl:0:0", "core", 0)
    whole = domain(tmp_path, "intel-rapl:2", "psys", 0)
    meter = EnergyMeter(tmp_path)
    for file, now in ((one, 8_000_000), (two, 3_500_000), (part, 9_000_000), (whole, 9_000_000)):
        file.write_text(str(now))
    assert meter.joules() == 5.5


def test_a_counter_that_wraps_is_followed(tmp_path: Path) -> None:
    counter = domain(tmp_path, "intel-rapl:0", "package-0", 90_000_000, span=100_000_000)
    meter = EnergyMeter(tmp_path)
    counter.write_text("20000000")
    meter.update()
    counter.write_text("30000000")
    assert meter.joules() == 40.0


def test_a_machine_that_counts_nothing_gives_none_and_not_zero(tmp_path: Path) -> None:
    assert EnergyMeter(tmp_path).joules() is None
    unreadable = domain(tmp_path, "intel-rapl:0", "package-0", 0)
    unreadable.unlink()
    assert EnergyMeter(tmp_path).joules() is None
