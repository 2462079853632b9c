r"""Rewards for reinforcement learning: evalkit's rules as TRL's reward functions and verl's `compute_score`.

A trainer hands in completions and the columns of its data set, as lists of one length:

    gold        the gold answer of each, as `evalkit.rewards.gold` describes it
    question    what was asked (not needed; used where the gold answer does not hold its question)
    benchmark   the name of its benchmark (needed where the rule depends on it)

`accuracy_reward` is what a rule says: 1.0 right, 0.0 wrong, a share of 1 where the rule gives shares. It is
None, for TRL "does not apply", where no rule can tell, as for free text without a judge. `format_reward` is
1.0 for an answer in the form that Fin-R1 was trained for, else 0.0. Both take completions as texts or as
lists of messages. `AccuracyReward` and `FormatReward` are the same with other rules, forms, or a judge.

Completions are hostile: nothing of them is evaluated, the rules run in bounded time, and a completion of more
than `MAX_CHARS` characters counts as one without an answer. A row of the data that cannot be meant is a
`UserError`: one line that names the column and the completion, counted from 0.

Source: arXiv 2503.16252, eq. 4.2 and 4.3: format and accuracy, each 0 or 1, and their sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, get_args

from evalkit.rewards.gold import gold_json as gold_json
from evalkit.rewards.gold import read_gold as read_gold
from evalkit.schema import (
    DEFAULT,
    UNSCORED,
    Example,
    Gold,
    NumberGold,
    Output,
    Request,
    Score,
    SpansGold,
    TextGold,
    UserError,
    YesNoGold,
    messages_of,
    nearest,
    prompt_of,
)
from evalkit.scoring import Rule, check_rule, get_rule
from evalkit.scoring.text import boxes
from evalkit.text import shown

if TYPE_CHECKING:
    from evalkit.judge.calibrate import JudgeCall

MAX_CHARS = 262_144
"""Of a completion: some 64 thousand tokens of English."""

Form = Literal["boxed", "tags"]
Rewards = list[float | None]

_OPEN, _CLOSE = "<think>", "</think>"
_ANSWER, _ANSWER_ENDS = "<answer>", "</answer>"


def format_reward(completions: Sequence[object], **columns: object) -> list[float]:
    r"""1.0 for `<think>`reasoning`</think>` and then an answer with a filled `\boxed{}`, else 0.0.

    Args:
        completions: texts, or lists of messages.
        columns: not used; a trainer hands in what it has.

    Raises:
        UserError: a completion is neither.
    """
    return FormatReward()(completions, **columns)


def accuracy_reward(completions: Sequence[object], gold: object = None, **columns: object) -> Rewards:
    """What the default rule (`financial`) says of each completion: 1.0 right, 0.0 wrong, None for free text.

    Args:
        completions: texts, or lists of messages.
        gold: the gold answer of each.
        columns: `question`, `prompts` (words that are only repeated from the prompt are no answer) and
            `log_extra`, as TRL hands them in; others are not used.

    Raises:
        UserError: a column is missing, or a row of it cannot be meant.
    """
    return AccuracyReward()(completions, gold, **columns)


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: object,
    extra_info: Mapping[str, Any] | None = None,
    *,
    rule: str | Mapping[str, str] = DEFAULT,
    form: Form = "boxed",
    opened: bool = False,
    format_weight: float = 1.0,
) -> float:
    """The reward of one completion as verl asks for it: accuracy, and `format_weight` if its form is kept.

    Args:
        data_source: the benchmark.
        solution_str: the completion.
        ground_truth: the gold answer, as in a column `gold`.
        extra_info: `question` is looked at, if it is there.
        rule: as of `AccuracyReward`. This and the following are verl's `reward_kwargs`.
        form: as of `FormatReward`, as is `opened`.
        format_weight: 1.0 as Fin-R1 has it; 0 for accuracy alone.

    Raises:
        UserError: the gold answer cannot be meant, or no rule decides on one of its kind.
    """
    question = extra_info.get("question") if isinstance(extra_info, Mapping) else None
    accuracy, kept = _both(rule if isinstance(rule, str) else tuple(rule.items()), form, opened)
    asked = None if question is None else [question]
    [right] = accuracy([solution_str], [ground_truth], question=asked, benchmark=[data_source])
    if right is None:
        raise UserError(
            f"ground_truth of {shown(data_source)}: no rule decides on it; leave such rows out of the data"
        )
    return right + format_weight * kept([solution_str])[0]


@lru_cache(maxsize=64)  # verl asks for one completion at a time
def _both(
    rule: str | tuple[tuple[str, str], ...], form: Form, opened: bool
) -> tuple[AccuracyReward, FormatReward]:
    """The rewards of `compute_score`; a rule for each benchmark as pairs."""
    rules = rule if isinstance(rule, str) else dict(rule)
    return AccuracyReward(rules, gold_column="ground_truth"), FormatReward(form, opened)


def row_of(example: Example, system: str | None = None) -> dict[str, Any]:
    """An example as a row for a trainer: `prompt` (messages), `gold`, `question`, `benchmark` and `id`.

    Args:
        system: a system prompt, which asks for the form that is rewarded.

    Raises:
        UserError: its prompt needs the model's own answers to earlier turns, which no data set has.
    """
    messages = messages_of(Request(example, 0), system, {})
    if messages is None:
        raise UserError(
            f"{example.benchmark} {shown(example.id)}: its prompt needs the model's own earlier answers; "
            f"take benchmark.{example.benchmark}.history=gold"
        )
    return {
        "prompt": [{"role": message.role, "content": message.content} for message in messages],
        "gold": gold_json(example.gold),
        "question": example.question,
        "benchmark": example.benchmark,
        "id": example.id if example.turn is None else f"{example.id} turn {example.turn}",
    }


def rows(*overrides: str, system: str | None = None) -> list[dict[str, Any]]:
    """The rows of the benchmarks that a command line names: "benchmark=finqa", "benchmark.finqa.split=train".

    Args:
        overrides: benchmarks, `limit`, `data` and the like, as for `evalkit run`.
        system: as of `row_of`.

    Raises:
        UserError: a setting is wrong, or the data is missing, changed or malformed; or as `row_of`.
    """
    from evalkit.config.overrides import compose, to_dict
    from evalkit.config.settings import read_questions
    from evalkit.run.runner import load_data

    loaded = load_data(read_questions(to_dict(compose(overrides))))
    return [row_of(example, system) for each in loaded.values() for example in each.examples]


@dataclass(frozen=True, slots=True)
class FormatReward:
    r"""Whether a completion keeps its form: a reward function for TRL.

    Args:
        form: ``boxed``: reasoning in `<think>` tags, then an answer that holds a filled `\boxed{}`, perhaps
            in `<answer>` tags; ``tags``: exactly `<think>` and `<answer>`, nothing outside (arXiv 2503.16252,
            eq. 4.2). Each tag stands once; neither reasoning nor answer is blank.
        opened: whether the chat template ends in `<think>`, so that completions begin inside the reasoning.
        max_chars: longer completions do not keep any form.
    """

    form: Form = "boxed"
    opened: bool = False
    max_chars: int = MAX_CHARS

    def __post_init__(self) -> None:
        forms = get_args(Form)
        if self.form not in forms:
            raise UserError(f"form={shown(self.form)}: it is boxed or tags.{nearest(str(self.form), forms)}")

    @property
    def __name__(self) -> str:  # TRL logs a reward by this
        return "format_reward" if self.form == "boxed" else f"format_reward_{self.form}"

    def __call__(self, completions: Sequence[object], **columns: object) -> list[float]:  # noqa: ARG002
        """As `format_reward`."""
        return [float(self._keeps(text)) for text in _texts(completions)]

    def _keeps(self, text: str) -> bool:
        if len(text) > self.max_chars:
            return False
        text = text.strip()
        if self.opened and not text.startswith(_OPEN):
            text = _OPEN + text
        if not text.startswith(_OPEN) or text.count(_OPEN) != 1 or text.count(_CLOSE) != 1:
            return False
        reasoning, _, answer = text[len(_OPEN) :].partition(_CLOSE)
        if _ANSWER in reasoning or _ANSWER_ENDS in reasoning or not reasoning.strip():
            return False
        return _tagged(answer) is not None if self.form == "tags" else _boxed(answer)


def _tagged(answer: str) -> str | None:
    """What stands in the only `<answer>` tags; None if it is blank, or anything stands outside of them."""
    answer = answer.strip()
    if answer.count(_ANSWER) != 1 or answer.count(_ANSWER_ENDS) != 1:
        return None
    if not (answer.startswith(_ANSWER) and answer.endswith(_ANSWER_ENDS)):
        return None
    return answer[len(_ANSWER) : -len(_ANSWER_ENDS)].strip() or None


def _boxed(answer: str) -> bool:
    """Whether a closed box with content stands in the answer; inside of `<answer>` tags if it has any."""
    inside = _tagged(answer) if _ANSWER in answer or _ANSWER_ENDS in answer else answer
    if inside is None:
        return False
    return any(closed and inside.startswith(r"\boxed", outer) for _, _, outer, closed in boxes(inside))


@dataclass(frozen=True, slots=True)
class AccuracyReward:
    """What a rule says of completions: a reward function for TRL.

    Args:
        rule: a rule of evalkit, or one for each benchmark (others: the default rule); the column `benchmark`
            then says which.
        judge: what judges free text, and what the rule finds no answer in, or none that it can read: see
            `evalkit.judge.stage.open_judge`. It is asked once for all completions of a call, and looks up
            what it has judged before. Where it gives no ruling the reward is None.
        max_chars: a longer completion counts as one without an answer.
        gold_column: what messages call the column of gold answers.

    Raises:
        UserError: there is no such rule.
    """

    rule: str | Mapping[str, str] = DEFAULT
    judge: JudgeCall | None = None
    max_chars: int = MAX_CHARS
    gold_column: str = "gold"

    def __post_init__(self) -> None:
        for name in [self.rule] if isinstance(self.rule, str) else self.rule.values():
            _rule(name)

    @property
    def __name__(self) -> str:  # TRL logs a reward by this
        if not isinstance(self.rule, str) or self.rule == DEFAULT:
            return "accuracy_reward"
        return f"accuracy_reward_{self.rule}"

    def __call__(self, completions: Sequence[object], gold: object = None, **columns: object) -> Rewards:
        """As `accuracy_reward`, by this rule; `benchmark` is looked at where the rule depends on it."""
        texts = [text if len(text) <= self.max_chars else "" for text in _texts(completions)]
        count = len(texts)
        questions = _optional(columns, "question", count)
        golds = list(_golds(gold, questions, self.gold_column, count))
        told = columns.get("prompts")
        prompts = [""] * count if told is None else list(_prompts(told, count))
        outputs = [Output(text, prompt=prompt) for text, prompt in zip(texts, prompts, strict=True)]
        rules = self._rules(columns, count)
        scores = [
            rule(output, gold) or UNSCORED for rule, output, gold in zip(rules, outputs, golds, strict=True)
        ]
        if callable(log := columns.get("log_extra")):
            log("extracted", [score.extracted or "" for score in scores])
            log("outcome", [score.outcome for score in scores])
        rewards = [score.value for score in scores]
        if self.judge is not None:
            _verify(self.judge, rewards, outputs, golds, questions, scores)
        return rewards

    def _rules(self, columns: Mapping[str, object], count: int) -> list[Rule]:
        if isinstance(self.rule, str):
            return [_rule(self.rule)] * count
        names = _column(columns.get("benchmark"), "benchmark", count)
        return [_rule(self.rule.get(str(name), DEFAULT)) for name in names]


@lru_cache(maxsize=64)  # to find a rule takes longer than to apply it
def _rule(name: str) -> Rule:
    check_rule(name)
    return get_rule(name)


def _verify(
    judge: JudgeCall,
    rewards: Rewards,
    outputs: Sequence[Output],
    golds: Sequence[Gold],
    questions: Sequence[str],
    scores: Sequence[Score],
) -> None:
    """Put the judge's rulings in the place of what the rule could not decide."""
    from evalkit.judge.judge import language_of, reference_of
    from evalkit.judge.prompt import Case
    from evalkit.run.judgements import answered, needs_judge

    cases: dict[int, Case] = {}
    for number, (output, gold, score) in enumerate(zip(outputs, golds, scores, strict=True)):
        if needs_judge(output, gold, score, "undecided"):
            question = questions[number] or getattr(gold, "question", "")
            task: Literal["answer", "free_text"] = "free_text" if isinstance(gold, TextGold) else "answer"
            language = language_of(question)
            cases[number] = Case(task, question, reference_of(gold), output.text, language=language)
        elif isinstance(gold, TextGold) and not answered(output.text):
            rewards[number] = 0.0
    for number, judgement in zip(cases, judge(list(cases.values())) if cases else [], strict=True):
        rewards[number] = None if judgement.ruling is None else judgement.ruling.score


def _list(values: object, name: str) -> list[Any]:
    if isinstance(values, str | Mapping) or not (hasattr(values, "__len__") and hasattr(values, "__iter__")):
        raise UserError(
            f"column '{name}': a list with a value for each completion is needed, not {shown(values)}"
        )
    return list(values)


def _column(values: object, name: str, count: int, needs: str = "") -> list[Any]:
    """A column that must be there. Raises UserError if it is not, or has another length."""
    if values is None:
        raise UserError(f"the data set has no column '{name}', which this reward needs{needs}")
    column = _list(values, name)
    if len(column) != count:
        raise UserError(f"column '{name}' has {len(column)} values for {count} completions")
    return column


def _optional(columns: Mapping[str, object], name: str, count: int) -> list[str]:
    """A column of texts, which may be missing, and null in some rows."""
    if columns.get(name) is None:
        return [""] * count
    found = _column(columns[name], name, count)
    for number, value in enumerate(found):
        if not isinstance(value, str | None):
            raise UserError(f"column '{name}', completion {number}: {shown(value)} is no text")
    return [value or "" for value in found]


def _golds(values: object, questions: Sequence[str], name: str, count: int) -> Iterator[Gold]:
    needs = ": see evalkit.rewards.gold_json, or rows for those of a benchmark"
    for number, value in enumerate(_column(values, name, count, needs)):
        try:
            gold = read_gold(value)
        except UserError as error:
            raise UserError(f"column '{name}', completion {number}: {error}") from error
        if isinstance(gold, NumberGold | YesNoGold | SpansGold) and not gold.question:
            gold = replace(gold, question=questions[number])
        yield gold


def _texts(completions: object) -> Iterator[str]:
    """The texts of completions; of a list of messages the last one of the model."""
    for number, completion in enumerate(_list(completions, "completions")):
        if isinstance(completion, str):
            yield completion
            continue
        said = [each for each in _messages(completion, "completions", number) if each[0] == "assistant"]
        yield said[-1][1] if said else ""


def _prompts(prompts: object, count: int) -> Iterator[str]:
    for number, prompt in enumerate(_column(prompts, "prompts", count)):
        yield prompt if isinstance(prompt, str) else prompt_of(_messages(prompt, "prompts", number))


def _messages(value: object, column: str, number: int) -> list[tuple[str, str]]:
    """(role, content) pairs; reasoning that the trainer has taken apart stands in its tags again."""
    if not isinstance(value, list | tuple) or not all(isinstance(message, Mapping) for message in value):
        raise UserError(
            f"column '{column}', completion {number}: a text or a list of messages is needed, "
            f"not {shown(value)}"
        )
    return [(str(message.get("role") or "assistant"), _content(message)) for message in value]


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):  # parts, as models for pictures have them
        parts = (part.get("text") for part in content if isinstance(part, Mapping))
        content = "".join(part for part in parts if isinstance(part, str))
    text = content if isinstance(content, str) else ""
    reasoning = message.get("reasoning_content")
    return f"{_OPEN}{reasoning}{_CLOSE}{text}" if isinstance(reasoning, str) and reasoning else text
