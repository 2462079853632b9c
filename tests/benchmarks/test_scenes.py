"""Scenes: every gold answer is what its page's numbers give, and the default rule reads it."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from evalkit.benchmarks import load
from evalkit.benchmarks.scenes import unit
from evalkit.benchmarks.shots import said
from evalkit.benchmarks.sources import Record
from evalkit.config.settings import run_settings
from evalkit.rewards import AccuracyReward
from evalkit.rewards.gold import gold_json, read_gold
from evalkit.run.runner import load_data
from evalkit.schema import (
    ChoiceGold,
    CodeGold,
    Example,
    Message,
    NumberGold,
    Output,
    UserError,
    YesNoGold,
)
from evalkit.scoring import get_rule, rule_names

from .scene_golds import BY_READING, GOLDS

WORDS = ["+model=smollm2-135m", "benchmark=scenes"]
EXAMPLES = load_data(run_settings(WORDS))["scenes"].examples
BY_ID = {example.id: example for example in EXAMPLES}
DECIDED = [example for example in EXAMPLES if not isinstance(example.gold, CodeGold)]
LABELS = {"number": NumberGold, "yes_no": YesNoGold, "choice": ChoiceGold, "code": CodeGold}


def prompt(example: Example) -> str:
    [message] = example.messages
    assert isinstance(message, Message)
    return message.content


def test_six_scenes_of_at_least_twelve_tasks_on_shared_pages() -> None:
    scenes = Counter(example.facets["scene"] for example in EXAMPLES)
    assert set(scenes) == {
        "financial_code",
        "calculation_zh",
        "calculation_en",
        "compliance",
        "risk_control",
        "esg",
    }
    assert min(scenes.values()) >= 12
    pages = Counter(example.group for example in EXAMPLES)
    assert min(pages.values()) >= 3
    contexts = {(example.group, example.context) for example in EXAMPLES}
    assert len(contexts) == len(pages), "tasks of a page share its text"
    assert all(prompt(example).startswith(example.context) for example in EXAMPLES)
    languages = {(example.facets["scene"], example.facets["language"]) for example in EXAMPLES}
    assert {("financial_code", "zh"), ("financial_code", "en")} <= languages
    assert ("calculation_zh", "en") not in languages
    assert ("calculation_en", "zh") not in languages


def test_the_config_counts_what_is_there() -> None:
    settings = run_settings(WORDS).benchmark["scenes"]
    assert (settings.records, settings.items) == (len({each.group for each in EXAMPLES}), len(EXAMPLES))
    assert all(isinstance(example.gold, LABELS[example.facets["answer_kind"]]) for example in EXAMPLES)


def test_every_task_without_code_has_a_gold_that_is_worked_out() -> None:
    assert {example.id for example in DECIDED} == GOLDS.keys() | BY_READING.keys()
    assert not GOLDS.keys() & BY_READING.keys()


@pytest.mark.parametrize("example", DECIDED, ids=lambda example: example.id)
def test_the_gold_is_what_the_page_gives(example: Example) -> None:
    exact = {**GOLDS, **BY_READING}[example.id]
    gold = example.gold
    if isinstance(gold, NumberGold):
        assert isinstance(exact, float)
        shown = re.sub(r"[^0-9.-]", "", gold.answer)
        unit = 0.01 if "%" in gold.answer else 1.0
        half = unit * 0.5 * 10.0 ** -len(shown.partition(".")[2])
        assert abs(gold.value - exact) <= half * (1 + 1e-9), "the printed answer is its rounding"
        assert abs(gold.value - exact) <= 0.008 * abs(exact), "an exact answer is right by the rule"
        for value, right in ((exact, True), (exact * 1.06 + 1e-12, False)):
            text = f"\\boxed{{{100 * value:.6f}%}}" if unit == 0.01 else f"\\boxed{{{value:.6f}}}"
            score = get_rule("financial")(Output(text, prompt=prompt(example)), gold)
            assert score is not None
            assert score.correct is right, score
    elif isinstance(gold, YesNoGold):
        assert gold.yes is exact
    else:
        assert isinstance(gold, ChoiceGold)
        assert gold.letter == exact


@pytest.mark.parametrize("example", DECIDED, ids=lambda example: example.id)
def test_the_gold_as_the_prompt_asks_for_it_is_right(example: Example) -> None:
    text = said(example.gold, prompt(example))
    forms = [text]
    if isinstance(example.gold, NumberGold):
        forms.append(f"\\boxed{{{example.gold.answer}}}")
    for form in forms:
        score = get_rule("financial")(Output(f"...\n{form}", prompt=prompt(example)), example.gold)
        assert score is not None
        assert score.correct, (form, score)


def test_no_answer_alone_wins_a_kind() -> None:
    letters = Counter(each.gold.letter for each in EXAMPLES if isinstance(each.gold, ChoiceGold))
    verdicts = Counter(each.gold.yes for each in EXAMPLES if isinstance(each.gold, YesNoGold))
    assert max(letters.values()) <= 0.5 * letters.total()
    assert max(verdicts.values()) <= 0.6 * verdicts.total()


def test_questions_do_not_hold_their_answers() -> None:
    for example in EXAMPLES:
        if isinstance(example.gold, CodeGold):
            assert f"def {example.gold.name}" not in prompt(example)
            assert example.gold.function in prompt(example)


def test_no_rule_runs_code() -> None:
    example = BY_ID["code-flows-npv"]
    output = Output("```python\ndef npv(rate, flows):\n    raise SystemExit\n```", prompt=prompt(example))
    for name in rule_names():
        score = get_rule(name)(output, example.gold)
        assert score is None or score.correct is None, name
    score = get_rule("financial")(output, example.gold)
    assert score is not None
    assert (score.outcome, score.note) == ("unscored", "code is not run without allow_code=true")


def test_a_limit_takes_whole_pages_when_asked() -> None:
    settings = run_settings([*WORDS, "data=sample", "limit=4", "sampling=group"])
    chosen = load_data(settings)["scenes"].examples
    whole = Counter(example.group for example in EXAMPLES)
    assert all(whole[page] == count for page, count in Counter(each.group for each in chosen).items())
    assert 4 <= len(chosen) <= 8


TASK = {"id": "t", "kind": "number", "question": "What is it?", "answer": "5"}
PAGE = {"page": "p", "language": "en", "context": "It is 5.", "tasks": [TASK]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"language": "fr"}, "field language: expected en or zh"),
        ({"tasks": "t"}, "field tasks: expected a list of tasks"),
        ({"tasks": [{**TASK, "answer": "five"}]}, "task 1: field answer: expected a number with its unit"),
        ({"tasks": [{**TASK, "kind": "essay"}]}, "field kind: expected number, yes_no, choice or code"),
        ({"tasks": [{**TASK, "kind": "choice"}]}, "field options: expected texts by their letters"),
        ({"tasks": [{**TASK, "kind": "yes_no", "answer": "5"}]}, "field answer: expected yes or no"),
        ({"tasks": [{**TASK, "kind": "code"}]}, "field tolerance: expected a share"),
        ({"tasks": [{**TASK, "kind": "code", "tolerance": 0.1, "cases": [1]}]}, "field cases"),
    ],
)
def test_a_malformed_page_is_one_line(change: dict[str, object], message: str) -> None:
    settings = run_settings(WORDS).benchmark["scenes"]
    with pytest.raises(UserError, match=message):
        unit(Record("scenes/esg.json", "record", 1, {**PAGE, **change}), settings)


def test_local_data_is_no_other_data() -> None:
    settings = run_settings([*WORDS, "data=sample"])
    found = load(settings.benchmark["scenes"], settings.data, limit=None, seed=0, sampling="item")
    assert [example.id for example in found.examples] == [example.id for example in EXAMPLES]


def test_golds_go_through_a_data_set_and_code_is_no_reward() -> None:
    for example in EXAMPLES:
        column = gold_json(example.gold)
        assert read_gold(column) == example.gold
        if isinstance(example.gold, CodeGold):
            assert AccuracyReward()(["```python\nexit()\n```"], [column]) == [None]
