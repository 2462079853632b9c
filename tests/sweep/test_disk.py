"""Which files a sweep removes, and when."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from evalkit.config.settings import SweepSettings, run_settings
from evalkit.run.info import EngineInfo, GgufInfo, WeightsInfo
from evalkit.sweep.plan import PlannedMember, plan
from evalkit.sweep.results import MemberResult, highest_precision
from evalkit.sweep.runner import Disk


def settings(*more: str) -> SweepSettings:
    return plan(["+model=fin-r1-q4_k,fin-r1-q6_k", *more]).settings


def planned(name: str, path: Path | None = None) -> PlannedMember:
    """A member, of a file of the user's own if `path` is given."""
    found = run_settings(["model=fin-r1-q4_k", "data=sample", *([f"model.path={path}"] if path else [])])
    return PlannedMember(name, name, found)


def outcome(folder: Path, name: str, bits: float, path: Path | None = None) -> MemberResult:
    """A finished member whose file is one that the Hugging Face cache would link to."""
    blob, link = folder / f"{name}.blob", folder / name
    blob.write_bytes(b"weights")
    link.symlink_to(blob)
    weights = WeightsInfo(path=str(link), gguf=GgufInfo(bits_per_weight=bits))
    return MemberResult(planned(name, path), folder, EngineInfo(weights=weights))


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def both(*names: str) -> set[str]:
    return {f"{name}{suffix}" for name in names for suffix in ("", ".blob")}


def test_files_stay_unless_asked_for(tmp_path: Path) -> None:
    disk = Disk(settings(), Console(file=io.StringIO()))
    disk.finished(outcome(tmp_path, "a", 4))
    disk.clear()
    assert left(tmp_path) == both("a")


def test_only_the_best_candidate_for_the_reference_stays_until_the_end(tmp_path: Path) -> None:
    disk = Disk(settings("sweep.delete_weights=true"), Console(file=io.StringIO()))
    for name, bits, stays in (("a", 4.0, "a"), ("b", 16.0, "b"), ("c", 8.0, "b"), ("d", 16.0, "b")):
        disk.finished(outcome(tmp_path, name, bits))
        assert left(tmp_path) == both(stays)
    disk.clear()
    assert not left(tmp_path)


def test_a_named_reference_stays_whatever_its_precision(tmp_path: Path) -> None:
    chosen = settings("sweep.delete_weights=true", "sweep.reference=fin-r1-q4_k")
    disk = Disk(chosen, Console(file=io.StringIO()))
    disk.finished(outcome(tmp_path, "fin-r1-q4_k", 4))
    disk.finished(outcome(tmp_path, "fin-r1-q6_k", 6))
    assert left(tmp_path) == both("fin-r1-q4_k")


def test_a_file_of_the_users_own_is_never_removed(tmp_path: Path) -> None:
    disk = Disk(settings("sweep.delete_weights=true"), Console(file=io.StringIO()))
    mine = outcome(tmp_path, "mine", 4, tmp_path / "mine")
    disk.finished(mine)
    disk.clear()
    assert left(tmp_path) == both("mine")


def test_a_failed_member_is_no_reference(tmp_path: Path) -> None:
    failed = MemberResult(planned("x"), None, EngineInfo(), "no network")
    fine = outcome(tmp_path, "a", 4)
    assert highest_precision([failed, fine]) is fine
    assert highest_precision([failed]) is None
