"""Sweeps made by hand: eleven Fin-R1 files, a small model's ladder, and whatever a test needs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from evalkit.schema import AVERAGE, Comparison, Estimate, Flips, Memory, Verdict
from evalkit.sweep.record import Cost, Divergence, Member, MemberFidelity, NoiseFloor, Sweep, Weights

MARGIN = 0.02
GIB = 2**30


def estimate(value: float, error: float, n: int) -> Estimate:
    """A mean with its normal 95 % interval."""
    return Estimate(value, error, value - 1.96 * error, value + 1.96 * error, n, n)


def compared(
    benchmark: str, candidate: Estimate, reference: Estimate, *, discordant: float = 0.1
) -> Comparison:
    """What a comparison says when `discordant` of the items differ; the verdict is read off the interval."""
    difference = candidate.value - reference.value
    found = estimate(difference, math.sqrt(discordant / candidate.n), candidate.n)
    if found.low > -MARGIN:
        verdict = Verdict("as_good")
    elif found.high < 0:
        verdict = Verdict("worse")
    else:
        verdict = Verdict("unresolved", 4 * candidate.n)
    lost = round(candidate.n * (discordant - difference) / 2)
    flips = Flips(lost, round(candidate.n * discordant) - lost, 3, candidate.n)
    average = benchmark == AVERAGE
    return Comparison(
        benchmark,
        candidate,
        reference,
        found,
        None if average else flips,
        estimate(12.0, 4.0, candidate.n),
        estimate(0.01, 0.01, candidate.n),
        None if average else 0.0123,
        0.04,
        0.3,
        0.2,
        0.6,
        2.8 * (found.error or 0.0),
        verdict,
    )


def cost(peak: int | None, decode: float | None, context: int = 4096, slots: int = 4) -> Cost:
    """A plausible cost; the prediction is made of the same parts as the peak."""
    kv = 57_344 * context * slots
    known = peak if peak is not None else 2 * GIB
    predicted = Memory(known - kv - 700_000_000, kv, 550_000_000, 140_000_000)
    return Cost(
        context=context,
        slots=slots,
        peak_memory_bytes=peak,
        gpu_memory_bytes=None,
        predicted=predicted,
        load_seconds=7.25,
        prefill_tokens_per_second=18.5,
        decode_tokens_per_second=decode,
        first_token_seconds=31.4,
        probe_prompt_tokens=512,
        probe_answer_tokens=64,
        throughput_tokens_per_second=9.0,
        tokens_per_answer=612.0,
        energy_joules=None,
        wall_seconds=8000.0,
    )


def member(
    name: str,
    gb: float,
    bits: float,
    decode: float | None,
    accuracy: Mapping[str, Estimate],
    reference: Mapping[str, Estimate] | None,
    *,
    title: str | None = None,
    peak: int | None = None,
) -> Member:
    """A finished member; `reference` is None for the reference itself."""
    size = round(gb * 1e9)
    comparisons: tuple[Comparison, ...] = ()
    if reference is not None:
        comparisons = tuple(compared(key, accuracy[key], reference[key]) for key in accuracy)
    return Member(
        name,
        title if title is not None else name,
        "done",
        run_dir=f"runs/{name}",
        weights=Weights(f"{name}.gguf", "0" * 64, size, bits, name.upper(), f"pure {name.upper()}"),
        cost=cost(peak if peak is not None else size + 1_640_000_000, decode),
        accuracy=dict(accuracy),
        truncated=0.021,
        comparisons=comparisons,
    )


def accuracies(values: Mapping[str, float], n: Mapping[str, int]) -> dict[str, Estimate]:
    """Estimates per benchmark and their average."""
    found = {name: estimate(p, math.sqrt(p * (1 - p) / n[name]), n[name]) for name, p in values.items()}
    if len(found) > 1:
        mean = sum(values.values()) / len(values)
        error = math.sqrt(sum((e.error or 0.0) ** 2 for e in found.values())) / len(found)
        found[AVERAGE] = estimate(mean, error, sum(n.values()))
    return found


def ladder(
    rows: Sequence[tuple[str, float, float, float, float]],
    base: Mapping[str, float],
    n: Mapping[str, int],
    prefix: str,
) -> tuple[Member, ...]:
    """Members from (name, GB, bits, tokens per second, points lost); the first one is the reference."""
    reference = accuracies(base, n)
    members = []
    for index, (name, gb, bits, decode, lost) in enumerate(rows):
        # Each benchmark suffers a little differently, in a fixed pattern.
        wobble = {key: ((7 * index + 3 * place) % 5 - 2) / 250 for place, key in enumerate(base)}
        values = {key: p - lost / 100 + (wobble[key] if index else 0.0) for key, p in base.items()}
        found = accuracies(values, n)
        title = f"{prefix} {name.upper()}"
        members.append(member(name, gb, bits, decode, found, reference if index else None, title=title))
    return tuple(members)


def fin_r1() -> Sweep:
    """Eleven files with the sizes of the card, of which one failed; three benchmarks of 1,000 items each."""
    rows = [
        ("bf16", 15.23, 16.0, 3.9, 0.0),
        ("f16", 15.23, 16.0, 4.0, 0.0),
        ("bf16-q8_0", 9.11, 9.6, 6.6, 0.0),
        ("f16-q8_0", 9.11, 9.6, 6.7, 0.1),
        ("q8_0", 8.10, 8.5, 7.4, 0.1),
        ("q6_k", 6.51, 6.8, 8.9, 0.2),
        ("q4_k", 5.08, 5.3, 11.2, 0.8),
        ("q4_k_s", 4.59, 4.8, 12.3, 1.4),
        ("q4_0", 4.29, 4.5, 13.9, 2.4),
        ("iq3_m", 3.57, 3.7, 10.1, 4.7),
        ("iq3_xs", 3.35, 3.5, 10.4, 6.1),
    ]
    base = {"finqa": 0.76, "convfinqa": 0.85, "ant_finance": 0.81, "tfns": 0.71}
    members = ladder(rows, base, dict.fromkeys(base, 1000), "Fin-R1")
    failed = replace(
        members[1],
        status="failed",
        reason="the file has a bad checksum",
        cost=None,
        accuracy={},
        comparisons=(),
    )
    titles = {"finqa": "FinQA", "convfinqa": "ConvFinQA", "ant_finance": "Ant_Finance", "tfns": "TFNS"}
    again = compared("finqa", members[0].accuracy["finqa"], members[0].accuracy["finqa"], discordant=0.01)
    return Sweep(
        name="fin-r1-quants",
        title="Fin-R1, eleven files",
        rule="financial",
        margin=MARGIN,
        reference="bf16",
        benchmarks=titles,
        members=(members[0], failed, *members[2:]),
        noise=(NoiseFloor("a second run", (again,)), NoiseFloor("2 slots instead of 4", (again,))),
        machine={"cpu": "a machine", "cores": 8},
        notes=("The weights were fetched on the way.",),
    )


def tiny() -> Sweep:
    """Seven files of a 135M model on 150 and 40 items: everything is close together, the intervals wide."""
    rows = [
        ("q8_0", 0.145, 8.6, 101.0, 0.0),
        ("q6_k", 0.138, 8.2, 98.0, -0.4),
        ("q4_k", 0.105, 6.2, 120.0, 1.0),
        ("q4_k_s", 0.102, 6.0, 122.0, 0.2),
        ("q4_0", 0.092, 5.4, 131.0, 4.0),
        ("iq3_m", 0.091, 5.4, 88.0, 3.0),
        ("iq3_xs", 0.088, 5.2, 86.0, 9.0),
    ]
    members = ladder(rows, {"finqa": 0.12, "tfns": 0.47}, {"finqa": 40, "tfns": 150}, "SmolLM2-135M")
    made: list[Member] = []
    for each in members:
        assert each.weights is not None
        weights = replace(each.weights, requantized_from="Q8_0")
        measured = cost(round(each.weights.size_bytes * 1.1) + 280_000_000, 100.0 + len(made), 1536)
        assert each.cost is not None
        measured = replace(measured, decode_tokens_per_second=each.cost.decode_tokens_per_second)
        made.append(replace(each, weights=weights, cost=measured))
    titles = {"finqa": "FinQA", "tfns": "TFNS"}
    return Sweep("smollm2-ladder", "SmolLM2-135M ladder", "financial", MARGIN, "q8_0", titles, tuple(made))


def crowd(count: int = 11, title: str | None = None) -> Sweep:
    """Members at almost the same place: what labels find hardest."""
    rows = [(f"member-{i:02d}", 5 + i / 1000, 5.0, 10 + i / 1000, i / 50) for i in range(count)]
    members = ladder(rows, {"finqa": 0.6, "tfns": 0.7}, {"finqa": 100, "tfns": 400}, "Crowd")
    if title is not None:
        members = tuple(replace(each, title=title) for each in members)
    return Sweep(
        "crowd",
        title or "A crowd",
        "financial",
        MARGIN,
        rows[0][0],
        {"finqa": title or "FinQA", "tfns": "TFNS"},
        members,
    )


def diverged(
    each: Member, kl: float, *, noise: float = 0.01, alike: float = 0.95, lost: float = 0.0
) -> Member:
    """A member with such a fidelity, on both of its benchmarks and on the average; intervals are narrow."""
    part = Divergence(
        kl=Estimate(kl, kl / 20, 0.9 * kl, 1.1 * kl, 40, 20),
        agreement=Estimate(alike, 0.001, alike - 0.002, alike + 0.002, 40, 20),
        noise=Estimate(noise, 0.0005, 0.9 * noise, 1.1 * noise, 40, 20),
        lost=Estimate(lost, 0.001, max(0.0, lost - 0.002), lost + 0.002, 40, 20),
        tokens=4000,
    )
    parts = dict.fromkeys(each.accuracy, part)
    return replace(each, fidelity=MemberFidelity(parts, "llama-cpp-python 0.0", 64, 40, 12.0))
