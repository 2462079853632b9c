"""Put a reference's answers to it and to other files, and make the figures.

Everything that was computed stays in a folder whose name holds a hash of what decides it: the reference, the
library, K. An answer is known there by its tokens. So the same command goes on where it was stopped, and
other files or more answers take only what is missing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from evalkit.children.arrays import Content
from evalkit.fidelity.classes import token_classes, tokens_of
from evalkit.fidelity.divergence import TokenFigures, token_figures
from evalkit.fidelity.engine import Compared, Computed, Distributions, Opening, Reference, Rows
from evalkit.fidelity.figures import (
    AnswerFigures,
    BenchmarkFidelity,
    Difference,
    FlipForecast,
    Means,
    answer_figures,
    average_means,
    benchmark_fidelity,
    flip_forecast,
    neighbours,
)
from evalkit.fidelity.plan import ForcedAnswer, Plan, make_plan
from evalkit.fidelity.store import SUFFIX, Store, claimed, file_name, locked
from evalkit.fidelity.traces import Trace, trace
from evalkit.flips import flip_kind, only_answer
from evalkit.metrics import counting_rule
from evalkit.run.info import Run
from evalkit.schema import Item, Score, UserError

REFERENCE = "reference"
_LOG = "engine.log"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """Of a measurement. `top`: K. `limit`: answers per benchmark. `context`: tokens; None: as needed.

    `benchmarks`: only these; none: all of the run.
    """

    top: int = 64
    limit: int | None = None
    context: int | None = None
    threads: int = 1
    benchmarks: tuple[str, ...] = ()
    gpu_layers: int = -1


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one file's distributions, in all sessions. `tokens` were computed, `prompt_computed` of prompts."""

    answers: int
    seconds: float
    tokens: int
    prompt_computed: int


@dataclass(frozen=True, slots=True)
class FileFidelity:
    """One file against the reference. `notes`: what about it may mislead."""

    name: str
    sha256: str
    size_bytes: int
    benchmarks: Mapping[str, BenchmarkFidelity]
    average: Means
    cost: Cost
    forecasts: Mapping[str, FlipForecast]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fidelity:
    """What a measurement found; files in the order of their mean KL.

    `greedy`: of the answers' tokens, the share that are the reference's likeliest here. `left_out`: answers
    of the run that were not put to files, by why. `recounted`: answers whose text was generated as other
    tokens."""

    folder: Path
    run_id: str
    model: str
    reference: str
    library: str
    top: int
    answers: int
    predicted: int
    groups: int
    greedy: float
    kept_mass: float
    distinct_prompt_tokens: int
    reference_cost: Cost
    left_out: Mapping[str, int]
    recounted: int
    files: tuple[FileFidelity, ...]
    differences: tuple[Difference, ...] = field(default=())


class Measurement:
    """A reference's answers as tokens, to which files are held one after the other.

    Used as a context: no other process can then measure the same reference in the same place.

    Args:
        out: the folder below which all measurements are.
        say: is told of progress, a line at a time.

    Raises:
        UserError: the run's answers cannot be put to files.
        EngineUnusable: the engine does not answer.
    """

    def __init__(
        self,
        run: Run,
        reference: Reference,
        out: Path,
        settings: Settings,
        say: Say = lambda _: None,
    ) -> None:
        self._run, self._reference, self._settings, self._say = run, reference, settings, say
        self.library = reference.library
        out.mkdir(parents=True, exist_ok=True)
        self._plan = make_plan(run, reference, out / _LOG, settings.limit, settings.benchmarks)
        self._judged = _Judged(run, self._plan)
        self._folder = _folder(out, run, reference, self.library, settings)
        self._open = ExitStack()

    def __enter__(self) -> Measurement:
        """Raises UserError if the folder is in use."""
        self._open.enter_context(locked(self._folder))
        kept = self._open.enter_context(Store(self._folder / f"{REFERENCE}{SUFFIX}"))
        self._session = _Session(self._plan, kept, self._folder / _LOG, self._settings, self._say)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def check(self, path: Path) -> Compared:
        """A file that can be compared. Raises UserError if it is none."""
        return self._reference.compared(path, self._plan.longest, self._settings.context)

    def file(self, file: Compared, candidates: Sequence[Run] = ()) -> FileFidelity:
        """Compute what is missing of the reference and of a file, and the file's figures.

        Args:
            candidates: generated runs, of which the file's own are held against what was foretold.

        Raises:
            EngineUnusable: the engine was ended while it computed.
        """
        self._session.reference(self._reference)
        with Store(self._folder / f"{file_name(file.path, file.sha256)}{SUFFIX}") as store:
            self._session.file(file, store)
            made = _file_fidelity(self._session, store, self._judged, candidates, file.sha256)
        return FileFidelity(file.path.name, file.sha256, file.size_bytes, *made, notes=file.notes)

    def traces(self, file: Compared, found: FileFidelity) -> tuple[Trace, ...]:
        """Of each benchmark the answer that a measured file is farthest from.

        Raises:
            EngineUnusable: the engine was ended.
        """
        worst = [max(part.answers, key=lambda each: each.kl) for part in found.benchmarks.values()]
        names = [(each.benchmark, *each.key, each.sample) for each in worst]
        answers = [answer for answer in self._plan.answers if answer.name in names]
        with Store(self._folder / f"{file_name(file.path, file.sha256)}{SUFFIX}") as store:
            arrays = [store.get(answer.key).arrays for answer in answers]
        best = [token for each in arrays for token in each["best"].tolist()]
        pieces = iter(self._reference.pieces(best, self._folder / _LOG))
        made = []
        for answer, each in zip(answers, arrays, strict=True):
            left = each["best"] != self._session.rows(answer).targets
            made.append(trace(answer, each["kl"], left, list(itertools.islice(pieces, len(left)))))
        return tuple(made)

    def result(self, found: Sequence[FileFidelity]) -> Fidelity:
        """All files' figures beside each other."""
        ordered = sorted(found, key=lambda each: each.average.kl.value)
        return _fidelity(self._folder, self._run, self._reference, self.library, self._session, ordered)


def measure(
    run: Run,
    reference: Reference,
    files: Sequence[Path],
    out: Path,
    settings: Settings,
    candidates: Sequence[Run] = (),
    say: Say = lambda _: None,
) -> Fidelity:
    """Compute what is missing of several files, and the figures; arguments as of `Measurement`.

    Args:
        candidates: runs of some of the files, whose flips are compared with what was foretold.

    Raises:
        UserError: a file cannot be compared, or the folder is in use.
        EngineUnusable: the engine was ended while it computed.
    """
    measurement = Measurement(run, reference, out, settings, say)
    checked = [measurement.check(path) for path in files]
    digests = [file.sha256 for file in checked]
    strange = next((each for each in candidates if each.info.engine.weights_sha256 not in digests), None)
    if strange is not None:
        raise UserError(f"{strange.path}: this run was made by none of the files that were given")
    with measurement:
        return measurement.result([measurement.file(file, candidates) for file in checked])


def _folder(out: Path, run: Run, reference: Reference, library: str, settings: Settings) -> Path:
    identity = {
        "schema": 1,
        "reference": reference.sha256,
        "library": library,
        "top": settings.top,
        **reference.conditions,
    }
    return claimed(out, run, identity)


class _Session:
    """One call: it computes what the stores lack."""

    def __init__(self, plan: Plan, kept: Store, log: Path, settings: Settings, say: Say) -> None:
        self.plan = plan
        self.kept = kept
        self._log = log
        self._settings = settings
        self._say = say
        self._known: dict[str, tuple[Any, Any]] = {}

    def _open(self, model: Compared) -> Distributions:
        opening = Opening(
            context=self._settings.context or self.plan.context,
            threads=self._settings.threads,
            gpu_layers=self._settings.gpu_layers,
            top=self._settings.top,
        )
        return model.open(opening, self._log)

    def reference(self, model: Reference) -> None:
        """Keep the reference's likeliest tokens of every answer."""

        def compute(model: Distributions, answer: ForcedAnswer) -> Content:
            computed = model.top(answer.forced(model.ends), self._settings.top)
            rows = computed.rows
            return _content(computed, {"ids": rows.ids, **_arrays(rows)})

        self._all(model, self.kept, compute)

    def file(self, file: Compared, store: Store) -> None:
        """Keep how far a file is from the reference, token by token."""

        def compute(model: Distributions, answer: ForcedAnswer) -> Content:
            reference = self.rows(answer)
            computed = model.at(answer.forced(reference.targets[-1:].tolist()), reference.ids)
            figures = token_figures(reference, computed.rows)
            arrays = {"kl": figures.kl, "change": figures.change, "best": computed.rows.best}
            return _content(computed, arrays)

        self._all(file, store, compute)

    def rows(self, answer: ForcedAnswer) -> Rows:
        """The reference's distributions of an answer."""
        arrays = self.kept.get(answer.key).arrays
        return Rows(**{name: arrays[name] for name in Rows.__slots__})

    def figures(self, answer: ForcedAnswer, store: Store) -> TokenFigures:
        """A file's figures of an answer."""
        arrays, (best, targets) = store.get(answer.key).arrays, self._tokens(answer)
        return TokenFigures(
            kl=arrays["kl"],
            agree=arrays["best"] == best,
            change=arrays["change"],
            kept=arrays["best"] == targets,
        )

    def _tokens(self, answer: ForcedAnswer) -> tuple[Any, Any]:
        """The reference's likeliest tokens and its own of an answer: every file is held against them."""
        if answer.key not in self._known:
            arrays = self.kept.get(answer.key).arrays
            self._known[answer.key] = arrays["best"].copy(), arrays["targets"].copy()
        return self._known[answer.key]

    def noise(self, answer: ForcedAnswer) -> float | None:
        """The share of an answer's tokens that are not the reference's likeliest here, as they were there."""
        if answer.recounted:
            return None
        best, targets = self._tokens(answer)
        return float((best != targets).mean())

    def cost(self, store: Store) -> Cost:
        """What a store's answers of this plan have cost."""
        heads = [(answer, store.get(answer.key).head) for answer in self.plan.answers]
        return Cost(
            answers=len(heads),
            seconds=sum(float(head["seconds"]) for _, head in heads),
            tokens=sum(int(head["computed"]) for _, head in heads),
            prompt_computed=sum(len(answer.prompt) - int(head["reused"]) for answer, head in heads),
        )

    def _all(
        self, file: Compared, store: Store, compute: Callable[[Distributions, ForcedAnswer], Content]
    ) -> None:
        missing = [answer for answer in self.plan.answers if answer.key not in store]
        if not missing:
            return
        total = len(self.plan.answers)
        with self._open(file) as model:
            for number, answer in enumerate(missing, total - len(missing) + 1):
                store.append(answer.key, compute(model, answer))
                self._say(f"{file.path.name}: {number}/{total}")


def _arrays(rows: Rows) -> dict[str, Any]:
    return {name: getattr(rows, name) for name in ("logp", "rest", "best", "targets", "taken")}


def _content(computed: Computed, arrays: Mapping[str, Any]) -> Content:
    head = {"computed": computed.computed, "reused": computed.reused, "seconds": round(computed.seconds, 4)}
    return Content(head, arrays)


class _Judged:
    """What is known of answers beside their tokens: kinds of token, final answers, verdicts."""

    def __init__(self, run: Run, plan: Plan) -> None:
        self.items: dict[tuple[str, str, int | None], Item] = {
            (item.benchmark, item.id, item.turn): item for item in run.items
        }
        self.rules = {
            name: counting_rule(items, run.info.benchmarks[name].rule)
            for name, items in run.by_benchmark().items()
        }
        self.tokens = [self._tokens(answer) for answer in plan.answers]

    def item(self, answer: ForcedAnswer) -> Item:
        return self.items[answer.name[:3]]

    def right(self, answer: ForcedAnswer) -> float | None:
        """The answer's score under the rule that counts; None without one."""
        score = self._score(answer)
        return score.value if score is not None else None

    def _score(self, answer: ForcedAnswer) -> Score | None:
        item = self.item(answer)
        sample = next(sample for sample in item.samples if sample.number == answer.name[3])
        return sample.scores.get(self.rules[item.benchmark])

    def _tokens(self, answer: ForcedAnswer) -> tuple[Mapping[Any, Any], np.ndarray | None]:
        item, score = self.item(answer), self._score(answer)
        span = score.span if score is not None and score.extracted is not None else None
        final = tokens_of(answer, [span]) if span is not None and span[1] <= len(answer.text) else None
        return token_classes(answer, list(item.choices)), final


def _file_fidelity(
    session: _Session, store: Store, judged: _Judged, candidates: Sequence[Run], digest: str
) -> tuple[dict[str, BenchmarkFidelity], Means, Cost, dict[str, FlipForecast]]:
    by_benchmark: dict[str, list[AnswerFigures]] = {name: [] for name in judged.rules}
    for answer, (classes, final) in zip(session.plan.answers, judged.tokens, strict=True):
        benchmark, id_, turn, sample = answer.name
        called = (benchmark, (id_, turn), sample, answer.group)
        figures, right = session.figures(answer, store), judged.right(answer)
        made = answer_figures(called, figures, classes, final, session.noise(answer), right)
        by_benchmark[benchmark].append(made)
    found = {name: benchmark_fidelity(answers) for name, answers in by_benchmark.items() if answers}
    runs = [run for run in candidates if run.info.engine.weights_sha256 == digest]
    forecasts: dict[str, FlipForecast] = {}
    for name, part in found.items():
        pairs = [pair for run in runs for pair in _flips(part.answers, judged, run)]
        forecast = flip_forecast(pairs)
        if forecast is not None:
            forecasts[name] = forecast
    return found, average_means(list(found.values())), session.cost(store), forecasts


def _flips(answers: Sequence[AnswerFigures], judged: _Judged, run: Run) -> list[tuple[AnswerFigures, bool]]:
    """Answers with whether the file's generated ones flipped, of those that both runs have judged once."""
    found = []
    theirs = {(item.benchmark, item.id, item.turn): item for item in run.items}
    for answer in answers:
        rule = judged.rules[answer.benchmark]
        name = (answer.benchmark, *answer.key)
        candidate = theirs.get(name)
        if candidate is None:
            continue
        one, other = only_answer(judged.items[name], rule), only_answer(candidate, rule)
        if one is not None and other is not None and one.sample.messages == other.sample.messages:
            found.append((answer, flip_kind(one, other) is not None))
    return found


def _answers(file: FileFidelity) -> list[AnswerFigures]:
    return [answer for part in file.benchmarks.values() for answer in part.answers]


def _fidelity(
    folder: Path,
    run: Run,
    reference: Reference,
    library: str,
    session: _Session,
    found: Sequence[FileFidelity],
) -> Fidelity:
    plan = session.plan
    rows = [session.rows(answer) for answer in plan.answers]
    left_out = {"without text": plan.failed, "that the tokenizer does not give back": plan.strange}
    return Fidelity(
        folder=folder,
        run_id=run.info.run_id,
        model=run.info.model.title,
        reference=reference.path.name,
        library=library,
        top=rows[0].ids.shape[1],
        answers=len(plan.answers),
        predicted=sum(answer.predicted for answer in plan.answers),
        groups=len({(answer.name[0], answer.group) for answer in plan.answers}),
        greedy=float(np.mean(np.concatenate([row.best == row.targets for row in rows]))),
        kept_mass=float(np.mean(np.concatenate([1 - row.rest for row in rows]))),
        distinct_prompt_tokens=plan.distinct_prompt_tokens,
        reference_cost=session.cost(session.kept),
        left_out={why: count for why, count in left_out.items() if count},
        recounted=plan.recounted,
        files=tuple(found),
        differences=neighbours([(file.name, _answers(file)) for file in found]),
    )
