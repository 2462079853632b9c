"""A sweep's figures as the cells of tables: short text with its unit, `-` for what is not known."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.compare.comparison import Comparison, Estimate
from evalkit.compare.report import verdict_sentence
from evalkit.report.curves.points import AXES, front, points
from evalkit.report.curves.texts import panels
from evalkit.report.items import Mean
from evalkit.report.markdown import code, percent
from evalkit.sweep.recommend import Need, overall
from evalkit.sweep.record import Member, Sweep
from evalkit.sweep.sizes import size


def number(value: float | None, digits: int = 1, unit: str = "") -> str:
    """`12.3`, with thousands separated and the unit behind."""
    return "-" if value is None else f"{value:,.{digits}f}{unit}"


def file_size(member: Member) -> str:
    """Decimal, as files are listed: `8.10 GB`, `145 MB`."""
    if member.weights is None:
        return "-"
    count = member.weights.size_bytes
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def bits(member: Member) -> str:
    """Bits per weight."""
    return number(member.weights.bits_per_weight if member.weights else None, 2)


def peak(member: Member) -> str:
    """Measured peak memory, with the GPU's if there is one."""
    cost = member.cost
    if cost is None or cost.peak_memory_bytes is None:
        return "-"
    gpu = f" + {size(cost.gpu_memory_bytes)} GPU" if cost.gpu_memory_bytes else ""
    return size(cost.peak_memory_bytes) + gpu


def predicted(member: Member) -> str:
    """Predicted memory, and how far it is from the measured: `6.21 GiB (+1.2 %)`."""
    cost = member.cost
    if cost is None or cost.predicted is None:
        return "-"
    total = cost.predicted.total
    if not cost.peak_memory_bytes or cost.gpu_memory_bytes:
        return size(total)
    return f"{size(total)} ({100 * (total / cost.peak_memory_bytes - 1):+.1f} %)"


def accuracy(estimate: Estimate | None) -> str:
    """Per cent ± one standard error."""
    return "-" if estimate is None else percent(Mean(estimate.value, estimate.error, estimate.n))


def verdict(sweep: Sweep, member: Member, comparison: Comparison | None) -> str:
    """The verdict in words; what a member without one is."""
    if member.status == "failed":
        return "failed"
    if member.name == sweep.reference:
        return "the reference"
    return verdict_sentence(comparison, sweep.margin) if comparison else "not compared"


def fronts(sweep: Sweep) -> dict[str, str]:
    """Per member's name, the costs on whose Pareto front it is, by the first panel of the curves."""
    found: dict[str, list[str]] = {member.name: [] for member in sweep.members}
    for name, _ in panels(sweep)[:1]:
        for axis in AXES:
            for point in front(points(sweep, name, axis), axis):
                found[point.name].append(axis.title)
    return {name: ", ".join(costs) or "-" for name, costs in found.items()}


def step_lines(sweep: Sweep, found: Sequence[Need], name: Sequence[str]) -> list[str]:
    """`from 6.26 GiB: NAME, as good as the reference …` for each step of the choice."""
    return [
        f"from {size(step.bytes, up=True)}: {label}, {verdict(sweep, step.member, overall(step.member))}"
        for step, label in zip(found, name, strict=True)
    ]


def requantized(sweep: Sweep) -> str:
    """What must be said of members made from already quantized files; '' if there are none."""
    sources = sorted({w.requantized_from for m in sweep.members if (w := m.weights) and w.requantized_from})
    if not sources:
        return ""
    count = sum(bool(m.weights and m.weights.requantized_from) for m in sweep.members)
    return (
        f"Requantized: {count} of {len(sweep.members)} files were made from an already quantized one "
        f"({', '.join(code(source, 20) for source in sources)}), not from full precision. They carry its "
        "losses too, and no reference here is better than it: do not take these figures for those of files "
        "made from the original weights."
    )
