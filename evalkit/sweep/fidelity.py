"""Fidelity as a part of a sweep: each member's GGUF file against the reference's own answers, token by token.

It is measured when all members have run, and of a file that is removed after its run before it goes. What was
computed is below the sweep's folder, as `evalkit fidelity` keeps it, and each file's figures beside it, so
that a sweep that is called again needs neither files nor library for what it knows. Nothing that goes wrong
here stops a sweep: it is a line on the terminal and a note in the record.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from evalkit.engines.llama_cpp import Settings as LlamaCppSettings
from evalkit.engines.llama_options import RopeSettings
from evalkit.fidelity.engine import default_threads, require_library
from evalkit.fidelity.figures import AnswerFigures, BenchmarkFidelity, average_means
from evalkit.fidelity.gguf import reference_file
from evalkit.fidelity.measure import FileFidelity, Measurement, Settings
from evalkit.fidelity.plan import check_reference, chosen_items
from evalkit.files import write_atomically
from evalkit.run.info import Run
from evalkit.run.runner import read_run
from evalkit.schema import AVERAGE, EngineUnusable, Estimate, UserError
from evalkit.stats.intervals import average_estimate
from evalkit.sweep.plan import Plan
from evalkit.sweep.record import Divergence, MemberFidelity, bounded
from evalkit.sweep.results import Fidelities, MemberResult
from evalkit.text import percent

AUTO = 20
"""Answers per benchmark: neighbours of a ladder were told apart by fewer, and it takes minutes."""

_SAY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a sweep's folder has of a member: its figures, and those of each answer but its kinds of token."""

    member: MemberFidelity
    answers: tuple[AnswerFigures, ...]


class _NothingToCompareWith(Exception):
    """Why no file can be measured."""


class _FileGone(Exception):
    """A member's file is not there any more."""


class FidelityStage:
    """Measures members as their files allow; a context, which at its end closes what it opened.

    Args:
        plan: of the sweep.
        console: is told what was measured, and what could not be.
    """

    def __init__(self, plan: Plan, console: Console) -> None:
        wanted = plan.settings.fidelity
        self._limit = AUTO if wanted == "auto" else wanted
        self._settings = plan.settings
        self._folder = plan.folder / "fidelity"
        self._console = console
        self._found: dict[str, _Kept] = {}
        self._notes: list[str] = []
        self._run: Run | None = None
        self._measurement: Measurement | None = None
        self._broken = ""
        self._tried: set[str] = set()
        self._gone: list[str] = []
        self._open = ExitStack()
        self._said = time.monotonic()

    def __enter__(self) -> FidelityStage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
        self._run = self._measurement = None  # what comes next needs the memory

    def before_removal(self, outcome: MemberResult, outcomes: Sequence[MemberResult]) -> None:
        """A member has run, and its file may go now: measure it, if the reference has run.

        Args:
            outcomes: of all members that have run.
        """
        if not self._settings.delete_weights:
            return
        reference = next((each for each in outcomes if each.member.name == self._settings.reference), None)
        if reference is not None and reference.path is not None:
            self._members([outcome], reference)

    def rest(self, outcomes: Sequence[MemberResult], reference: MemberResult) -> Fidelities:
        """Measure what was not yet, and give all."""
        self._members(outcomes, reference)
        if self._gone:
            self._note(
                f"fidelity of {', '.join(self._gone)} was not measured: no file is there any more (with "
                "sweep.delete_weights=true, reference=NAME has files measured before they go)"
            )
        return Fidelities(
            {name: kept.member for name, kept in self._found.items()},
            tuple(self._notes),
            {name: kept.answers for name, kept in self._found.items()},
        )

    def _members(self, outcomes: Sequence[MemberResult], reference: MemberResult) -> None:
        missing = [
            each
            for each in outcomes
            if self._limit is not None and each.member.name not in self._tried and _differs(each, reference)
        ]
        if not missing:
            return
        try:
            run = self._reference_run(reference)
        except UserError as error:
            self._note(f"fidelity was not measured: {error}")
            return
        for outcome in missing:
            title = outcome.member.title
            self._tried.add(outcome.member.name)
            try:
                found = self._member(outcome, reference, run)
            except _FileGone:
                self._gone.append(title)
                continue
            except _NothingToCompareWith as error:
                self._note(f"fidelity was not measured: {error}")
                continue
            except (UserError, EngineUnusable, OSError) as error:
                self._note(f"fidelity of {title} was not measured: {error}")
                continue
            self._found[outcome.member.name] = found
            whole = found.member.overall
            line = f"{title}: KL {whole.kl.value:.3g} nats per token, same likeliest token "
            self._show(f"{line}{percent(whole.agreement)} %")

    def _note(self, line: str) -> None:
        if line not in self._notes:
            self._notes.append(line)
            self._show(line)

    def _show(self, line: str) -> None:
        self._console.print(f"[fidelity] {line}", highlight=False, markup=False, soft_wrap=True)

    def _reference_run(self, reference: MemberResult) -> Run:
        """The reference's run, if its answers can be put to files. Raises UserError if not."""
        if self._run is None:
            assert reference.path is not None, "a reference has a run"
            run = read_run(reference.path)
            check_reference(run)
            _check_alone(reference)
            self._run = run
        return self._run

    def _member(self, outcome: MemberResult, reference: MemberResult, run: Run) -> _Kept:
        """A member's figures, as they were kept or measured now.

        Raises:
            UserError: its file cannot be compared.
            EngineUnusable, OSError: the engine, or the disk, gave out.
            _NothingToCompareWith: the reference's answers cannot be put to any file.
            _FileGone: there is nothing to measure.
        """
        _check_alone(outcome)
        kept = self._folder / f"{self._digest(outcome, run)}.json"
        if (found := _read(kept)) is not None:
            return found
        path = _file_of(outcome)
        measurement = self._measured(reference, run)
        checked = measurement.check(path)
        file = measurement.file(checked)
        made = member_fidelity(file, measurement.library, self._top)
        answers = [replace(each, by_class={}) for part in file.benchmarks.values() for each in part.answers]
        found = _Kept(replace(made, traces=measurement.traces(checked, file)), tuple(answers))
        write_atomically(kept, TypeAdapter(_Kept).dump_json(found, indent=1).decode() + "\n")
        return found

    def _digest(self, outcome: MemberResult, run: Run) -> str:
        """Of what decides a member's figures, apart from the library's version."""
        answers = [
            [item.benchmark, item.id, item.turn, sample.number, sample.messages, sample.text]
            for items in chosen_items(run, self._limit).values()
            for item in items
            for sample in item.samples
        ]
        content = [3, run.info.engine.weights_sha256, outcome.engine.weights_sha256, self._top, answers]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    @property
    def _top(self) -> int:
        return Settings().top

    def _measured(self, reference: MemberResult, run: Run) -> Measurement:
        if self._broken:
            raise _NothingToCompareWith(self._broken)
        if self._measurement is None:
            try:
                self._measurement = self._open.enter_context(self._opened(reference, run))
            except (UserError, EngineUnusable, OSError, _FileGone) as error:
                self._broken = str(error)
                raise _NothingToCompareWith(self._broken) from error
        return self._measurement

    def _opened(self, reference: MemberResult, run: Run) -> Measurement:
        require_library()
        backend = reference.member.settings.backend
        assert isinstance(backend, LlamaCppSettings), "_check_alone has seen to it"
        settings = Settings(
            limit=self._limit,
            threads=backend.threads or default_threads(),
            gpu_layers=backend.gpu_layers,
        )
        file = reference_file(run, _file_of(reference))
        return Measurement(run, file, self._folder, settings, self._say)

    def _say(self, line: str) -> None:
        now = time.monotonic()
        if now - self._said >= _SAY_SECONDS:
            self._said = now
            self._show(line)


def _differs(outcome: MemberResult, reference: MemberResult) -> bool:
    """Whether there is something to measure: another GGUF file than the reference's, under llama.cpp."""
    engine = outcome.engine
    return (
        outcome.path is not None
        and engine.engine == "llama.cpp"
        and engine.weights_sha256 not in (None, reference.engine.weights_sha256)
    )


def _check_alone(outcome: MemberResult) -> None:
    """Raises UserError if a member is more than its file."""
    backend = outcome.member.settings.backend
    if not isinstance(backend, LlamaCppSettings):
        raise UserError("it was not served by a llama.cpp of ours")
    if backend.lora is not None or backend.rope != RopeSettings():
        raise UserError("files are compared as they are, and it ran with an adapter or with RoPE scaling")


def _file_of(outcome: MemberResult) -> Path:
    weights = outcome.engine.weights
    if weights is None or weights.path is None or not (path := Path(weights.path)).is_file():
        raise _FileGone(f"the file of {outcome.member.name} is not there any more")
    return path


def _read(path: Path) -> _Kept | None:
    """What was kept, if it is whole."""
    try:
        found = TypeAdapter(_Kept).validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return found if found.member.parts else None


def member_fidelity(file: FileFidelity, library: str, top: int) -> MemberFidelity:
    """A file's figures as a sweep's record has them."""
    parts = {name: _divergence(part) for name, part in file.benchmarks.items()}
    if len(parts) > 1:
        means = average_means(list(file.benchmarks.values()))
        parts[AVERAGE] = Divergence(
            kl=bounded(means.kl),
            agreement=means.agreement,
            noise=_average([part.noise for part in file.benchmarks.values()]),
            lost=_average([part.lost for part in file.benchmarks.values()]),
            tokens=means.tokens,
        )
    return MemberFidelity(parts, library, top, file.cost.answers, round(file.cost.seconds, 2), file.notes)


def _divergence(part: BenchmarkFidelity) -> Divergence:
    means = part.means
    return Divergence(bounded(means.kl), means.agreement, part.noise, part.lost, means.tokens)


def _average(parts: Sequence[Estimate | None]) -> Estimate | None:
    """Over the benchmarks that have it."""
    known = [part for part in parts if part is not None]
    return average_estimate(known) if known else None
