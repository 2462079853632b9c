"""One sweep from its plan to its folder of results."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from evalkit.errors import UserError
from evalkit.report.curves import curves
from evalkit.report.document import write_bytes
from evalkit.report.sweep import report
from evalkit.report.sweep_csv import table
from evalkit.report.sweep_terminal import to_terminal
from evalkit.runner.folder import write_atomically
from evalkit.sweep.conclude import conclude
from evalkit.sweep.disk import Disk
from evalkit.sweep.execute import run_members
from evalkit.sweep.noise import run_noise
from evalkit.sweep.outcome import reference_of
from evalkit.sweep.plan import Plan
from evalkit.sweep.record import FILE, Sweep, to_json


def run_sweep(plan: Plan, messages: Console, output: Console) -> int:
    """Run, compare, write and show; returns the exit code: 1 if a member failed or lacks answers, else 0.

    Raises:
        UserError: the data cannot be had, the reference failed, or another process works on this sweep.
        KeyboardInterrupt: the same call goes on.
    """
    from filelock import FileLock, Timeout

    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(plan.folder / ".lock", timeout=0)
        lock.acquire()
    except Timeout as error:
        raise UserError(f"{plan.folder}: another process runs this sweep: wait for it or end it") from error
    except OSError as error:
        raise UserError(f"{plan.folder}: cannot be used for the sweep: {error.strerror or error}") from error
    with lock:
        sweep = _sweep(plan, messages)
        write(sweep, plan.folder)
    output.print(to_terminal(sweep, output.width))
    output.print(f"report and curves: {plan.folder / 'report.md'}", highlight=False, soft_wrap=True)
    return int(any(member.status != "done" for member in sweep.members))


def _sweep(plan: Plan, messages: Console) -> Sweep:
    disk = Disk(plan.settings, messages)
    outcomes = run_members(plan, disk, messages)
    reference = reference_of(plan.settings, outcomes)
    noise = run_noise(plan, reference, messages)
    disk.clear()
    return conclude(plan, outcomes, reference, noise)


def write(sweep: Sweep, folder: Path) -> None:
    """Everything that is derived from a sweep's record, into its folder; the same record, the same bytes."""
    write_atomically(folder / FILE, to_json(sweep))
    write_atomically(folder / "report.md", report(sweep))
    write_atomically(folder / "table.csv", table(sweep))
    for name, content in curves(sweep).items():
        write_bytes(folder / name, content)
