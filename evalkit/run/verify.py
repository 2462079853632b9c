"""Whether a run's folder is what its run left: its answers' chain, its data and weights, its record.

`check_run` looks only; `ask_again` puts random questions of the run to its engine once more; `mend` drops
answers that were changed, and says so in run.json for ever after.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from evalkit.config.settings import RunSettings
from evalkit.engines import Engine, open_engine
from evalkit.run.folder import ENGINE_LOG, RunFolder, read_run_json, read_settings
from evalkit.run.generations import (
    GENERATIONS,
    Generations,
    read_chain,
    require_sealed,
    rewrite,
    seal_of,
    sealed,
    unsealed,
)
from evalkit.run.provenance import now
from evalkit.run.record import RECORD_FILE, load_run
from evalkit.run.runner import check_data, load_data, wanted
from evalkit.run.schedule import Asker, EngineClock, together
from evalkit.run.scoring import output_of
from evalkit.schema import (
    Answer,
    Completion,
    Message,
    Name,
    Request,
    UserError,
    generation_key,
    seeded,
)
from evalkit.scoring import get_rule
from evalkit.stats.intervals import wilson
from evalkit.text import mapping, rate, shown
from evalkit.weights.gguf import parts_of, read_header, sha256_of_model

Outcome = Literal["right", "wrong", "unknown"]
_NAMED = 20  # broken answers that are named, one a line


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `unknown`: it could not be, and says nothing for or against the run."""

    what: str
    outcome: Outcome
    detail: str


def check_run(path: Path, data_dir: str | None) -> list[Check]:
    """Chain, data, weights and record of the run in folder `path`; nothing is asked, and nothing written.

    Args:
        data_dir: where local data is now, if not where it was.

    Raises:
        UserError: it is no run's folder, or cannot be read at all.
    """
    settings, run = _settings(path, data_dir), read_run_json(path)
    found = read_chain(path / GENERATIONS)
    if not run or not found.answers:
        raise UserError(f"{path}: nothing was generated there yet: run its command first")
    return [
        *_chain(path, run, found),
        _data(path, settings, run),
        _weights(mapping(run["engine"].get("weights"))),
        _record(path / RECORD_FILE, found),
    ]


def _settings(path: Path, data_dir: str | None) -> RunSettings:
    settings = read_settings(path)
    if data_dir is None:
        return settings
    return settings.model_copy(update={"data": settings.data.model_copy(update={"dir": data_dir})})


def _chain(path: Path, run: Mapping[str, Any], found: Generations) -> list[Check]:
    broken = [Check("chain", "wrong", each.reason) for each in found.broken[:_NAMED]]
    if len(found.broken) > _NAMED:
        broken.append(Check("chain", "wrong", f"and {len(found.broken) - _NAMED} more"))
    if broken:
        return broken
    seal, count = seal_of(run), len(found.answers)
    try:
        require_sealed(path / GENERATIONS, found, seal, all_of_them=True)
    except UserError as error:
        return [Check("chain", "wrong", str(error))]
    if not found.linked and seal is None:
        return [Check("chain", "unknown", f"none: an older version wrote these {count} answers")]
    mended = mapping(run.get("answers")).get("mended")
    note = f"; it was mended {len(mended)} times, see run.json" if isinstance(mended, list) else ""
    return [Check("chain", "right", f"{count} answers, the last link is {found.seal.link}{note}")]


def _data(path: Path, settings: RunSettings, run: Mapping[str, Any]) -> Check:
    try:
        data = load_data(settings)
    except UserError as error:
        return Check("data", "unknown", f"they cannot be had: {error}")
    try:
        check_data(path, mapping(run.get("data")), data)
    except UserError as error:
        return Check("data", "wrong", str(error))
    return Check("data", "right", f"those that the run was asked: {', '.join(data)}")


def _weights(weights: Mapping[str, Any]) -> Check:
    expected, place = weights.get("sha256"), weights.get("path")
    if not isinstance(expected, str) or not isinstance(place, str):
        return Check("weights", "unknown", "the run was of no file of weights")
    file = Path(place)
    if not file.is_file():
        return Check("weights", "unknown", f"{shown(place)} is not there any more")
    try:
        found = sha256_of_model(parts_of(read_header(file)))
    except (UserError, OSError) as error:
        return Check("weights", "wrong", f"they cannot be read: {error}")
    if found != expected:
        return Check("weights", "wrong", f"{shown(place)} has sha256 {found}, the run had {shown(expected)}")
    return Check("weights", "right", f"sha256 {found}")


def _record(file: Path, found: Generations) -> Check:
    """Whether the record holds the folder's answers, word for word."""
    if not file.is_file():
        return Check("record", "unknown", "there is none: `evalkit score` makes it")
    try:
        record = load_run(file)
    except UserError as error:
        return Check("record", "wrong", str(error))
    answers = {answer.name: _said(answer) for answer in found.answers}
    names: set[Name] = set()
    for item in record.items:
        for sample in item.samples:
            name = (item.benchmark, item.id, item.turn, sample.number)
            names.add(name)
            if answers.get(name) != (sample.messages, sample.text, sample.finish_reason, sample.error):
                return Check("record", "wrong", f"its answer to {_named(name)} is not the folder's")
    lacking = len(answers.keys() - names)
    seal = seal_of(record.info.raw)
    if lacking or seal not in (None, found.seal):
        return Check(
            "record", "wrong", "it is of an earlier state of the answers: `evalkit score` makes it anew"
        )
    return Check("record", "right", f"holds the same {len(names)} answers")


def _said(answer: Answer) -> tuple[object, ...]:
    messages = tuple((message["role"], message["content"]) for message in answer.messages)
    return (messages, answer.text, answer.finish_reason, answer.error)


def _named(name: Name) -> str:
    benchmark, id_, turn, sample = name
    return f"{shown(benchmark)} {shown(id_)} turn {turn} sample {sample}"


@dataclass(frozen=True, slots=True)
class Again:
    """How many answers came back the same: texts word for word, verdicts of the rule that counts.

    `verdicts_of`: those that the rule can judge. `exact`: this engine repeats itself to the letter.
    `foreign`: answers whose key says that another engine, or other weights or settings, made them.
    """

    asked: int
    texts: int
    verdicts: int
    verdicts_of: int
    exact: bool
    foreign: int

    def checks(self) -> list[Check]:
        """What follows from it.

        With several requests decoded together a text depends on its neighbours in the batch, and differences
        say nothing by themselves. The noisiest pair of undisturbed runs seen so far still had 4 of 6 texts in
        common, so what is refused is a share of texts whose 95 % interval lies below one half, or a share of
        verdicts whose interval lies below four fifths.
        """
        if self.foreign:
            detail = f"{self.foreign} of {self.asked} answers are not of this engine, weights and settings"
            return [Check("engine", "wrong", detail)]
        return [
            self._check("texts", self.texts, self.asked, _LEAST_TEXTS),
            self._check("verdicts", self.verdicts, self.verdicts_of, _LEAST_VERDICTS),
        ]

    def _check(self, what: str, same: int, of: int, least: float) -> Check:
        interval = wilson(same, of)
        detail = f"{same} of {of} the same, {rate(same / of if of else None, interval, of)}"
        right = same == of if self.exact else interval[1] >= least
        if not right:
            why = "one slot repeats itself to the letter" if self.exact else "noise does not explain that"
            detail += f": {why}"
        return Check(what, ("right" if right else "wrong") if of else "unknown", detail)


_LEAST_TEXTS = 0.5
_LEAST_VERDICTS = 0.8


def ask_again(path: Path, data_dir: str | None, count: int, seed: int) -> Again:
    """Put `count` random answers' prompts, as recorded, to the run's engine on this machine.

    Raises:
        UserError: the engine or the data cannot be had, or the answers were made elsewhere.
        EngineUnusable: the engine does not serve.
    """
    settings = _settings(path, data_dir)
    if settings.backend.is_recorded:
        raise UserError(f"{path}: its answers were made elsewhere: they cannot be asked again")
    data = load_data(settings)
    requests = {request.name: request for request in wanted(settings, data)}
    answers = [a for a in read_chain(path / GENERATIONS).answers if a.error is None and a.name in requests]
    chosen = random.Random(seed).sample(answers, min(count, len(answers)))
    if not chosen:
        raise UserError(f"{path}: no answer there can be asked again")
    engine = open_engine(settings.model, settings.backend, settings.max_tokens, path / ENGINE_LOG)
    asked = [(answer, seeded(settings.generation, requests[answer.name])) for answer in chosen]
    identity = engine.identity()
    foreign = sum(
        generation_key(identity, _messages(answer), sampling, answer.sample) != answer.key
        for answer, sampling in asked
    )
    exact = settings.backend.is_exact and settings.generation.temperature == 0
    if foreign:
        return Again(len(chosen), 0, 0, 0, exact, foreign)
    prompts = [_messages(answer) for answer in answers]
    completions = asyncio.run(_asked(engine, prompts, asked))
    same = sum(answer.text == again.text for answer, again in zip(chosen, completions, strict=True))
    verdicts = [
        _verdicts(settings, requests[answer.name], answer, again)
        for answer, again in zip(chosen, completions, strict=True)
    ]
    judged = [before == after for before, after in verdicts if before is not None]
    return Again(len(chosen), same, sum(judged), len(judged), exact, 0)


def _messages(answer: Answer) -> tuple[Message, ...]:
    return tuple(Message(m["role"], m["content"]) for m in answer.messages)  # type: ignore[arg-type]


async def _asked(
    engine: Engine, prompts: Sequence[tuple[Message, ...]], asked: Sequence[tuple[Answer, Any]]
) -> list[Completion]:
    """The answers in the order of `asked`, on all slots of the engine.

    Args:
        prompts: of the whole run, which decide the context.
    """
    found: dict[Name, Completion] = {}
    queue = list(asked)
    asker = Asker(engine, EngineClock())

    async def serve(slot: int) -> None:
        while queue:
            answer, sampling = queue.pop()
            found[answer.name] = await asker.ask(_messages(answer), sampling, slot)

    try:
        tokens = await engine.tokenize(prompts)
        await engine.start(max(map(len, tokens)) if tokens else None)
        await together([serve(slot) for slot in range(engine.slots)])
    finally:
        await engine.stop()
    return [found[answer.name] for answer, _ in asked]


def _verdicts(
    settings: RunSettings, request: Request, answer: Answer, again: Completion
) -> tuple[bool | None, bool | None]:
    """What the rule that counts says of both answers; None where it cannot judge."""
    rule = get_rule(settings.benchmark[answer.benchmark].rule)
    other = replace(answer, text=again.text, finish_reason=again.finish_reason, error=again.error)
    scores = [rule(output_of(each), request.example.gold) for each in (answer, other)]
    before, after = (score.correct if score is not None else None for score in scores)
    return before, after


def mend(path: Path) -> list[str]:
    """Drop the answers that were changed, chain the others anew, and keep in run.json that it was done.

    Returns:
        What was wrong, in words; empty if nothing was, and then nothing was written.

    Raises:
        UserError: another process writes the run, or it cannot be read.
    """
    settings = read_settings(path)
    with RunFolder(path, settings) as folder:
        run, found = read_run_json(path), read_chain(folder.generations)
        reasons = [each.reason for each in found.broken]
        if not reasons:
            try:
                require_sealed(folder.generations, found, seal_of(run), all_of_them=True)
            except UserError:
                reasons.append("its answers are not those that run.json says were written")
        if not reasons or not run:
            return []
        changed = {each.name for each in found.broken if each.changed}
        earlier = mapping(run.get("answers")).get("mended")
        note = {"at": now(), "dropped": sorted(map(list, changed), key=str), "found": reasons[:_NAMED]}
        run["answers"] = {"mended": [*(earlier if isinstance(earlier, list) else []), note]}
        run.update(unsealed(run))
        folder.write_json("run.json", run)
        rewrite(folder.generations, [answer for answer in found.answers if answer.name not in changed])
        run.update(sealed(read_chain(folder.generations).seal, run))
        folder.write_json("run.json", run)
    return reasons
