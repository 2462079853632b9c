"""From a finished run to its record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evalkit.example import ChoiceGold, Gold, LabelGold, NumberGold, TextGold, YesNoGold
from evalkit.judge.facts import CALIBRATION
from evalkit.judge.ledger import Ledger, read_ledger
from evalkit.records.record import GoldKind, Head, Record, Row, RuleVerdict
from evalkit.report.disagreements import gold_text
from evalkit.runner.folder import read_json, run_id
from evalkit.runner.run import Finished
from evalkit.runner.scoring import Score, score_records
from evalkit.scorers import rule_names

_SETTINGS = ("limit", "seed", "sampling")
_MODEL = ("name", "title", "family", "parameters", "licence", "published_only", "recipe", "size_bytes")
_PATHS = ("path", "binary", "dir")  # of the machine that made the run: nobody else's business
_KINDS: dict[type, GoldKind] = {
    NumberGold: "number",
    YesNoGold: "yes_no",
    ChoiceGold: "choice",
    LabelGold: "label",
    TextGold: "text",
}


def record_of(finished: Finished) -> Record:
    """The record of a run, with the verdicts of all rules and of its judge.

    Raises:
        UserError: what a judge or its calibration left in the run's folder cannot be read.
    """
    ledger = read_ledger(finished.path)
    scores = score_records(finished.records, finished.data, rule_names(), ledger)
    order = {name: number for number, name in enumerate(finished.data)}
    by_answer: dict[tuple[str, str, int | None, int], list[Score]] = defaultdict(list)
    for score in scores:
        by_answer[score.record.name].append(score)
    rows = [_row(each) for each in by_answer.values()]
    rows.sort(key=lambda row: (order[row.benchmark], row.group, row.id, row.turn or 0, row.sample))
    return Record(_head(finished, ledger), rows)


def _head(finished: Finished, ledger: Ledger | None) -> Head:
    config, run = finished.config, finished.run
    return Head(
        run_id=run_id(config),
        model={key: config["model"].get(key) for key in _MODEL},
        protocol=dict(config["protocol"]),
        sampling=dict(run["sampling"]),
        settings={key: config[key] for key in _SETTINGS},
        benchmarks={
            name: {**_benchmark(config["benchmark"][name]), "covered": len(loaded.examples)}
            for name, loaded in finished.data.items()
        },
        data=_without_paths(run["data"]),
        engine=_without_paths(run["engine"]),
        hardware=dict(run["hardware"]),
        measured=dict(run["measured"]),
        evalkit=dict(run["evalkit"]),
        started=run.get("started"),
        ended=run.get("ended"),
        judge=ledger.summary if ledger else None,
        calibration=read_json(finished.path / CALIBRATION) or None,
    )


def _benchmark(config: Mapping[str, Any]) -> dict[str, Any]:
    """Without where it is downloaded from: what was read is under `data`."""
    return {key: value for key, value in config.items() if key not in ("hub", "files")}


def _without_paths(block: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_paths(value) if isinstance(value, Mapping) else value
        for key, value in block.items()
        if key not in _PATHS and not (key == "origin" and "path:" in str(value))
    }


def _row(scores: Sequence[Score]) -> Row:
    record, example = scores[0].record, scores[0].example
    return Row(
        benchmark=record.benchmark,
        id=record.id,
        turn=record.turn,
        sample=record.sample,
        group=example.group,
        facets=dict(example.facets),
        gold_kind=_KINDS[type(example.gold)],
        gold=_gold(example.gold),
        messages=tuple((message["role"], message["content"]) for message in record.messages),
        text=record.text,
        finish_reason=record.finish_reason,
        prompt_tokens=record.prompt_tokens,
        completion_tokens=record.completion_tokens,
        error=record.error,
        verdicts=dict(_verdicts(scores)),
        abandoned=next((s.abandoned for s in scores if s.abandoned is not None), None),
    )


def _verdicts(scores: Iterable[Score]) -> Iterable[tuple[str, RuleVerdict]]:
    for score in scores:
        verdict = score.verdict
        yield (
            score.rule,
            RuleVerdict(
                verdict.correct,
                verdict.score,
                verdict.failure,
                verdict.extracted,
                verdict.span,
                verdict.note,
            ),
        )


def _gold(gold: Gold) -> str:
    return gold.reference if isinstance(gold, TextGold) else gold_text(gold)
