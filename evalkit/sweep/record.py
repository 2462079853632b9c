"""sweep.json: everything that a sweep found, from which its report, curves and recommendation are made.

The file may be anybody's: what is read back is checked for what reports and curves rest on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from evalkit.behaviour import Behaviour
from evalkit.fidelity.figures import Difference
from evalkit.fidelity.traces import Trace
from evalkit.run.info import together
from evalkit.schema import AVERAGE, Comparison, Estimate, Memory, UserError
from evalkit.stats.control import ControlledDifference
from evalkit.text import first_fault

SCHEMA = 1
Status = Literal["done", "partial", "failed"]
FILE = "sweep.json"


@dataclass(frozen=True, slots=True)
class Weights:
    """A member's file. `size_bytes` is the file's, `bits_per_weight` counts its tensor data.

    `requantized_from`: the tensor type of an already quantized source, None for a file made from full
    precision or of unknown making. `warnings`: where the tensors contradict the claimed recipe.
    """

    file: str
    sha256: str
    size_bytes: int
    bits_per_weight: float | None
    claimed: str | None = None
    found: str | None = None
    requantized_from: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """What serving a member cost, measured in the processes that served it; None where it could not be.

    `prefill_…` and `decode_tokens_per_second` and `first_token_seconds` come from the probe: one request at a
    time with a prompt of `probe_prompt_tokens` and an answer of `probe_answer_tokens`.
    `throughput_tokens_per_second` is the run's: tokens generated with all slots busy over its engine time.
    `tokens_per_answer` is the mean over the run's answers. Energy is that of the whole machine (or GPU) over
    the run, in joules. `seconds_per_question` is the engine's time for one with all slots busy.
    """

    context: int | None
    slots: int
    peak_memory_bytes: int | None
    gpu_memory_bytes: int | None
    predicted: Memory | None
    load_seconds: float | None
    prefill_tokens_per_second: float | None
    decode_tokens_per_second: float | None
    first_token_seconds: float | None
    probe_prompt_tokens: int | None
    probe_answer_tokens: int | None
    throughput_tokens_per_second: float | None
    tokens_per_answer: float | None
    energy_joules: float | None
    wall_seconds: float | None
    seconds_per_question: float | None = None

    @property
    def memory_bytes(self) -> int | None:
        """The measured peak, on the host and on GPUs together."""
        return together(self.peak_memory_bytes, self.gpu_memory_bytes)


@dataclass(frozen=True, slots=True)
class Looked:
    """One benchmark of a member that was looked at page by page, up to where it stopped.

    `items` of `items_of` in `pages` of `pages_of` had been answered. `fixed` is what the same answers say if
    one takes their number as planned: its limits and verdict do not allow for the looks. `controlled` is its
    difference with the reference's other answers as a control variate, which does not either; None where it
    cannot be had (see `evalkit.compare.control`), and in older records.
    """

    benchmark: str
    items: int
    items_of: int
    pages: int
    pages_of: int
    fixed: Comparison
    controlled: ControlledDifference | None = None


UNBOUNDED = 1e6
"""In place of an infinite limit of a divergence, in nats: files of records hold no infinity."""


def bounded(found: Estimate) -> Estimate:
    """The same with finite limits."""
    return replace(found, low=max(found.low, -UNBOUNDED), high=min(found.high, UNBOUNDED))


@dataclass(frozen=True, slots=True)
class Divergence:
    """How far a file's next tokens are from the reference's, on the reference's own answers.

    `kl`: KL(reference ‖ file) in nats per token, a lower bound. `agreement`: the share of the `tokens` at
    which both have the same likeliest one; `noise`: that at which the reference itself, read by the same
    library, would not go on as it had generated. `lost`: the mean chance that a right final answer flips,
    given the reference's text before it; 0 for wrong ones. See `evalkit.fidelity.figures`.
    """

    kl: Estimate
    agreement: Estimate
    noise: Estimate | None
    lost: Estimate | None
    tokens: int


@dataclass(frozen=True, slots=True)
class MemberFidelity:
    """A member's file against the reference's, by benchmark and on `average` (where there are several).

    `answers` were put to it, in `seconds`; `top` of the reference's likeliest tokens are kept. `notes`: what
    may mislead. `traces`: some of the answers, with what the file would have said.
    """

    parts: dict[str, Divergence]
    library: str
    top: int
    answers: int
    seconds: float
    notes: tuple[str, ...] = ()
    traces: tuple[Trace, ...] = ()

    @property
    def overall(self) -> Divergence:
        """On the average, or on the only benchmark."""
        return self.parts.get(AVERAGE) or next(iter(self.parts.values()))


@dataclass(frozen=True, slots=True)
class Member:
    """One member. `accuracy` holds an estimate per benchmark and `average`; a failed member has a `reason`.

    `comparisons` is empty for the reference itself. `run_dir` is relative to the sweep's folder. `constants`:
    by benchmark, what the best constant answer gets (see `evalkit.fitness`); empty in older records. With
    `looks` there, limits, p-values and verdicts of `comparisons` hold wherever the member stopped. `fidelity`
    is None where there is nothing to measure (the reference itself), or it was not.
    `behaviours`: how it answers beside the reference on the same examples; empty in older records.
    """

    name: str
    title: str
    status: Status
    reason: str | None = None
    run_dir: str | None = None
    weights: Weights | None = None
    cost: Cost | None = None
    accuracy: dict[str, Estimate] = field(default_factory=dict)
    truncated: float | None = None
    comparisons: tuple[Comparison, ...] = ()
    constants: dict[str, float] = field(default_factory=dict)
    looks: tuple[Looked, ...] = ()
    fidelity: MemberFidelity | None = None
    behaviours: tuple[Behaviour, ...] = ()

    def compared(self, benchmark: str) -> Comparison | None:
        """The comparison with the reference on `benchmark` (or `average`)."""
        return next((c for c in self.comparisons if c.benchmark == benchmark), None)


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """The reference against itself: `what` says how the second run differed."""

    what: str
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class Sweep:
    """A finished sweep. `margin` is a fraction of 1; `benchmarks` maps names to titles.

    `questions`: by benchmark, how many it has, asked or not; `source`: of the data, as in configs/data/.
    `kl_differences`: of members in the order of their divergence, each beside the one before it. These are
    empty in older records.
    """

    name: str
    title: str
    rule: str
    margin: float
    reference: str
    benchmarks: dict[str, str]
    members: tuple[Member, ...]
    noise: tuple[NoiseFloor, ...] = ()
    machine: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    questions: dict[str, int] = field(default_factory=dict)
    source: str = ""
    kl_differences: tuple[Difference, ...] = ()
    schema: int = SCHEMA

    def member(self, name: str) -> Member:
        """The member of that name (KeyError if there is none)."""
        for member in self.members:
            if member.name == name:
                return member
        raise KeyError(name)


def to_json(sweep: Sweep) -> str:
    """The text of sweep.json; equal sweeps give equal bytes."""
    from pydantic import TypeAdapter

    return TypeAdapter(Sweep).dump_json(sweep, indent=2).decode() + "\n"


def read_sweep(path: Path) -> Sweep:
    """A sweep read back from its sweep.json, or from the folder that holds it.

    Raises:
        UserError: it is not there, or not a sweep that this version can read.
    """
    from pydantic import TypeAdapter, ValidationError

    file = path / FILE if path.is_dir() else path
    try:
        sweep = TypeAdapter(Sweep).validate_json(file.read_bytes())
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise UserError(f"{file} is not a sweep's record: {first_fault(error)}") from error
    if any(member.fidelity and not member.fidelity.parts for member in sweep.members):
        raise UserError(f"{file} is not a sweep's record: a fidelity without a benchmark")
    if sweep.schema != SCHEMA:
        raise UserError(f"{file} has schema {sweep.schema}; this version reads {SCHEMA}: run the sweep again")
    return sweep


LARGEST = 1e18
"""No size in bytes, no speed and no count comes near; what does breaks axes."""


def read_checked(path: Path) -> Sweep:
    """A sweep read back from its file.

    Raises:
        UserError: it cannot be read, its reference is none of its members, or a number in it cannot be one.
    """
    sweep = read_sweep(path)
    if sweep.reference not in [member.name for member in sweep.members]:
        raise UserError(f"{path} is not a sweep's record: its reference is not among its members")
    impossible = next((n for n in _numbers(asdict(sweep)) if not -LARGEST < n < LARGEST), None)
    if impossible is not None:
        shown = "a number that is none" if impossible != impossible else "a number that is too large"
        raise UserError(f"{path} is not a sweep's record: it has {shown}")
    return sweep


def _numbers(node: object) -> Iterator[float]:
    if isinstance(node, int | float):
        yield node
    elif isinstance(node, dict):
        for each in node.values():
            yield from _numbers(each)
    elif isinstance(node, list | tuple):
        for each in node:
            yield from _numbers(each)


def overall(member: Member) -> Comparison | None:
    """The comparison that decides: on the average, or on the only benchmark that was scored."""
    only = member.comparisons[0] if len(member.comparisons) == 1 else None
    return member.compared(AVERAGE) or only
