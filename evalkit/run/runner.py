"""One run: from a composed config, or from outputs made elsewhere, to a folder of records."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from evalkit.benchmarks import load, needs_judge
from evalkit.config.extensions import home
from evalkit.config.settings import QuestionSettings, RunSettings
from evalkit.engines import Outputs, read_outputs
from evalkit.run.folder import (
    ENGINE_LOG,
    Finished,
    RunFolder,
    check_claim,
    generation,
    open_answers,
    path_of,
    read_run_json,
    write_settings,
)
from evalkit.run.forecast import Forecast, forecast
from evalkit.run.generate import refuse_contradictions
from evalkit.run.generations import (
    GENERATIONS,
    Generations,
    Writer,
    read_chain,
    read_generations,
    require_sealed,
    require_unbroken,
    seal_of,
    sealed,
)
from evalkit.run.info import Run, data_info, different_data
from evalkit.run.provenance import measured, now, provenance
from evalkit.run.record import RECORD_FILE, load_run
from evalkit.run.schedule import Watch, requests_of
from evalkit.run.scoring import scored_run
from evalkit.schema import DEFAULT, Answer, Loaded, Request, UserError, nearest
from evalkit.scoring import check_rule, rule_names
from evalkit.text import mapping


def load_data(settings: QuestionSettings) -> dict[str, Loaded]:
    """The examples of every benchmark, by its name."""
    return {
        name: load(
            benchmark,
            settings.data,
            limit=benchmark.limit or settings.limit,
            seed=settings.seed,
            sampling=settings.sampling,
        )
        for name, benchmark in settings.benchmark.items()
    }


def wanted(settings: RunSettings, data: Mapping[str, Loaded]) -> list[Request]:
    """Every request of the run, in the loaders' order."""
    examples = [example for loaded in data.values() for example in loaded.examples]
    return requests_of(examples, settings.protocol.samples)


def without_unscored(settings: RunSettings) -> tuple[RunSettings, list[str]]:
    """The run without benchmarks that nothing would score, and their titles; as it is if that leaves none.

    For the default set, where no judge is there: a thousand answers that nobody reads take hours.
    """
    kept = {name: each for name, each in settings.benchmark.items() if not needs_judge(name)}
    left_out = [each.title for name, each in settings.benchmark.items() if name not in kept]
    if not kept or not left_out:
        return settings, []
    return settings.model_copy(update={"benchmark": kept}), left_out


def planned(settings: RunSettings) -> Forecast:
    """What a run would take from here on, without starting anything.

    Raises:
        UserError: the request is wrong, as `execute` would say.
    """
    from evalkit.run.executor import preflight

    settings = check(settings)
    check_claim(path_of(settings), settings)
    if not settings.backend.is_recorded:
        preflight(settings)
    return _forecast(settings, wanted(settings, load_data(settings)))


def _forecast(settings: RunSettings, requests: Sequence[Request]) -> Forecast:
    answers = path_of(settings) / "generations.jsonl"
    return forecast(settings, requests, (record.name for record in read_generations(answers)))


def check(settings: RunSettings) -> RunSettings:
    """What settings cannot say by themselves: that the model can be run, and the rules exist.

    Raises:
        UserError: the weights were not released, or there is no such rule.
    """
    if settings.model.published_only:
        raise UserError(
            f"{settings.model.title}: its weights were not released, only its published row exists: "
            "it cannot be run"
        )
    for name, benchmark in settings.benchmark.items():
        _check_rule(name, benchmark.rule)
    if not settings.data.dir:
        return settings
    data = settings.data.model_copy(update={"dir": str(Path(settings.data.dir).absolute())})
    return settings.model_copy(update={"data": data})


def _check_rule(benchmark: str, rule: str) -> None:
    known = rule_names()
    if home("rules", rule):
        check_rule(rule)  # says what is wrong with one from outside
    elif rule not in known:
        hint = nearest(rule, known)
        raise UserError(f"benchmark.{benchmark}.rule: no rule '{rule}': {', '.join(known)}.{hint}")


def with_counting_rules(finished: Finished, rules: Mapping[str, str]) -> Finished:
    """The run with other rules that count, by benchmark; its folder's config.yaml says so, too.

    Raises:
        UserError: no such benchmark in the run, or no such rule.
    """
    benchmarks = dict(finished.settings.benchmark)
    for name, rule in rules.items():
        if name not in benchmarks:
            raise UserError(f"{finished.path} has no benchmark '{name}'.{nearest(name, benchmarks)}")
        _check_rule(name, rule)
        benchmarks[name] = benchmarks[name].model_copy(update={"rule": rule})
    settings = finished.settings.model_copy(update={"benchmark": benchmarks})
    write_settings(finished.path, settings)
    return replace(finished, settings=settings)


def _say(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def execute(
    settings: RunSettings,
    console: Console,
    data: dict[str, Loaded] | None = None,
    notes: Sequence[str] = (),
    watch: Watch | None = None,
) -> Finished:
    """Generate what the run still lacks.

    Args:
        data: what `load_data` gives for these settings, if the caller has it already.
        notes: lines that are said with what the run will take.
        watch: who looks at the answers of one engine as they come, and may want no more before all are there.

    Raises:
        UserError: the request is wrong; nothing was started.
        EngineUnusable: the engine does not serve; finished records are kept.
        KeyboardInterrupt: finished records are kept, and the same call goes on.
    """
    from evalkit.run.executor import open_executor, preflight
    from evalkit.run.generate import generate

    settings = check(settings)
    path = path_of(settings)
    # Whatever can be wrong with the request shows before the folder is made, so that nothing is left of it.
    check_claim(path, settings)
    if not settings.backend.is_recorded:
        preflight(settings)
    data = load_data(settings) if data is None else data
    recorded = _recorded_data(path)
    check_data(path, recorded, {name: loaded for name, loaded in data.items() if name in recorded})
    requests = wanted(settings, data)
    if settings.backend.is_recorded:
        source = read_outputs(settings.model, settings.backend)
        with RunFolder(path, settings) as folder:
            records, run, left_out = replay(folder, settings, data, requests, source)
        return Finished(path, settings, data, records, run, left_out)
    expected = _forecast(settings, requests)
    said = [*notes, *(expected.lines() if expected.questions else ())]
    # A wrong request is one line, for whoever reads it by a program; a person sees first what is downloaded.
    before = said if expected.download and console.is_terminal else []
    _say(console, before)
    executor = open_executor(settings, path / ENGINE_LOG)
    if settings.strict:
        refuse_contradictions(settings.model.name, executor.description())
    _say(console, [*(() if before else said), f"run folder: {path}"])
    with RunFolder(path, settings) as folder:
        try:
            records, run = asyncio.run(
                generate(folder, settings, data, requests, executor, console, expected.tokens, watch)
            )
        except UserError:
            folder.give_up()
            raise
    return Finished(path, settings, data, records, run)


def finished_run(path: Path, data_dir: str | None = None) -> Finished:
    """A run read back from its folder, finished or partial, for scoring again.

    Args:
        data_dir: where local data is now, if not where it was.

    Raises:
        UserError: the folder is not a readable run, or its data are not what they were.
    """
    from evalkit.run.folder import read_settings

    settings = read_settings(path)
    if data_dir is not None:
        data_settings = settings.data.model_copy(update={"dir": data_dir})
        settings = settings.model_copy(update={"data": data_settings})
    run = read_run_json(path)
    found = sealed_answers(path, run)
    if not run or not found.answers:
        raise UserError(f"{path}: nothing was generated there yet: run its command first")
    if found.linked:  # a kill may have come before they were counted
        run.update(sealed(found.seal, run))
    records = found.answers
    data = load_data(settings)
    check_data(path, mapping(run.get("data")), data)
    names = {record.name for record in records}
    missing = sum(request.name not in names for request in wanted(settings, data))
    left_out = missing if settings.backend.is_recorded else 0
    return Finished(path, settings, data, records, run, left_out)


def sealed_answers(path: Path, run: Mapping[str, Any]) -> Generations:
    """The answers of the run in folder `path`, as they were written.

    Args:
        run: its run.json.

    Raises:
        UserError: they cannot be read, or one was changed, removed, added or moved.
    """
    generations = path / GENERATIONS
    found = read_chain(generations)
    require_unbroken(generations, found)
    require_sealed(generations, found, seal_of(run), all_of_them=True)
    return found


def _recorded_data(path: Path) -> Mapping[str, Any]:
    """What data the answers in folder `path` were asked on; empty where there are no answers yet."""
    generations = path / GENERATIONS
    if not generations.exists() or not generations.stat().st_size:
        return {}
    return mapping(read_run_json(path).get("data"))


def check_data(path: Path, recorded: Mapping[str, Any], data: Mapping[str, Loaded]) -> None:
    """Raises UserError where the data are not those that the run was asked."""
    for name, loaded in data.items():
        if name not in recorded:
            raise UserError(f"{path}: its run.json does not say what data {name} was run on: run it again")
        try:
            changed = different_data(data_info(recorded[name]), data_info(loaded.provenance))
        except UserError as error:
            raise UserError(f"{path}: its run.json cannot be read: {error}") from error
        if changed:
            raise UserError(
                f"{path}: the data of {name} changed since the run ({changed}): "
                "give data.dir=PATH of the files it was made with"
            )


def read_run(path: Path, data_dir: str | None = None) -> Run:
    """A run from its folder, scored again by all rules, or from a record.

    Args:
        data_dir: where a folder's local data is now, if not where it was.

    Raises:
        UserError: neither, or it cannot be read, or its data are not what they were.
    """
    if (path / "config.yaml").exists() or not (path.is_file() or (path / RECORD_FILE).exists()):
        return scored_run(finished_run(path, data_dir))
    return load_run(path)


def replay(
    folder: RunFolder,
    settings: RunSettings,
    data: Mapping[str, Loaded],
    requests: Sequence[Request],
    source: Outputs,
) -> tuple[list[Answer], dict[str, Any], int]:
    """Take the recorded outputs as the run's generations.

    Returns:
        The records, the content of run.json, and how many requests have no recorded output: they are left
        out, not scored 0.
    """
    answers = open_answers(settings, source.identity(), folder, requests)
    writer = Writer(folder.generations)
    fresh = []
    for request in requests:
        completion = source.find(request)
        messages = answers.messages(request)
        if completion is None or messages is None or answers.record(request) is not None:
            continue
        record = generation(request, answers.key(request, messages), messages, completion)
        answers.add(record)
        fresh.append(record)
    if fresh:
        writer.append(fresh)
    writer.close()
    if not answers.records:
        raise UserError(f"{source.path}: none of its {len(source)} outputs belongs to an example of this run")
    done = now()
    run = {
        **provenance(settings, {name: loaded.provenance for name, loaded in data.items()}),
        "engine": {**source.identity(), "path": str(source.path)},
        "outputs_unused": source.unused(requests),
        "started": done,
        "ended": done,
        "sessions": [],
        "measured": measured([], answers.records, None, settings.max_tokens),
        **sealed(writer.seal, read_run_json(folder.path)),
    }
    folder.write_json("run.json", run)
    return answers.records, run, len(requests) - len(answers.records)


def run_as_it_is(path: Path, data_dir: str | None = None) -> Run:
    """A run, finished or not, as fast as it can be had: from its record, or scored by what counts.

    A record that is older than the folder's answers does not count.

    Raises:
        UserError: as `read_run`.
    """
    record, answers = path / RECORD_FILE, path / "generations.jsonl"
    if not (path / "config.yaml").exists():
        return load_run(path)
    if record.exists() and record.stat().st_mtime_ns >= answers.stat().st_mtime_ns:
        return load_run(path)
    finished = finished_run(path, data_dir)
    counting = {benchmark.rule for benchmark in finished.settings.benchmark.values()}
    return scored_run(finished, sorted({DEFAULT, *counting}))
