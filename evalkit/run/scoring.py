"""The cheap stage: rules over answers. It can be run again at any time, without an engine."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.files import write_atomically
from evalkit.run.code import Verdicts, code_score, judge_code, read_verdicts
from evalkit.run.folder import Finished
from evalkit.run.info import Run, run_info
from evalkit.run.judgements import Ledger, judged_path, judged_score, read_ledger
from evalkit.run.record import head_of
from evalkit.schema import (
    CONTEXT_OVERFLOW,
    DEFAULT,
    JUDGED,
    KIND_OF_GOLD,
    LOOP,
    UNSCORED,
    Answer,
    ChoiceGold,
    CodeGold,
    Example,
    Gold,
    Item,
    LabelGold,
    Loaded,
    NumberGold,
    Outcome,
    Output,
    Sample,
    Score,
    TextGold,
    UserError,
    gold_text,
    is_cut_off,
    prompt_of,
)
from evalkit.scoring import Rule, check_rule, get_rule, rule_names
from evalkit.scoring.abandoned import right_then_abandoned
from evalkit.scoring.reason import reason

SCORES = "scores.jsonl"
_PRINTED = 100  # characters of a gold answer's own string


@dataclass(frozen=True, slots=True)
class ScoredAnswer:
    """An answer beside its example, and the default rule's score, for those who need the gold itself."""

    answer: Answer
    example: Example
    score: Score


def scored_answers(records: Iterable[Answer], data: Mapping[str, Loaded]) -> Iterator[ScoredAnswer]:
    """The answers under the default rule, in the examples' order, without those that the engine failed.

    Nor those to code tasks: what they need is to be run, and no judge's opinion.
    """
    rule = get_rule(DEFAULT)
    for example, answers in _answered(records, data):
        if isinstance(example.gold, CodeGold):
            continue
        for answer in answers:
            if answer.error is None:
                yield ScoredAnswer(answer, example, rule(output_of(answer), example.gold) or UNSCORED)


def run_code(finished: Finished, *, again: bool = False) -> int:
    """Run the code in a run's answers to code tasks, in the sandbox; returns how many there were.

    The verdicts are kept in the run's folder. For those who were asked to: `allow_code=true`.

    Args:
        again: also where there is a verdict already.

    Raises:
        UserError: the verdicts that are there cannot be read.
    """
    asked = (
        (answer, output_of(answer), example.gold)
        for example, answers in _answered(finished.records, finished.data)
        for answer in answers
        if isinstance(example.gold, CodeGold) and answer.error is None
    )
    return judge_code(finished.path, asked, again=again)


def scored_run(finished: Finished, rules: Sequence[str] | None = None) -> Run:
    """A run with its answers' scores.

    Args:
        rules: None: all that there are. The rule `judged` is added where a judge's scores are shown.

    Raises:
        UserError: what a judge, its calibration or the sandbox left in the run's folder cannot be read.
    """
    ledger = read_ledger(finished.path)
    if rules is None:  # one that counts may be a rule that only runs where it is named
        rules = sorted({*rule_names(), *(each.rule for each in finished.settings.benchmark.values())})
    items = items_of(finished.records, finished.data, rules, ledger, read_verdicts(finished.path))
    order = {name: number for number, name in enumerate(finished.data)}
    items.sort(key=lambda item: (order[item.benchmark], item.group, item.id, item.turn or 0))
    head = head_of(finished, ledger)
    try:
        info = run_info(head)
    except UserError as error:
        raise UserError(f"{finished.path} {error}") from error
    weights = info.engine.weights
    if weights is not None:  # a record does not name places on this machine
        path = (finished.run["engine"].get("weights") or {}).get("path")
        info = replace(info, engine=replace(info.engine, weights=replace(weights, path=path)))
    return Run(finished.path, info, tuple(items))


def items_of(
    records: Iterable[Answer],
    data: Mapping[str, Loaded],
    rules: Iterable[str],
    ledger: Ledger | None = None,
    code: Verdicts | None = None,
) -> list[Item]:
    """The examples that have answers, in their order, scored by `rules` and as the judge of `ledger` did.

    Args:
        code: the verdicts on code; the default rule's score of a code task is the one that it has there.
    """
    loaded = {name: get_rule(name) for name in rules}
    return [
        _item(example, [_sample(answer, example, loaded, ledger, code or {}) for answer in answers])
        for example, answers in _answered(records, data)
    ]


def _answered(
    records: Iterable[Answer], data: Mapping[str, Loaded]
) -> Iterator[tuple[Example, list[Answer]]]:
    """The examples that have answers, in their order, with these by number."""
    by_example: dict[tuple[str, str, int | None], list[Answer]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.sample):
        by_example[record.benchmark, record.id, record.turn].append(record)
    for loaded in data.values():
        for example in loaded.examples:
            answers = by_example.get((example.benchmark, example.id, example.turn))
            if answers:
                yield example, answers


def _item(example: Example, samples: list[Sample]) -> Item:
    gold = example.gold
    return Item(
        benchmark=example.benchmark,
        id=example.id,
        turn=example.turn,
        group=example.group,
        facets=dict(example.facets),
        gold_kind=KIND_OF_GOLD[type(gold)],
        gold=gold.reference if isinstance(gold, TextGold) else gold_text(gold),
        question=example.question,
        samples=tuple(samples),
        choices=_choices(gold),
        printed=_printed(gold),
    )


def _printed(gold: Gold) -> str:
    """The annotator's own string, where that is not what `gold_text` makes of the value."""
    own = " ".join(gold.answer.split())[:_PRINTED] if isinstance(gold, NumberGold) else ""
    return "" if own == gold_text(gold) else own


def _choices(gold: Gold) -> dict[str, str]:
    if isinstance(gold, LabelGold):
        return dict.fromkeys(gold.labels, "")
    return dict(gold.options) if isinstance(gold, ChoiceGold) else {}


def _sample(
    answer: Answer, example: Example, rules: Mapping[str, Rule], ledger: Ledger | None, code: Verdicts
) -> Sample:
    scores = _scores(answer, example, rules, ledger, code)
    return Sample(
        number=answer.sample,
        messages=tuple((message["role"], message["content"]) for message in answer.messages),
        text=answer.text,
        finish_reason=answer.finish_reason,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        error=answer.error,
        scores=scores,
        abandoned=_abandoned(answer, example.gold, scores.get(DEFAULT)),
        reason=_reason(answer, example.gold, scores.get(DEFAULT)),
    )


def _scores(
    answer: Answer, example: Example, rules: Mapping[str, Rule], ledger: Ledger | None, code: Verdicts
) -> dict[str, Score]:
    judged = ledger is not None and ledger.shows(answer.benchmark)
    if answer.error is not None:
        failed = _failed(answer.error)
        return {**dict.fromkeys(rules, failed), **({JUDGED: failed} if judged else {})}
    output = output_of(answer)
    found = {
        name: _of_loop(answer, score)
        for name, rule in rules.items()
        if (score := rule(output, example.gold)) is not None
    }
    if isinstance(example.gold, CodeGold) and DEFAULT in found:
        found[DEFAULT] = _of_loop(answer, code_score(answer, output, example.gold, code))
    if judged and ledger is not None:
        default = found.get(DEFAULT) or get_rule(DEFAULT)(output, example.gold) or UNSCORED
        found[JUDGED] = _of_loop(answer, judged_score(answer, output, example.gold, default, ledger))
    return found


def _of_loop(answer: Answer, score: Score) -> Score:
    """A repetition that was ended says so where it would have been `truncated` at the token limit."""
    looped = answer.finish_reason == LOOP and score.outcome == "truncated"
    return replace(score, outcome="loop") if looped else score


def _failed(error: str) -> Score:
    outcome: Outcome = "context_overflow" if error == CONTEXT_OVERFLOW else "engine_error"
    return Score(None, None, None, outcome, error)


def _reason(answer: Answer, gold: Gold, score: Score | None) -> str:
    return reason(output_of(answer), gold, score) if score is not None else ""


def _abandoned(answer: Answer, gold: Gold, score: Score | None) -> bool | None:
    """Whether a wrong output had the right number on the way; None unless gold is a number."""
    if score is None or score.correct is None or not isinstance(gold, NumberGold):
        return None
    return not score.correct and right_then_abandoned(output_of(answer), gold)


def output_of(answer: Answer) -> Output:
    """What a rule is given of an answer."""
    prompt = prompt_of((message["role"], message["content"]) for message in answer.messages)
    return Output(answer.text or "", is_cut_off(answer.finish_reason), prompt)


def chosen_rules(names: str | Sequence[str], default: str = DEFAULT) -> list[str]:
    """The rules meant by `all`, a name, or several; the default rule is always among them.

    Raises:
        UserError: there is no such rule.
    """
    wanted = names.strip("[]").split(",") if isinstance(names, str) else list(names)
    wanted = [name.strip() for name in wanted if name.strip()]
    if wanted == ["all"]:
        wanted = rule_names()
    else:
        for name in wanted:
            if name != DEFAULT:  # that one is always meant
                check_rule(name)
    return list(dict.fromkeys([default, *wanted]))


def with_rules(run: Run, rules: Iterable[str]) -> Run:
    """The run with the scores of these rules only."""
    kept = set(rules)
    items = (
        replace(
            item,
            samples=tuple(
                replace(sample, scores={name: each for name, each in sample.scores.items() if name in kept})
                for sample in item.samples
            ),
        )
        for item in run.items
    )
    return replace(run, items=tuple(items))


def write_scores(folder: Path, run: Run) -> None:
    """scores.jsonl: one line per answer and rule."""
    lines = (
        _line(item, sample, rule, score)
        for item in run.items
        for sample in item.samples
        for rule, score in sample.scores.items()
    )
    write_atomically(folder / SCORES, "".join(lines))


def _line(item: Item, sample: Sample, rule: str, score: Score) -> str:
    fields = {
        "benchmark": item.benchmark,
        "id": item.id,
        "turn": item.turn,
        "sample": sample.number,
        "rule": rule,
        "extracted": score.extracted,
        "span": score.span,
        "correct": score.correct,
        "score": score.value,
        "failure": score.outcome,
        "note": score.note,
    }
    if rule == DEFAULT and sample.abandoned is not None:
        fields["abandoned"] = sample.abandoned
    if rule == JUDGED and sample.error is None:
        fields["path"] = judged_path(score)
    return json.dumps(fields, ensure_ascii=False) + "\n"


def scored_by(folder: Path) -> list[str]:
    """The rules that a run was last scored by; only the default one if it was not, or that cannot be read."""
    try:
        lines = (folder / SCORES).read_text(encoding="utf-8").split("\n")
        found = dict.fromkeys(json.loads(line)["rule"] for line in lines if line)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return [DEFAULT]
    return [name for name in found if name in rule_names()] or [DEFAULT]
