"""From the members' runs to the sweep's record: costs, accuracies, paired comparisons, verdicts."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

from evalkit.behaviour import behaviours, behaviours_alone
from evalkit.compare.comparison import comparisons, judged
from evalkit.compare.control import Chances, control
from evalkit.compare.needed import seconds_per_question, sizes_of
from evalkit.compare.pairs import pair
from evalkit.config.settings import SweepSettings
from evalkit.fidelity.figures import AnswerFigures, Difference, neighbours
from evalkit.fitness import constant_answer
from evalkit.metrics import accuracy, counting_rule
from evalkit.run.info import EngineInfo, ProbeInfo, Run
from evalkit.run.runner import read_run
from evalkit.schema import AVERAGE, JUDGED, Comparison, Estimate, Key, UserError
from evalkit.stats.intervals import average_estimate
from evalkit.sweep.plan import Plan, PlannedMember
from evalkit.sweep.record import (
    Cost,
    Looked,
    Member,
    MemberFidelity,
    NoiseFloor,
    Status,
    Sweep,
    Weights,
    bounded,
)
from evalkit.sweep.sequential import PageWatch, anytime
from evalkit.text import mapping


@dataclass(frozen=True, slots=True)
class MemberResult:
    """A run folder and what answered there, or the reason why there is none to use.

    `partial`: some examples have no answer, or no verdict of the judge. `watch`: who looked at its answers as
    they came, where it could stop before all were there.
    """

    member: PlannedMember
    path: Path | None
    engine: EngineInfo
    reason: str | None = None
    partial: bool = False
    watch: PageWatch | None = None

    @property
    def bits_per_weight(self) -> float:
        """Of the file's tensor data; 0 where it is not known (an engine that serves no GGUF file)."""
        weights = self.engine.weights
        return (weights.gguf.bits_per_weight if weights else None) or 0.0


@dataclass(frozen=True, slots=True)
class Fidelities:
    """What was measured of members' files token by token, by name, and why others were not.

    `answers`: the figures of every answer under each.
    """

    members: Mapping[str, MemberFidelity]
    notes: tuple[str, ...] = ()
    answers: Mapping[str, Sequence[AnswerFigures]] = field(default_factory=dict)


NOTHING_MEASURED = Fidelities({})


def highest_precision(outcomes: Sequence[MemberResult]) -> MemberResult | None:
    """The outcome with a run whose file has the most bits per weight; of equals the first."""
    done = [outcome for outcome in outcomes if outcome.path is not None]
    return max(done, key=lambda outcome: outcome.bits_per_weight, default=None)


def reference_of(settings: SweepSettings, outcomes: Sequence[MemberResult]) -> MemberResult:
    """The member that the others are compared with.

    Raises:
        UserError: it failed, or all did.
    """
    if settings.reference is None:
        best = highest_precision(outcomes)
        if best is None:
            raise UserError(f"every member of the sweep failed; the first: {outcomes[0].reason}")
        return best
    named = next(outcome for outcome in outcomes if outcome.member.name == settings.reference)
    if named.path is None:
        raise UserError(
            f"the reference {settings.reference} failed ({named.reason}): mend that, or choose another with "
            "sweep.reference=NAME; the members that are done stay done"
        )
    return named


def cost_of(run: Run) -> Cost:
    """The cost of a run."""
    measured, engine = run.info.measured, run.info.engine
    probe = measured.probe or ProbeInfo()
    samples = [sample for item in run.items for sample in item.samples]
    answered = [each.completion_tokens for each in samples if each.completion_tokens is not None]
    busy = measured.engine_seconds
    return Cost(
        context=engine.context_per_slot,
        slots=engine.slots or 1,
        peak_memory_bytes=measured.peak_memory_bytes,
        gpu_memory_bytes=measured.peak_gpu_memory_bytes,
        predicted=engine.predicted_memory,
        load_seconds=engine.load_seconds,
        prefill_tokens_per_second=probe.prefill_tokens_per_second,
        decode_tokens_per_second=probe.decode_tokens_per_second,
        first_token_seconds=probe.first_token_seconds,
        probe_prompt_tokens=probe.prompt_tokens,
        probe_answer_tokens=probe.answer_tokens,
        throughput_tokens_per_second=round(measured.completion_tokens / busy, 2) if busy else None,
        tokens_per_answer=round(statistics.fmean(answered), 2) if answered else None,
        energy_joules=measured.energy_joules,
        wall_seconds=measured.wall_seconds,
        seconds_per_question=seconds_per_question(run),
    )


def weights_of(engine: EngineInfo) -> Weights | None:
    """The file that was served; None for an engine without one."""
    weights = engine.weights
    if weights is None or weights.path is None or weights.sha256 is None or weights.size_bytes is None:
        return None
    return Weights(
        file=PurePath(weights.path).name,
        sha256=weights.sha256,
        size_bytes=weights.size_bytes,
        bits_per_weight=weights.gguf.bits_per_weight,
        claimed=weights.recipe.claimed,
        found=weights.recipe.found,
        requantized_from=weights.requantized_from,
        warnings=weights.recipe.warnings,
    )


def conclude(
    plan: Plan,
    outcomes: Sequence[MemberResult],
    reference: MemberResult,
    noise: Mapping[str, MemberResult],
    fidelity: Fidelities = NOTHING_MEASURED,
) -> Sweep:
    """The record of a finished sweep.

    Args:
        noise: the reference's other runs, by what was different.
        fidelity: what was measured of members' files, token by token.

    Only the reference's run and one other are in memory at a time.
    """
    margin = plan.settings.margin / 100
    assert reference.path is not None, "reference_of gives an outcome with a run"
    by_judge = plan.judge is not None
    base = read_run(reference.path)
    members = [
        _member(outcome, reference, base, plan.folder, margin, by_judge, _chances(outcome, fidelity))
        for outcome in outcomes
    ]
    family = judged([member.comparisons for member in members], margin)
    members = [
        replace(m, comparisons=tuple(c), fidelity=fidelity.members.get(m.name))
        for m, c in zip(members, family, strict=True)
    ]
    return Sweep(
        name=plan.settings.name,
        title=plan.settings.title,
        rule=", ".join(dict.fromkeys(each.rule for each in base.info.benchmarks.values())),
        margin=margin,
        reference=reference.member.name,
        benchmarks={name: each.title for name, each in reference.member.settings.benchmark.items()},
        members=tuple(members),
        noise=tuple(_floor(what, outcome, base, margin, by_judge) for what, outcome in noise.items()),
        machine=dict(mapping(base.info.raw.get("hardware"))),
        notes=(*_notes(reference), *(_of_judge(base) if by_judge else ()), *fidelity.notes),
        questions={name: size for name, size in sizes_of(base).items() if size is not None},
        source=reference.member.settings.data.source,
        kl_differences=_kl_differences(fidelity),
    )


def _kl_differences(fidelity: Fidelities) -> tuple[Difference, ...]:
    ordered = sorted(fidelity.answers, key=lambda name: fidelity.members[name].overall.kl.value)
    found = neighbours([(name, fidelity.answers[name]) for name in ordered])
    return tuple(replace(each, kl=bounded(each.kl)) for each in found)


def _chances(outcome: MemberResult, fidelity: Fidelities) -> dict[str, Chances]:
    """By benchmark, how likely each answer of a member leaves the reference's; the mean over samples."""
    found: dict[str, dict[Key, list[float]]] = {}
    for answer in fidelity.answers.get(outcome.member.name, ()):
        found.setdefault(answer.benchmark, {}).setdefault(answer.key, []).append(answer.any_flip)
    return {
        name: {key: statistics.fmean(each) for key, each in chances.items()}
        for name, chances in found.items()
    }


def _member(
    outcome: MemberResult,
    reference: MemberResult,
    base: Run,
    folder: Path,
    margin: float,
    by_judge: bool,
    chances: Mapping[str, Chances],
) -> Member:
    name, title = outcome.member.name, outcome.member.title
    if outcome.path is None:
        return Member(name, title, "failed", outcome.reason)
    run = base if outcome is reference else read_run(outcome.path)
    watch = outcome.watch
    if watch is not None:
        run = watch.kept(run)
    samples = [sample for item in run.items for sample in item.samples]
    found: list[Comparison] = []
    looks: tuple[Looked, ...] = ()
    answers = behaviours_alone(run.items)
    status: Status = "partial" if outcome.partial else "done"
    reason = "some examples have no answer or no verdict" if outcome.partial else None
    if outcome is not reference:
        try:
            paired = pair(run, base, same_examples=watch is None, judged=by_judge)
            found = comparisons(paired, margin)
            answers = behaviours([each for benchmark in paired for each in benchmark.pairs])
            if watch is not None:
                [fixed] = judged([found], margin)
                others = control(paired, run, base, chances)
                looks = tuple(
                    watch.looked(each, others.get(each.benchmark))
                    for each in fixed
                    if each.benchmark != AVERAGE
                )
                found = anytime(found, watch, margin)
        except UserError as error:
            status, reason = "failed", f"not comparable with {reference.member.name}: {error}"
    return Member(
        name=name,
        title=title,
        status=status,
        reason=reason,
        run_dir=_relative(outcome.path, folder),
        weights=weights_of(outcome.engine),
        cost=cost_of(run),
        accuracy=_accuracy(run, by_judge),
        truncated=statistics.fmean(sample.cut_off for sample in samples) if samples else None,
        comparisons=tuple(found),
        looks=looks,
        behaviours=tuple(answers),
        constants={name: constant_answer(items) for name, items in run.by_benchmark().items()},
    )


def _accuracy(run: Run, by_judge: bool) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    for name, items in run.by_benchmark().items():
        rule = run.info.benchmarks[name].rule
        estimate = accuracy(items, counting_rule(items, rule) if by_judge else rule)
        if estimate is not None:
            found[name] = estimate
    if found:
        found[AVERAGE] = average_estimate(list(found.values()))
    return found


def _floor(what: str, outcome: MemberResult, base: Run, margin: float, by_judge: bool) -> NoiseFloor:
    if outcome.path is None:
        return NoiseFloor(f"{what}: failed, {outcome.reason}", ())
    pairs = pair(read_run(outcome.path), base, same_examples=True, judged=by_judge)
    found = comparisons(pairs, margin)
    return NoiseFloor(what, tuple(judged([found], margin)[0]))


def _relative(path: Path, folder: Path) -> str:
    import os

    return Path(os.path.relpath(path.absolute(), folder.absolute())).as_posix()


def _notes(reference: MemberResult) -> list[str]:
    """What everybody who reads the numbers must know: how they came about."""
    settings = reference.member.settings
    limit = "all" if settings.limit is None else f"{settings.limit} per benchmark"
    return [
        f"protocol {settings.protocol.name}, temperature {settings.protocol.temperature}, answers of at most "
        f"{settings.max_tokens} tokens; data {settings.data.source}, {limit}, "
        f"sampling by {settings.sampling}, seed {settings.seed}",
        f"engine {reference.engine.build}",
    ]


def _of_judge(base: Run) -> list[str]:
    """Whose verdicts count where no rule can score, and how wrong they are."""
    judge = base.info.judge
    return [
        f"{of.title}: as judged by {judge.judge.name}, which accepts {canaries.false_positive.text} wrong "
        f"canaries and refuses {canaries.false_negative.text} right ones"
        for name, of in base.info.benchmarks.items()
        if judge is not None
        and counting_rule(base.of(name), of.rule) == JUDGED
        and name in judge.benchmarks
        and (canaries := judge.benchmarks[name].canaries)
    ]
