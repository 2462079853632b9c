"""Which member of a sweep to deploy on a given memory: what each needs, and the rule that chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from evalkit.compare.needed import SAMPLE, Needed, needed, size_of
from evalkit.fidelity.figures import excess
from evalkit.files import CONFIGS
from evalkit.fitness import Unfit, floor_of, unfit
from evalkit.load.record import Level, LoadResult
from evalkit.schema import AVERAGE, Comparison, Estimate, UserError
from evalkit.sweep.record import Cost, Member, Sweep, overall
from evalkit.text import mapping, printable, size_text

_CONTEXT_STEP = 256  # llama.cpp pads the KV cache of a slot to a multiple of this

Basis = Literal["measured", "scaled", "predicted"]


@dataclass(frozen=True, slots=True)
class Target:
    """How long people may wait: seconds that 95 % of the waits do not exceed, when `users` ask at once.

    `first_token`: until an answer begins; `per_token`: for each token after that; None: any time.
    """

    users: int
    first_token: float
    per_token: float | None = None

    def met_by(self, level: Level) -> bool:
        """Whether what was measured is as short."""
        first, each = level.first_token, level.per_token
        if first is None or first.p95 > self.first_token:
            return False
        return self.per_token is None or (each is not None and each.p95 <= self.per_token)


@dataclass(frozen=True, slots=True)
class Served:
    """A file as `evalkit load` served it, and what the asked number of users saw, or the next larger one."""

    load: LoadResult
    level: Level
    meets: bool


@dataclass(frozen=True, slots=True)
class Need:
    """The memory (bytes) that serving `member` takes at the asked shape.

    `basis`: `measured` at that very shape, `scaled` from a measurement at another one, or only `predicted`.
    `served`: where it was measured under load as it is meant to be served; then the memory is what that took.
    """

    member: Member
    bytes: int
    basis: Basis
    served: Served | None = None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The choice for a budget of `memory` bytes, None where everything that fits is unfit.

    `fitting` (without the `unfit` ones, which fit too) is in the rule's order, `too_large` from small to
    large; `unknown` members have failed, or have no measurement that can be carried over to the asked shape.
    `context` (tokens per slot) and `slots` are None where every member keeps the shape that it was measured
    at. With a `target`, `too_slow` ones fit and do not meet it, and `unmeasured` ones fit and were never
    measured with so many users.
    """

    memory: int
    context: int | None
    slots: int | None
    chosen: Need | None
    fitting: tuple[Need, ...]
    unfit: tuple[Need, ...]
    too_large: tuple[Need, ...]
    unknown: tuple[Member, ...]
    target: Target | None = None
    too_slow: tuple[Need, ...] = ()
    unmeasured: tuple[Need, ...] = ()


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
    peak = cost.memory_bytes
    if peak is not None:
        start = peak
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
    sweep: Sweep,
    memory: int,
    *,
    context: int | None = None,
    slots: int | None = None,
    target: Target | None = None,
    loads: Sequence[LoadResult] = (),
) -> Recommendation:
    """The member to deploy on `memory` bytes at `context` tokens per slot and `slots` slots.

    The rule, among the members that fit and are not unfit (see `evalkit.fitness`): the reference, and those
    that are as good or better, first, the fastest decode before the smaller need; then those without an
    answer yet, most bits per weight first; then the worse ones, smallest loss first; those that could not
    be compared last. Where accuracy has no answer yet, fidelity has a say: what is within the engine's noise
    counts as good, and what is foretold to lose more than the margin comes after the others (`foretold`).
    With a `target`, only those of which `loads` (see `evalkit.load`) has a measurement that meets it.

    Raises:
        UserError: none fits, of none is it known what it needs, or none that fits meets the target.
    """

    def needed_by(member: Member) -> Need | None:
        served = _served(member, loads, memory, context, slots, target)
        found = need(member, context, slots)
        peak = served.load.peak_bytes if served else None
        if served is not None and peak is not None and member.status != "failed":
            return Need(member, peak, "measured", served)
        return found if found is None else replace(found, served=served)

    needs = [(member, needed_by(member)) for member in sweep.members]
    known = [found for _, found in needs if found is not None]
    unknown = tuple(member for member, found in needs if found is None)
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
    fit = [found for found in fitting if unfit_member(found.member) is None]
    slow, unmeasured = list[Need](), list[Need]()
    if target is not None:
        unmeasured = [found for found in fit if found.served is None]
        slow = [found for found in fit if found.served is not None and not found.served.meets]
        fit = [found for found in fit if found.served is not None and found.served.meets]
        if (slow or unmeasured) and not fit:
            raise _none_in_time(target, slow, unmeasured)
    ranked = _ranked(sweep, fit)
    return Recommendation(
        memory=memory,
        context=context,
        slots=slots,
        chosen=ranked[0] if ranked else None,
        fitting=tuple(ranked),
        unfit=tuple(found for found in fitting if unfit_member(found.member) is not None),
        too_large=tuple(found for found in known if found.bytes > memory),
        unknown=unknown,
        target=target,
        too_slow=tuple(slow),
        unmeasured=tuple(unmeasured),
    )


def _served(
    member: Member,
    loads: Sequence[LoadResult],
    memory: int,
    context: int | None,
    slots: int | None,
    target: Target | None,
) -> Served | None:
    """The measurement under load that says how to serve a member; None if there is none.

    With a target: of those within memory with so many users, one that meets it before one that does not, the
    smaller before the larger. Without: only one at the asked shape, and the most users.
    """
    if member.weights is None or member.cost is None:
        return None
    found = []
    for load in loads:
        if load.sha256 != member.weights.sha256 or not load.levels:
            continue
        if target is None:
            asked = (context or member.cost.context, slots or member.cost.slots)
            if (load.context, load.slots) == asked:
                found.append(Served(load, load.levels[-1], True))
            continue
        fits = (load.peak_bytes or 0) <= memory
        as_asked = (load.context or 0) >= (context or 0) and slots in (None, load.slots)
        if fits and as_asked and (level := load.level(target.users)) is not None:
            found.append(Served(load, level, target.met_by(level)))
    return min(
        found, key=lambda each: (not each.meets, _first(each), each.load.peak_bytes or 0), default=None
    )


def _first(served: Served) -> float:
    """p95 of the wait for the first token where it is too long: the shortest of those says most."""
    wait = served.level.first_token
    return 0.0 if served.meets or wait is None else wait.p95


def _none_in_time(target: Target, slow: Sequence[Need], unmeasured: Sequence[Need]) -> UserError:
    wanted = f"no file that fits is known to answer {target.users} users in time"
    said = []
    timed = [
        (each.served.level.first_token.p95, each)
        for each in slow
        if each.served and each.served.level.first_token
    ]
    if timed:
        seconds, best = min(timed, key=lambda each: each[0])
        said.append(
            f"of those measured, {printable(best.member.name)} waits {seconds:.2f} s for a first token (p95)"
        )
    if unmeasured:
        names = ", ".join(printable(each.member.name) for each in unmeasured[:5])
        said.append(f"not measured: {names}: evalkit load FILE users={target.users}")
    return UserError(f"{wanted}: {'; '.join(said)}")


def steps(sweep: Sweep) -> list[Need]:
    """The choice as memory grows, at the measured shape: each one from its own need on, until the next.

    An unfit member is no step.
    """
    found: list[Need] = []
    fit = [member for member in sweep.members if unfit_member(member) is None]
    known = [each for member in fit if (each := need(member)) is not None]
    for budget in sorted({each.bytes for each in known}):
        best = _ranked(sweep, [each for each in known if each.bytes <= budget])[0]
        if not found or best != found[-1]:
            found.append(best)
    return found


def _ranked(sweep: Sweep, fitting: Sequence[Need]) -> list[Need]:
    return sorted(fitting, key=lambda found: _place(sweep, found.member, found.bytes))


def _place(sweep: Sweep, member: Member, size: int) -> tuple[int, float, int]:
    """Where a member that needs `size` bytes stands in the rule's order."""
    comparison = overall(member)
    kind = comparison and comparison.verdict.kind
    if is_good(sweep, member):
        speed = member.cost.decode_tokens_per_second if member.cost else None
        return 0, -(speed or 0.0), size
    if kind == "unresolved":
        bits = member.weights.bits_per_weight if member.weights else None
        return 2 if foretold(sweep, member) == "loss" else 1, -(bits or 0.0), size
    if comparison is not None:
        return 3, -comparison.difference.value, size
    return 4, 0.0, size


def is_good(sweep: Sweep, member: Member) -> bool:
    """The reference, what is shown to be as good or better, and what is near where accuracy says nothing."""
    comparison = overall(member)
    return (
        member.name == sweep.reference
        or foretold(sweep, member) == "near"
        or (comparison is not None and comparison.verdict.kind in ("as_good", "better"))
    )


def foretold(sweep: Sweep, member: Member) -> Literal["near", "loss"] | None:
    """What fidelity says of a member of which accuracy has no verdict; else, and where it says nothing, None.

    `near`: on the reference's own answers it would not put more tokens otherwise than the reference does
    itself when they are read again, with the whole of the 95 % interval: what tells the two apart is not more
    than what tells two runs of one file apart. That is no statement on accuracy within the margin.

    `loss`: the chance that a right final answer flips is above the margin already, given the reference's text
    before it; what becomes of the reasoning comes on top. Not all that flips is lost: it is what to test
    first, and no verdict.
    """
    comparison = overall(member)
    if member.fidelity is None or (comparison is not None and comparison.verdict.kind != "unresolved"):
        return None
    found = member.fidelity.overall
    if found.lost is not None and found.lost.error is not None and found.lost.value > sweep.margin:
        return "loss"
    if found.noise is not None and excess(found.agreement, found.noise).high <= 0:
        return "near"
    return None


def every_choice(sweep: Sweep) -> tuple[list[Member], list[Member]]:
    """The members that have not failed, whatever they need, in the rule's order; and the unfit ones."""
    members = [member for member in sweep.members if member.status != "failed"]
    fit = [member for member in members if unfit_member(member) is None]
    bytes_ = {member.name: found.bytes if (found := need(member)) else 0 for member in fit}
    fit.sort(key=lambda member: _place(sweep, member, bytes_[member.name]))
    return fit, [member for member in members if unfit_member(member) is not None]


def deciding(member: Member) -> Estimate | None:
    """The accuracy that decides: the average, or that on the only benchmark that was scored."""
    only = next(iter(member.accuracy.values())) if len(member.accuracy) == 1 else None
    return member.accuracy.get(AVERAGE) or only


def unfit_member(member: Member) -> Unfit | None:
    """Why a member is never a choice; None if it can be one. A failed one has its own reason."""
    if member.status == "failed":
        return None
    benchmarks = [name for name in member.accuracy if name != AVERAGE]
    return unfit(member.truncated, deciding(member), floor_of(AVERAGE, member.constants, benchmarks))


def sizes(sweep: Sweep) -> dict[str, int | None]:
    """By benchmark, how many questions it has; of older records as its config says today."""
    return {name: sweep.questions.get(name) or _configured(name) for name in sweep.benchmarks}


@cache
def _configured(name: str) -> int | None:
    """By evalkit's own config; a report asks for each of its cells."""
    import yaml

    path = CONFIGS / "benchmark" / f"{name}.yaml"
    if not name.isidentifier() or not path.is_file():
        return None
    block = mapping(yaml.safe_load(path.read_text(encoding="utf-8")))
    return size_of(SAMPLE, None, block.get("items"), block.get("subset"))


def needed_of(sweep: Sweep, member: Member, comparison: Comparison | None) -> Needed | None:
    """What would settle a member's comparison with the reference; None if it is settled, or there is none."""
    return None if comparison is None else needed(comparison, member.comparisons, sizes(sweep))


def seconds_for(sweep: Sweep, more: int) -> float | None:
    """What `more` questions of every member would take on the machine of the sweep; None if unknown.

    Those that failed or are unfit are left out: who goes on has no reason to go on with them.
    """
    members = [each for each in sweep.members if each.status != "failed" and unfit_member(each) is None]
    paces = [_pace(each.cost) for each in members]
    known = [pace for pace in paces if pace is not None]
    return more * sum(known) if known and len(known) == len(paces) else None


def _pace(cost: Cost | None) -> float | None:
    """Seconds for a question. Older records tell it for one answer a question, as is usual."""
    if cost is None:
        return None
    if cost.seconds_per_question is not None:
        return cost.seconds_per_question
    if not cost.tokens_per_answer or not cost.throughput_tokens_per_second:
        return None
    return cost.tokens_per_answer / cost.throughput_tokens_per_second
