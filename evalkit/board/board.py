"""The leaderboard as data: the runs of a results folder, which of them count, and what each shows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from evalkit.files import write_bytes
from evalkit.metrics import Result, accuracy, average, missing_answers, results, scored_benchmarks
from evalkit.published import PublishedTable, mean
from evalkit.run.folder import read_run_json
from evalkit.run.generations import GENERATIONS, seal_of
from evalkit.run.info import Run, RunInfo, answering, asked
from evalkit.run.judgements import CalibrationFacts, JudgeCalibration, JudgedBenchmark, JudgeFacts
from evalkit.run.record import RECORD_FILE, SUFFIX, load_run, to_bytes, without_prompts
from evalkit.run.runner import sealed_answers
from evalkit.schema import DEFAULT, ENGINE_ERROR, JUDGED, Estimate, Item, UserError
from evalkit.sweep.record import FILE, Sweep, read_checked


@dataclass(frozen=True, slots=True)
class JudgeCell:
    """The judge on one benchmark of a run.

    `raw` is the run's score as judged, None where it is withheld. `labels` says whose labels `calibrated`
    rests on. At least one of `fitness` and `calibrated` is there.
    """

    judge: str
    benchmark: str
    fitness: JudgedBenchmark | None = None
    raw: Estimate | None = None
    labels: Literal["people", "rule"] | None = None
    calibrated: JudgeCalibration | None = None


@dataclass(frozen=True, slots=True)
class BoardEntry:
    """A run on the leaderboard. `average` is over its scored benchmarks, None if there is none.

    `cells` are its benchmarks. `rule` is what they are scored by, several joined by `+`; a cell without any
    score there may have a judge's. `protocol` and `data` are the names in its config; `run` is its run id,
    `file` the record's file name relative to the results folder. `judged` is what a judge said of it, and how
    wrong that judge is. Sizes in bytes, speeds in tokens per second of one request alone.
    """

    model: str
    title: str
    family: str | None
    parameters: int | None
    run: str
    file: str
    rule: str
    protocol: str
    data: str
    cells: dict[str, Result]
    average: Estimate | None
    size_bytes: int | None
    bits_per_weight: float | None
    peak_memory_bytes: int | None
    decode_tokens_per_second: float | None
    warnings: tuple[str, ...] = ()
    judged: tuple[JudgeCell, ...] = ()


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """A row of a published table, in per cent as printed. `mean` is what its scores average to."""

    model: str
    title: str
    parameters: str
    table: str
    scores: dict[str, float]
    average: float
    mean: float


@dataclass(frozen=True, slots=True)
class Problem:
    """A record that is not on the leaderboard, and why."""

    file: str
    reason: str
    kind: Literal["unreadable", "superseded"] = "unreadable"


@dataclass(frozen=True, slots=True)
class Board:
    """Measured entries by average (best first, those without one last), then published rows as printed.

    `benchmarks` maps names to titles, in the published table's order.
    """

    benchmarks: dict[str, str]
    measured: tuple[BoardEntry, ...]
    published: tuple[PublishedRow, ...]
    problems: tuple[Problem, ...] = field(default=())

    @property
    def rules(self) -> list[str]:
        """The rules that count anywhere, sorted; not a judge."""
        found = {cell.rule for entry in self.measured for cell in entry.cells.values()}
        return sorted(found - {JUDGED}) or [DEFAULT]


def board_of(
    runs: Mapping[str, Run], published: Sequence[PublishedTable], problems: Sequence[Problem] = ()
) -> Board:
    """The board of these runs.

    Args:
        runs: by their record's file name relative to the results folder.
        published: the tables that they stand beside.
        problems: of the records that are left out.
    """
    measured = [_measured(file, run) for file, run in runs.items()]
    return Board(
        benchmarks=_benchmarks(published, [run.info for run in runs.values()]),
        measured=tuple(sorted(measured, key=_place)),
        published=tuple(row for table in published for row in _rows(table)),
        problems=tuple(problems),
    )


def _benchmarks(published: Sequence[PublishedTable], measured: Iterable[RunInfo]) -> dict[str, str]:
    """The published columns, then what else was measured, by name."""
    printed = {name: column.title for table in published for name, column in table.benchmarks.items()}
    others = {name: benchmark.title for info in measured for name, benchmark in info.benchmarks.items()}
    return printed | {name: others[name] for name in sorted(others.keys() - printed.keys())}


def _place(entry: BoardEntry) -> tuple[bool, float, str, str, str]:
    # Digits beyond the ninth are the processor's.
    value = round(entry.average.value, 9) if entry.average else 0.0
    return entry.average is None, -value, entry.title, entry.model, entry.file


def _measured(file: str, run: Run) -> BoardEntry:
    info, cells = run.info, results(run)
    weights, probe = info.engine.weights, info.measured.probe
    judged = judged_of(info.judge, info.calibration, _as_judged(run.by_benchmark()))
    return BoardEntry(
        model=info.model.name,
        title=info.model.title,
        family=info.model.family,
        parameters=info.model.parameters,
        run=info.run_id,
        file=file,
        rule="+".join(sorted({benchmark.rule for benchmark in info.benchmarks.values()})),
        protocol=info.protocol.name,
        data="+".join(_sources(info)),
        cells=cells,
        average=average(cells.values()),
        size_bytes=(weights.size_bytes if weights else None) or info.model.size_bytes,
        bits_per_weight=weights.gguf.bits_per_weight if weights else None,
        peak_memory_bytes=info.measured.memory_bytes,
        decode_tokens_per_second=probe.decode_tokens_per_second if probe else None,
        warnings=tuple(_warnings(run)),
        judged=tuple(each for each in judged if each.benchmark in info.benchmarks),
    )


def _sources(info: RunInfo) -> list[str]:
    return sorted({info.data[name].source for name in info.benchmarks})


def _as_judged(items: Mapping[str, Sequence[Item]]) -> dict[str, Estimate]:
    found = {name: accuracy(of, JUDGED) for name, of in items.items()}
    return {name: estimate for name, estimate in found.items() if estimate is not None}


def _warnings(run: Run) -> Iterator[str]:
    if "sample" in _sources(run.info):
        yield "made on the bundled samples: to try evalkit, not a measurement"
    missing = missing_answers(run)
    if missing:
        there = sum(len(item.samples) for item in run.items)
        yield f"partial: {missing:,} of {missing + there:,} answers are not there"
    weights = run.info.engine.weights
    if weights and weights.requantized_from:
        yield f"requantized from {weights.requantized_from}: carries that file's losses too"
    if weights:
        yield from weights.recipe.warnings


def _rows(table: PublishedTable) -> Iterator[PublishedRow]:
    for row in table.rows:
        yield PublishedRow(
            model=row.model,
            title=row.title,
            parameters=row.parameters,
            table=table.name,
            scores={name: float(score) for name, score in row.scores.items()},
            average=float(row.average),
            mean=float(mean(table, row.scores)),
        )


def choose(runs: Mapping[str, Run]) -> tuple[dict[str, Run], list[Problem]]:
    """The runs to show, and those that another one of them stands for, both in the order given."""
    families: dict[str, list[str]] = defaultdict(list)
    for file, run in runs.items():
        families[answering(run.info)].append(file)
    instead: dict[str, str] = {}
    for files in families.values():
        shown: dict[str, set[tuple[str, str]]] = {}
        for file in sorted(files, key=lambda file: _completeness(runs[file]), reverse=True):
            questions = set(asked(runs[file].info).items())
            better = next((other for other, covered in shown.items() if questions <= covered), None)
            if better is None:
                shown[file] = questions
            else:
                instead[file] = better
    problems = [
        Problem(file, f"the same model was asked the same in {instead[file]}, which is shown", "superseded")
        for file in runs
        if file in instead
    ]
    return {file: run for file, run in runs.items() if file not in instead}, problems


def _completeness(run: Run) -> tuple[int, int, str, str]:
    scored = sum(
        (score := sample.scores.get(rule)) is not None and score.value is not None
        for items, rule in scored_benchmarks(run).values()
        for item in items
        for sample in item.samples
    )
    return len(run.info.benchmarks), scored, run.info.started or "", run.info.run_id


def judged_of(
    judge: JudgeFacts | None, calibration: CalibrationFacts | None, raw: dict[str, Estimate]
) -> Iterator[JudgeCell]:
    """A line for every benchmark that a judge was asked about, and for every source of labels.

    Args:
        raw: by benchmark, the score under `judged` where it is shown.
    """
    if judge is not None:
        for name, of in judge.benchmarks.items():
            if of.shown != "not needed":
                yield JudgeCell(judge.judge.name, name, of, raw.get(name))
    if calibration is not None:
        for name, sources in calibration.benchmarks.items():
            by = calibration.judge.name
            if sources.people is not None:
                yield JudgeCell(by, name, labels="people", calibrated=sources.people)
            if sources.rule is not None:
                yield JudgeCell(by, name, labels="rule", calibrated=sources.rule)


RECORDS = "records"
SWEEPS = "records/sweeps"


@dataclass(frozen=True, slots=True)
class ResultsFolder:
    """What there is to show. Keys of `runs` are file names relative to the results folder, `/` between.

    Keys of `sweeps` are the names of their folders under curves/. `problems` is in the order of file names.
    """

    runs: dict[str, Run]
    sweeps: dict[str, Sweep]
    problems: tuple[Problem, ...]


def collect(results: Path, *, local: bool) -> ResultsFolder:
    """Read everything under `results`.

    Args:
        local: whether runs and sweeps that are only on this machine (runs/, sweeps/) count.
    """
    problems: list[Problem] = []
    found: dict[str, Run] = {}
    here = (results / "runs").rglob(RECORD_FILE) if local else ()
    for path in [*_kept(results / RECORDS, SUFFIX), *sorted(here, key=lambda path: path.as_posix())]:
        file = _name(path, results)
        try:
            run = load_run(path)
        except UserError as error:
            # The path as given would differ from machine to machine.
            problems.append(Problem(file, str(error).removeprefix(f"{path} ")))
        else:
            _add(file, run, found, problems)
    shown, superseded = choose(found)
    sweeps = _sweeps(results, local, problems)
    problems += [*superseded, *_foreign(results)]
    problems.sort(key=lambda problem: (problem.file, problem.reason))
    return ResultsFolder(shown, sweeps, tuple(problems))


def _add(file: str, run: Run, found: dict[str, Run], problems: list[Problem]) -> None:
    """Kept records come first, so that a local copy is the second of its run; equal ones need no word."""
    same = next((each for each, other in found.items() if _name_of(other) == _name_of(run)), None)
    if same is None:
        found[file] = run
    elif not _is_copy(run, found[same]) or file.startswith(f"{RECORDS}/"):
        reason = f"the same run is in {same}, which counts (`evalkit keep` replaces it)"
        problems.append(Problem(file, reason, "superseded"))


def _name_of(run: Run) -> tuple[str, str]:
    return run.info.model.name, run.info.run_id


def _is_copy(one: Run, other: Run) -> bool:
    return one.info.raw == other.info.raw and one.items == other.items


def _sweeps(results: Path, local: bool, problems: list[Problem]) -> dict[str, Sweep]:
    kept = [path for path in _kept(results / SWEEPS, ".json") if path.parent == results / SWEEPS]
    names = {path: _name(path, results / SWEEPS).removesuffix(".json") for path in kept}
    if local:
        here = sorted((results / "sweeps").glob(f"*/*/{FILE}"), key=lambda path: path.as_posix())
        names |= {path: _name(path.parent, results / "sweeps") for path in here}
    found: dict[str, Sweep] = {}
    for path, name in names.items():
        try:
            sweep = read_checked(path)
        except UserError as error:
            problems.append(Problem(_name(path, results), str(error).removeprefix(f"{path} ")))
        else:
            if sweep not in found.values():
                found[name] = sweep
    return found


def _foreign(results: Path) -> Iterator[Problem]:
    for path in _kept(results / RECORDS, ""):
        is_sweep = path.suffix == ".json" and path.parent == results / SWEEPS
        if not (path.name.endswith(SUFFIX) or is_sweep or path.name == "README.md"):
            reason = f"is neither a run's record (*{SUFFIX}) nor a sweep's ({SWEEPS}/*.json)"
            yield Problem(_name(path, results), reason)


def _kept(folder: Path, suffix: str) -> list[Path]:
    files = (path for path in folder.rglob(f"*{suffix}") if not path.name.startswith("."))
    return sorted((path for path in files if path.is_file()), key=lambda path: path.as_posix())


def _name(path: Path, results: Path) -> str:
    """Relative, with `/`, and without what no encoding can write."""
    return path.relative_to(results).as_posix().encode(errors="replace").decode()


@dataclass(frozen=True, slots=True)
class Copy:
    """A file to copy, and to where; a record without `prompts` has hashes in their place."""

    source: Path
    target: Path
    prompts: bool = True


def copy_of(folder: Path, results: Path, *, partial: bool, prompts: bool = True) -> Copy:
    """What is kept of a run's or a sweep's folder. Nothing is written.

    Args:
        partial: whether a run that lacks answers, or a sweep with members that failed or do, may be kept.
        prompts: whether a run's questions are kept with it.

    Raises:
        UserError: there is no record, it is not one, or it is partial and must not be.
    """
    if (folder / FILE).is_file():
        return _sweep(folder, results, partial)
    if (folder / RECORD_FILE).is_file():
        return replace(_run(folder, results, partial), prompts=prompts)
    if (folder / "config.yaml").is_file():
        raise UserError(f"{folder} has no record yet: `evalkit score {folder}` makes it")
    raise UserError(
        f"{folder} is neither a run's folder nor a sweep's: it has no {RECORD_FILE} and no {FILE}"
    )


def _run(folder: Path, results: Path, partial: bool) -> Copy:
    path = folder / RECORD_FILE
    run = load_run(path)
    if (folder / GENERATIONS).is_file():
        written = sealed_answers(folder, read_run_json(folder))
        if seal_of(run.info.raw) not in (None, written.seal):
            raise UserError(
                f"{folder}: its record is not of its answers: `evalkit score {folder}` makes it anew"
            )
    lacking = missing_answers(run) + sum(
        (sample.error or "").startswith(ENGINE_ERROR) for item in run.items for sample in item.samples
    )
    if lacking and not partial:
        raise UserError(
            f"{folder} is partial, {lacking:,} answers are not there: run it to its end, or add partial=true"
        )
    name = f"{run.info.model.name}/{run.info.run_id}{SUFFIX}"
    return Copy(path, _inside(results / RECORDS, name, folder))


def _sweep(folder: Path, results: Path, partial: bool) -> Copy:
    path = folder / FILE
    sweep = read_checked(path)
    unfinished = [member for member in sweep.members if member.status != "done"]
    if unfinished and not partial:
        raise UserError(
            f"{folder} is partial, {len(unfinished)} of {len(sweep.members)} members are not done "
            f"({unfinished[0].name!a:.80}): run it to its end, or add partial=true"
        )
    return Copy(path, _inside(results / SWEEPS, f"{sweep.name}.json", folder))


def _inside(parent: Path, name: str, folder: Path) -> Path:
    """The path of `name` below `parent`: a record says its own name, and it may be anybody's."""
    if (
        not name.isprintable()
        or "\\" in name
        or any(part.startswith(".") or not part for part in name.split("/"))
    ):
        raise UserError(
            f"{folder}: its record cannot be kept under the name that it gives itself: {name!a:.100}"
        )
    return parent / name


def write(copy: Copy) -> str:
    """Copy; returns what was done: `kept`, `replaced` or `already kept`.

    Raises:
        UserError: it cannot be read or written.
    """
    try:
        content = (
            copy.source.read_bytes() if copy.prompts else to_bytes(without_prompts(load_run(copy.source)))
        )
        there = copy.target.read_bytes() if copy.target.exists() else None
        if there == content:
            return "already kept"
        copy.target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(copy.target, content)
    except OSError as error:
        raise UserError(f"{copy.target} cannot be written: {error.strerror or error}") from error
    return "kept" if there is None else "replaced"


@dataclass(frozen=True, slots=True)
class SiteRun:
    """An entry. `label` tells it apart for readers, `slug` in links; `number` is its place on the board.

    `answered` are its items by benchmark.
    """

    number: int
    label: str
    slug: str
    measured: BoardEntry
    run: Run
    answered: dict[str, list[Item]]

    @property
    def anchor(self) -> str:
        """Where record.html describes it."""
        return f"run-{self.number}"

    @property
    def unfit(self) -> set[str]:
        """The benchmarks of which a judge's scores are withheld."""
        return {
            each.benchmark
            for each in self.measured.judged
            if each.fitness is not None and each.fitness.shown == "withheld"
        }

    def rule(self, benchmark: str) -> str:
        """The rule whose number counts on one benchmark."""
        cell = self.measured.cells.get(benchmark)
        return cell.rule if cell else DEFAULT

    def items(self, benchmark: str) -> list[Item]:
        """Its examples of one benchmark, with their answers."""
        return self.answered.get(benchmark, [])


def runs_of(board: Board, runs: Mapping[str, Run]) -> list[SiteRun]:
    """The board's entries in its order. `runs` is by the entries' `file`."""
    labels = _distinct(
        board.measured,
        lambda entry: entry.title,
        lambda entry: f"{entry.title} ({entry.protocol}, {entry.data})",
        lambda entry: f"{entry.title} ({entry.run})",
    )
    slugs = _distinct(board.measured, lambda entry: entry.model, lambda entry: f"{entry.model}/{entry.run}")
    return [
        SiteRun(number, label, slug, entry, runs[entry.file], runs[entry.file].by_benchmark())
        for number, (entry, label, slug) in enumerate(zip(board.measured, labels, slugs, strict=True))
    ]


def _distinct(entries: Sequence[BoardEntry], *namings: Callable[[BoardEntry], str]) -> list[str]:
    """Each entry by the shortest naming under which nothing else has its name; by the last one if none."""
    found = [""] * len(entries)
    for naming in reversed(namings):
        names = [naming(entry) for entry in entries]
        counts = Counter(names)
        found = [
            name if counts[name] == 1 or not last else last for name, last in zip(names, found, strict=True)
        ]
    return found
