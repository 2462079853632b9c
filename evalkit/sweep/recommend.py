"""Which member of a sweep to deploy on a given memory: what each needs, and the rule that chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evalkit.schema import UserError
from evalkit.sweep.record import Member, Sweep, overall
from evalkit.text import printable, size_text

_CONTEXT_STEP = 256  # llama.cpp pads the KV cache of a slot to a multiple of this

Basis = Literal["measured", "scaled", "predicted"]


@dataclass(frozen=True, slots=True)
class Need:
    """The memory (bytes) that serving `member` takes at the asked shape.

    `basis`: `measured` at that very shape, `scaled` from a measurement at another one, or only `predicted`.
    """

    member: Member
    bytes: int
    basis: Basis


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The choice for a budget of `memory` bytes.

    `fitting` is in the rule's order, `too_large` from small to large; `unknown` members have failed, or have
    no measurement that can be carried over to the asked shape. `context` (tokens per slot) and `slots` are
    None where every member keeps the shape that it was measured at.
    """

    memory: int
    context: int | None
    slots: int | None
    chosen: Need
    fitting: tuple[Need, ...]
    too_large: tuple[Need, ...]
    unknown: tuple[Member, ...]


def need(member: Member, context: int | None = None, slots: int | None = None) -> Need | None:
    """What a member needs at `context` tokens per slot and `slots` slots (default: as measured).

    The measured peak (resident, plus the GPU's where there is one; without a measurement the predicted
    total), plus what the KV cache and the compute buffers grow by. The KV cache holds `context * slots`
    tokens, the context rounded up to llama.cpp's step, and is proportional to that. The compute buffers are a
    constant plus a part proportional to the context of one slot, whatever the number of slots (see
    `evalkit.weights.memory`); how large the constant is, the record does not say. So they are scaled up with
    the context and never down, which is right or too much. What is left out is the logits of each further
    slot, one or two MiB.

    None for a failed member, if nothing was measured or predicted, or if that cannot be carried over to the
    asked shape.
    """
    cost = member.cost
    if cost is None or member.status == "failed":
        return None
    peak = cost.peak_memory_bytes
    if peak is not None:
        start = peak + (cost.gpu_memory_bytes or 0)
    elif cost.predicted is not None:
        start = cost.predicted.total
    else:
        return None
    if context in (None, cost.context) and slots in (None, cost.slots):
        return Need(member, start, "measured" if peak is not None else "predicted")
    if cost.predicted is None or not cost.context or not cost.slots:
        return None
    longer = _cells(context or cost.context) / _cells(cost.context)
    tokens = longer * (slots or cost.slots) / cost.slots
    growth = cost.predicted.kv * (tokens - 1) + cost.predicted.compute * (max(longer, 1.0) - 1)
    return Need(member, round(start + growth), "scaled" if peak is not None else "predicted")


def _cells(context: int) -> int:
    return -(-context // _CONTEXT_STEP) * _CONTEXT_STEP


def recommend(
    sweep: Sweep, memory: int, *, context: int | None = None, slots: int | None = None
) -> Recommendation:
    """The member to deploy on `memory` bytes at `context` tokens per slot and `slots` slots.

    The rule, among the members that fit: the reference, and those that are as good or better, first, the
    fastest decode before the smaller need; then those that are not resolvable, most bits per weight first;
    then the worse ones, smallest loss first; those that could not be compared last.

    Raises:
        UserError: none fits, or of none is it known what it needs.
    """
    known = [found for member in sweep.members if (found := need(member, context, slots)) is not None]
    unknown = tuple(member for member in sweep.members if need(member, context, slots) is None)
    if not known:
        shape = "" if context is slots is None else " at that context and these slots"
        raise UserError(f"{printable(sweep.name)}: no member's memory is known{shape}: run the sweep again")
    known.sort(key=lambda found: found.bytes)
    fitting = [found for found in known if found.bytes <= memory]
    if not fitting:
        smallest = printable(known[0].member.name)
        raise UserError(
            f"no file of {printable(sweep.name)} fits {size_text(memory)}: the smallest, {smallest}, needs "
            f"{size_text(known[0].bytes, up=True)}; give more memory, or a smaller context or fewer slots"
        )
    ranked = _ranked(sweep, fitting)
    too_large = tuple(found for found in known if found.bytes > memory)
    return Recommendation(memory, context, slots, ranked[0], tuple(ranked), too_large, unknown)


def steps(sweep: Sweep) -> list[Need]:
    """The choice as memory grows, at the measured shape: each one from its own need on, until the next."""
    found: list[Need] = []
    known = [each for member in sweep.members if (each := need(member)) is not None]
    for budget in sorted({each.bytes for each in known}):
        best = _ranked(sweep, [each for each in known if each.bytes <= budget])[0]
        if not found or best != found[-1]:
            found.append(best)
    return found


def _ranked(sweep: Sweep, fitting: Sequence[Need]) -> list[Need]:
    def key(found: Need) -> tuple[int, float, int]:
        member = found.member
        comparison = overall(member)
        kind = "as_good" if member.name == sweep.reference else comparison and comparison.verdict.kind
        if kind in ("as_good", "better"):
            speed = member.cost.decode_tokens_per_second if member.cost else None
            return 0, -(speed or 0.0), found.bytes
        if kind == "unresolved":
            bits = member.weights.bits_per_weight if member.weights else None
            return 1, -(bits or 0.0), found.bytes
        if comparison is not None:
            return 2, -comparison.difference.value, found.bytes
        return 3, 0.0, found.bytes

    return sorted(fitting, key=key)
