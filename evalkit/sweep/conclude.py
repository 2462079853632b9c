"""From the members' runs to the sweep's record: costs, accuracies, paired comparisons, verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalkit.compare.comparison import AVERAGE, Comparison, Estimate
from evalkit.compare.measure import comparisons, judged
from evalkit.compare.pairing import pair
from evalkit.compare.side import Side, load_side
from evalkit.errors import UserError
from evalkit.runner.record import read_generations
from evalkit.scorers import DEFAULT
from evalkit.stats.average import average_estimate
from evalkit.stats.paired import mean_estimate
from evalkit.sweep.cost import cost_of, weights_of
from evalkit.sweep.outcome import Outcome
from evalkit.sweep.plan import Plan
from evalkit.sweep.record import Member, NoiseFloor, Status, Sweep


def conclude(
    plan: Plan, outcomes: Sequence[Outcome], reference: Outcome, noise: Mapping[str, Outcome]
) -> Sweep:
    """The record of a finished sweep.

    Args:
        noise: the reference's other runs, by what was different.

    Only the reference's run and one other are in memory at a time.
    """
    margin = plan.settings.margin / 100
    assert reference.path is not None, "reference_of gives an outcome with a run"
    base = load_side(reference.path)
    members = [_member(outcome, reference, base, plan.folder, margin) for outcome in outcomes]
    family = judged([member.comparisons for member in members], margin)
    members = [replace(m, comparisons=tuple(c)) for m, c in zip(members, family, strict=True)]
    return Sweep(
        name=plan.settings.name,
        title=plan.settings.title,
        rule=DEFAULT,
        margin=margin,
        reference=reference.member.name,
        benchmarks={name: config["title"] for name, config in reference.member.config["benchmark"].items()},
        members=tuple(members),
        noise=tuple(_floor(what, outcome, base, margin) for what, outcome in noise.items()),
        machine=dict(reference.run["hardware"]),
        notes=tuple(_notes(reference)),
    )


def _member(outcome: Outcome, reference: Outcome, base: Side, folder: Path, margin: float) -> Member:
    name, title = outcome.member.name, outcome.member.title
    if outcome.path is None:
        return Member(name, title, "failed", outcome.reason)
    side = base if outcome is reference else load_side(outcome.path)
    records = read_generations(outcome.path / "generations.jsonl")
    found: list[Comparison] = []
    status: Status = "partial" if outcome.partial else "done"
    reason = "some examples have no answer" if outcome.partial else None
    if outcome is not reference:
        try:
            found = comparisons(pair(side, base, same_examples=True), margin)
        except UserError as error:
            status, reason = "failed", f"not comparable with {reference.member.name}: {error}"
    return Member(
        name=name,
        title=title,
        status=status,
        reason=reason,
        run_dir=_relative(outcome.path, folder),
        weights=weights_of(outcome.run),
        cost=cost_of(outcome.run, records),
        accuracy=_accuracy(side),
        truncated=sum(r.finish_reason == "length" for r in records) / len(records) if records else None,
        comparisons=tuple(found),
    )


def _accuracy(side: Side) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    for benchmark, items in side.items.items():
        scored = [item for item in items.values() if item.value is not None]
        if scored:
            values = [item.value for item in scored if item.value is not None]
            found[benchmark] = mean_estimate(values, [item.example.group for item in scored])
    if found:
        found[AVERAGE] = average_estimate(list(found.values()))
    return found


def _floor(what: str, outcome: Outcome, base: Side, margin: float) -> NoiseFloor:
    if outcome.path is None:
        return NoiseFloor(f"{what}: failed, {outcome.reason}", ())
    found = comparisons(pair(load_side(outcome.path), base, same_examples=True), margin)
    return NoiseFloor(what, tuple(judged([found], margin)[0]))


def _relative(path: Path, folder: Path) -> str:
    import os

    return Path(os.path.relpath(path.absolute(), folder.absolute())).as_posix()


def _notes(reference: Outcome) -> list[str]:
    """What everybody who reads the numbers must know: how they came about."""
    config: Mapping[str, Any] = reference.member.config
    protocol = config["protocol"]
    limit = "all" if config["limit"] is None else f"{config['limit']} per benchmark"
    return [
        f"protocol {protocol['name']}, temperature {protocol['temperature']}, answers of at most "
        f"{reference.run['sampling']['max_tokens']} tokens; data {config['data']['source']}, {limit}, "
        f"sampling by {config['sampling']}, seed {config['seed']}",
        f"engine {reference.run['engine'].get('build')}",
    ]
