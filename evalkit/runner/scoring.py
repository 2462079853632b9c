"""The cheap stage: rules over records. It can be run again at any time, without an engine."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.backends.engine import CONTEXT_OVERFLOW
from evalkit.benchmarks import Loaded
from evalkit.example import Example, Gold, NumberGold
from evalkit.judge.ledger import Ledger
from evalkit.judge.verdicts import JUDGED, judged_verdict, path_of
from evalkit.runner.folder import write_atomically
from evalkit.runner.record import Generation
from evalkit.scorers import DEFAULT, Rule, get_rule, rule_names
from evalkit.scorers.abandoned import right_then_abandoned
from evalkit.scorers.verdict import UNSCORED, Output, Verdict

SCORES = "scores.jsonl"


@dataclass(frozen=True, slots=True)
class Score:
    """One rule's verdict on one record, with what reports group by.

    ``abandoned``: whether a wrong output had the right number on the way; None unless the rule is the default
    and gold is a number.
    """

    record: Generation
    example: Example
    rule: str
    verdict: Verdict
    abandoned: bool | None = None

    @property
    def failed(self) -> bool:
        """Whether there is no answer to judge, through no doing of the model's."""
        return self.record.error is not None

    def line(self) -> str:
        fields = {
            "benchmark": self.record.benchmark,
            "id": self.record.id,
            "turn": self.record.turn,
            "sample": self.record.sample,
            "rule": self.rule,
            "extracted": self.verdict.extracted,
            "span": self.verdict.span,
            "correct": self.verdict.correct,
            "score": self.verdict.score,
            "failure": self.verdict.failure,
            "note": self.verdict.note,
        }
        if self.abandoned is not None:
            fields["abandoned"] = self.abandoned
        if self.rule == JUDGED and not self.failed:
            fields["path"] = path_of(self.verdict)
        return json.dumps(fields, ensure_ascii=False) + "\n"


def chosen_rules(names: str | Sequence[str], default: str = DEFAULT) -> list[str]:
    """The rules meant by `all`, a name, or several; the default rule is always among them.

    Raises:
        UserError: there is no such rule.
    """
    wanted = names.strip("[]").split(",") if isinstance(names, str) else list(names)
    wanted = [name.strip() for name in wanted if name.strip()]
    if wanted == ["all"]:
        wanted = rule_names()
    for name in wanted:
        get_rule(name)
    return list(dict.fromkeys([default, *wanted]))


def score_records(
    records: Iterable[Generation],
    data: Mapping[str, Loaded],
    rules: Sequence[str],
    ledger: Ledger | None = None,
) -> list[Score]:
    """Every record under every rule that applies to its kind of gold answer, in the examples' order.

    Args:
        ledger: what a judge has said of the run: adds the rule `judged` where its scores are shown.
    """
    samples: dict[tuple[str, str, int | None], list[Generation]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.sample):
        samples[record.benchmark, record.id, record.turn].append(record)
    loaded_rules = {name: get_rule(name) for name in rules}
    return [
        score
        for benchmark in data.values()
        for example in benchmark.examples
        for record in samples.get((example.benchmark, example.id, example.turn), ())
        for score in [*_score(record, example, loaded_rules), *_judged(record, example, ledger)]
    ]


def _score(record: Generation, example: Example, rules: Mapping[str, Rule]) -> list[Score]:
    scores = []
    for name, rule in rules.items():
        verdict = _failed(record) or rule(output_of(record), example.gold)
        if verdict is not None:
            abandoned = _abandoned(record, example.gold, verdict) if name == DEFAULT else None
            scores.append(Score(record, example, name, verdict, abandoned))
    return scores


def _judged(record: Generation, example: Example, ledger: Ledger | None) -> list[Score]:
    if ledger is None or not ledger.shows(record.benchmark):
        return []
    verdict = _failed(record)
    if verdict is None:
        output = output_of(record)
        rule = get_rule(DEFAULT)(output, example.gold) or UNSCORED
        verdict = judged_verdict(record, output, example.gold, rule, ledger)
    return [Score(record, example, JUDGED, verdict)]


def _abandoned(record: Generation, gold: Gold, verdict: Verdict) -> bool | None:
    if verdict.correct is None or not isinstance(gold, NumberGold):
        return None
    return not verdict.correct and right_then_abandoned(output_of(record), gold)


def output_of(record: Generation) -> Output:
    """What a rule is given of a record."""
    return Output(record.text or "", truncated=record.finish_reason == "length")


def _failed(record: Generation) -> Verdict | None:
    if record.error is None:
        return None
    kind = record.error if record.error == CONTEXT_OVERFLOW else "engine_error"
    return Verdict(None, None, None, kind, record.error)  # type: ignore[arg-type]


def write_scores(folder: Path, scores: Iterable[Score]) -> None:
    """scores.jsonl: one line per record and rule."""
    write_atomically(folder / SCORES, "".join(score.line() for score in scores))


def scored_by(folder: Path) -> list[str]:
    """The rules that a run was last scored by; only the default one if it was not, or that cannot be read."""
    try:
        lines = (folder / SCORES).read_text(encoding="utf-8").splitlines()
        found = dict.fromkeys(json.loads(line)["rule"] for line in lines)
    except (OSError, ValueError, LookupError, TypeError):
        return [DEFAULT]
    return [name for name in found if name in rule_names()] or [DEFAULT]
