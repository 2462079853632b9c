"""The members of a sweep one after the other, each resumable by itself, none able to stop the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from evalkit.config.judge import JudgeSettings
from evalkit.config.settings import RunSettings, SweepSettings
from evalkit.files import discard, read_json
from evalkit.judge.stage import check_judge, judge_run
from evalkit.run.folder import Finished, check_claim, path_of
from evalkit.run.generations import GENERATIONS, read_generations
from evalkit.run.info import EngineInfo, engine_info
from evalkit.run.judgements import read_ledger
from evalkit.run.runner import execute, finished_run, load_data, read_run, wanted
from evalkit.run.scoring import run_code
from evalkit.schema import EngineUnusable, Loaded, UserError
from evalkit.sweep.fidelity import FidelityStage
from evalkit.sweep.plan import Plan, PlannedMember
from evalkit.sweep.record import Sweep
from evalkit.sweep.results import MemberResult, conclude, highest_precision, reference_of
from evalkit.sweep.sequential import PageWatch, empty_family
from evalkit.weights.gguf import part_names

Report = Callable[[Finished], None]
"""Writes what is derived from a finished run into its folder."""


def run_sweep(plan: Plan, report: Report, write: Callable[[Sweep, Path], None], console: Console) -> Sweep:
    """Run, compare, and write the sweep's record and what is derived from it into its folder.

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
    try:
        sweep = _sweep(plan, MemberRunner(plan.judge, report, console), console)
        write(sweep, plan.folder)
    finally:
        lock.release()
    return sweep


def _sweep(plan: Plan, runner: MemberRunner, console: Console) -> Sweep:
    if plan.judge is not None:
        check_judge(plan.judge)  # what is wrong with it shows before the first member, and not after
    disk = Disk(plan.settings, console)
    with FidelityStage(plan, console) as stage:
        outcomes = _run_members(plan, runner, disk, stage, console)
        reference = reference_of(plan.settings, outcomes)
        noise = _run_noise(plan, reference, runner, console)
        fidelity = stage.rest(outcomes, reference)
    disk.clear()
    return conclude(plan, outcomes, reference, noise, fidelity)


def _run_members(
    plan: Plan, runner: MemberRunner, disk: Disk, stage: FidelityStage, console: Console
) -> list[MemberResult]:
    """Run what is still to be run. A member that fails is an outcome with a reason, and the next one starts.

    Raises:
        UserError: the data cannot be had, or a file contradicts its recipe under `strict`: nothing that is
            finished is lost.
        KeyboardInterrupt: the same sweep goes on where it stopped.
    """
    load = _loader()
    outcomes: dict[str, MemberResult] = {}
    looks = Looks(plan) if plan.settings.stop is not None else None
    for number, member in enumerate(_in_turn(plan), 1):
        console.print(f"[{number}/{len(plan.members)}] {member.title}", highlight=False, markup=False)
        data = load(member.settings)
        watch = looks.watch(member, data, outcomes) if looks is not None else None
        outcome = runner.run(member, data, watch)
        if outcome.reason:
            console.print(f"  failed: {outcome.reason}", highlight=False, markup=False)
        outcomes[member.name] = outcome
        stage.before_removal(outcome, list(outcomes.values()))
        disk.finished(outcome)
    return [outcomes[member.name] for member in plan.members]


def _in_turn(plan: Plan) -> list[PlannedMember]:
    """The members as they run: where they may stop, what they are compared with comes first.

    It does, too, where files are removed one by one: each is held against the reference's answers before.
    """
    settings = plan.settings
    if settings.stop is None and not (settings.delete_weights and settings.fidelity and settings.reference):
        return list(plan.members)
    return sorted(plan.members, key=lambda member: member.name != plan.settings.reference)


class Looks:
    """The looks at all members of a sweep with `stop=resolved`: one family of tests, one budget of time.

    What is left of the budget is shared out evenly among the members that have not run yet.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        others = [member.name for member in plan.members if member.name != plan.settings.reference]
        benchmarks = list(plan.members[0].settings.benchmark)
        self._family = empty_family(others, benchmarks)
        self._left = len(others)
        self._ends: float | None = None

    def watch(
        self, member: PlannedMember, data: Mapping[str, Loaded], outcomes: Mapping[str, MemberResult]
    ) -> PageWatch | None:
        """Who looks at the member's answers; None for the reference, which answers everything.

        Raises:
            UserError: the reference failed.
        """
        settings = self._plan.settings
        if member.name == settings.reference:
            return None
        path = reference_of(settings, list(outcomes.values())).path
        assert path is not None, "reference_of gives an outcome with a run"
        now = time.monotonic()
        if self._ends is None and settings.budget is not None:
            self._ends = now + settings.budget
        until = now + (self._ends - now) / self._left if self._ends is not None else None
        self._left -= 1
        return PageWatch(
            member.name,
            self._family,
            read_run(path),
            data,
            wanted(member.settings, data),
            member.settings.seed,
            settings.margin / 100,
            until,
        )


def _run_noise(
    plan: Plan, reference: MemberResult, runner: MemberRunner, console: Console
) -> dict[str, MemberResult]:
    """The reference's other runs by what is different: nothing, or the number of slots.

    Batching alone makes llama.cpp's greedy answers differ between numbers of slots (llama.cpp #7052).
    """
    slots = getattr(reference.member.settings.backend, "slots", None)
    data = load_data(reference.member.settings) if plan.settings.noise else {}
    found = {}
    for kind in plan.settings.noise:
        if kind == "slots" and slots is None:
            continue
        other = max(1, slots // 2) if slots and slots > 1 else 2
        what, changes = {
            "repeat": ("the same run again", {}),
            "slots": (f"{other} slots instead of {slots}", {"slots": other}),
        }[kind]
        console.print(f"[noise] {reference.member.title}: {what}", highlight=False, markup=False)
        found[what] = runner.run_again(reference.member, plan.folder / "noise" / kind, changes, data)
    return found


def _loader() -> Callable[[RunSettings], dict[str, Loaded]]:
    """Loads data, and only once for members that share it, which all of them usually do."""
    last: tuple[object, dict[str, Loaded]] | None = None

    def load(settings: RunSettings) -> dict[str, Loaded]:
        nonlocal last
        identity = (settings.benchmark, settings.data, settings.limit, settings.seed, settings.sampling)
        if last is None or last[0] != identity:
            last = (identity, load_data(settings))
        return last[1]

    return load


class MemberRunner:
    """Runs a member, has its free text judged if there is a judge, and its reports written."""

    def __init__(self, judge: JudgeSettings | None, report: Report, console: Console) -> None:
        self._judge = judge
        self._report = report
        self._console = console

    def run(
        self, member: PlannedMember, data: dict[str, Loaded], watch: PageWatch | None = None
    ) -> MemberResult:
        """What became of the member; `data` is what `load_data` gives for it, `watch` may stop it.

        Raises:
            UserError: its folder is another run's, or its file contradicts its recipe under `strict`.
        """
        path = path_of(member.settings)
        check_claim(path, member.settings)
        if is_complete(member.settings, data, watch):
            again = self._judge is not None or member.settings.allow_code
            if again or not (path / "results.json").exists():
                return self._conclude(member, finished_run(path), watch)
            return self._outcome(member, path, watch)
        try:
            finished = execute(member.settings, self._console, data, watch=watch)
            return self._conclude(member, finished, watch)
        except EngineUnusable as error:
            return MemberResult(member, None, EngineInfo(), str(error))
        except UserError as error:
            # Under `strict` the user asked to be stopped.
            if member.settings.strict:
                raise
            return MemberResult(member, None, EngineInfo(), str(error))

    def run_again(
        self, member: PlannedMember, path: Path, changes: Mapping[str, int], data: dict[str, Loaded]
    ) -> MemberResult:
        """The same member once more in a folder of its own, for the noise floor.

        Args:
            changes: settings of the backend that differ this time.
        """
        backend = member.settings.backend.model_copy(update=dict(changes))
        again = {"backend": backend, "run_dir": str(path), "probe": False, "track": None}
        settings = member.settings.model_copy(update=again)
        return self.run(PlannedMember(member.name, member.title, settings), data)

    def _conclude(
        self, member: PlannedMember, finished: Finished, watch: PageWatch | None = None
    ) -> MemberResult:
        if member.settings.allow_code:
            run_code(finished)
        if self._judge is not None:
            judge_run(finished, self._judge, self._console)  # only what was not yet: verdicts are in a cache
        self._report(finished)
        outcome = self._outcome(member, finished.path, watch)
        if self._judge is None:
            return outcome
        ledger = read_ledger(finished.path)
        return replace(outcome, partial=outcome.partial or bool(ledger and ledger.errors))

    @staticmethod
    def _outcome(member: PlannedMember, path: Path, watch: PageWatch | None = None) -> MemberResult:
        answers = list(read_generations(path / GENERATIONS))
        if watch is not None:  # those of a replay were not seen as they came
            for answer in answers:
                watch.seen(answer)
        engine = engine_info(read_json(path / "run.json")["engine"])
        failures = any(answer.error for answer in answers)
        return MemberResult(member, path, engine, partial=failures, watch=watch)


def is_complete(settings: RunSettings, data: Mapping[str, Loaded], watch: PageWatch | None = None) -> bool:
    """Whether nothing is left to do for a run: then neither its weights nor its engine are needed.

    Args:
        watch: who may want no more before all answers are there; it sees those that are.
    """
    path = path_of(settings)
    run = read_json(path / "run.json")
    if not run.get("ended") or (settings.probe and not run["measured"].get("probe")):
        return False
    done = set()
    for answer in read_generations(path / GENERATIONS):
        if answer.is_final:
            done.add(answer.name)
        if watch is not None:
            watch.seen(answer)
    return all(
        request.name in done or (watch is not None and not watch.wants([request]))
        for request in wanted(settings, data)
    )


class Disk:
    """Removes files that no later run of the sweep needs, if `delete_weights` says so.

    The reference runs again for the noise floor, so the best candidate's file stays until `clear`: at most
    two files are there at once. A file that the user gave by `model.path` stays.
    """

    def __init__(self, settings: SweepSettings, console: Console) -> None:
        self._settings = settings
        self._console = console
        self._kept: MemberResult | None = None

    def finished(self, outcome: MemberResult) -> None:
        """A member is done: remove what is not needed any more."""
        if not self._settings.delete_weights or outcome.path is None:
            return
        kept, self._kept = self._kept, self._candidate(outcome)
        for done in (kept, outcome):
            if done is not None and done is not self._kept:
                self._remove(done)

    def _candidate(self, outcome: MemberResult) -> MemberResult | None:
        if self._settings.reference is not None:
            return outcome if outcome.member.name == self._settings.reference else self._kept
        return highest_precision([done for done in (self._kept, outcome) if done is not None])

    def clear(self) -> None:
        """All runs are done."""
        if self._kept is not None:
            self._remove(self._kept)
            self._kept = None

    def _remove(self, outcome: MemberResult) -> None:
        if outcome.member.settings.model.path:
            return
        weights = outcome.engine.weights
        if weights is None or weights.path is None:  # a checkpoint, or a service: no one file to remove
            return
        first = Path(weights.path)
        freed = sum(discard(first.with_name(name)) for name in part_names(first.name))
        if freed:
            line = f"  removed the file of {outcome.member.name} ({freed / 1e9:.1f} GB)"
            self._console.print(line, highlight=False, markup=False)
