"""Rewards: right, wrong, badly formed and hostile completions, as TRL and as verl hand them in."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Sequence
from typing import Any

import pytest

from bench.hostile import hostile
from evalkit.judge.prompt import Case
from evalkit.rewards import (
    MAX_CHARS,
    AccuracyReward,
    FormatReward,
    accuracy_reward,
    compute_score,
    format_reward,
    row_of,
    rows,
)
from evalkit.rewards.gold import gold_json, read_gold
from evalkit.schema import (
    ChoiceGold,
    Example,
    Gold,
    Judgement,
    LabelGold,
    Message,
    NumberGold,
    OwnAnswer,
    Ruling,
    SpansGold,
    TextGold,
    UserError,
    YesNoGold,
    gold_text,
)
from evalkit.scoring import rule_names

MARGIN = gold_json(NumberGold(0.125, "what was the operating margin of the shop in 2022?"))
PAGE = "The shop sold goods for 800 and kept 100 of it as operating income."


def think(answer: str) -> str:
    return f"<think>\n100 of 800 is one eighth.\n</think>\n{answer}"


def chat(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


RIGHT = think(r"The margin is \boxed{12.5%}.")
WRONG = think(r"The margin is \boxed{8%}.")
NONE = "<think>\n100 of 800 is one eighth, which is 12.5%."


@pytest.mark.parametrize(
    ("gold", "right", "wrong"),
    [
        (NumberGold(0.125, "what was the margin?"), r"\boxed{0.125}", r"\boxed{125}"),
        (YesNoGold(True, "did sales rise?"), r"\boxed{yes}", r"\boxed{no}"),
        (YesNoGold(False), r"\boxed{否}", r"\boxed{是}"),
        (ChoiceGold("B", {"A": "debt", "B": "equity"}), r"\boxed{B}", r"\boxed{A}"),
        (LabelGold("bearish", ("bearish", "bullish", "neutral")), r"\boxed{bearish}", r"\boxed{neutral}"),
        (SpansGold(("rent", "wages"), "", "multi-span"), r"\boxed{wages, rent}", r"\boxed{rent}"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_accuracy_of_every_kind_of_gold(gold: Gold, right: str, wrong: str) -> None:
    column = [gold_json(gold)] * 2
    assert accuracy_reward([think(right), think(wrong)], column) == [1.0, 0.0]


def test_texts_and_conversations_get_the_same_rewards() -> None:
    texts, gold = [RIGHT, WRONG, NONE, ""], [MARGIN] * 4
    conversations = [chat(text) for text in texts]
    assert accuracy_reward(completions=texts, gold=gold) == [1.0, 0.0, 0.0, 0.0]
    assert accuracy_reward(completions=conversations, gold=gold) == [1.0, 0.0, 0.0, 0.0]
    assert (
        format_reward(completions=texts) == format_reward(completions=conversations) == [1.0, 1.0, 0.0, 0.0]
    )


def test_the_functions_take_all_that_trl_hands_in() -> None:
    given: dict[str, Any] = {
        "prompts": [[{"role": "user", "content": PAGE}]] * 2,
        "completions": [chat(RIGHT), chat(WRONG)],
        "completion_ids": [[1, 2], [3]],
        "trainer_state": object(),
        "gold": [MARGIN, MARGIN],
        "question": ["", None],
        "benchmark": ["shop", "shop"],
        "anything": [1, 2],
    }
    assert accuracy_reward(**given) == [1.0, 0.0]
    assert format_reward(**given) == [1.0, 1.0]
    for reward in (accuracy_reward, format_reward, AccuracyReward("pot"), FormatReward("tags")):
        assert any(each.kind is each.VAR_KEYWORD for each in inspect.signature(reward).parameters.values())
        assert reward.__name__.split("_reward")[0] in ("accuracy", "format")
    assert [AccuracyReward("pot").__name__, FormatReward("tags").__name__] == [
        "accuracy_reward_pot",
        "format_reward_tags",
    ]


def test_the_last_message_of_the_model_counts_and_its_reasoning_stands_apart() -> None:
    tools = [*chat(WRONG), {"role": "tool", "content": "800"}, *chat(RIGHT)]
    parts = [{"role": "assistant", "content": [{"type": "text", "text": RIGHT}]}]
    apart = [{"role": "assistant", "reasoning_content": "One eighth.", "content": r"\boxed{12.5%}"}]
    silent: list[dict[str, object]] = [{"role": "assistant", "content": None, "tool_calls": []}]
    completions = [tools, parts, apart, silent, [], [{"role": "tool", "content": RIGHT}]]
    assert accuracy_reward(completions, [MARGIN] * 6) == [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    assert format_reward(completions) == [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("as_messages", [False, True])
def test_the_rule_knows_the_prompt(as_messages: bool) -> None:
    asked = "Please state the operating margin of the shop."
    prompt = [{"role": "user", "content": asked}] if as_messages else asked
    outcomes: dict[str, list[str]] = {}
    accuracy_reward([asked], [MARGIN], log_extra=outcomes.__setitem__)
    assert outcomes["outcome"] == ["no_final_answer"]
    accuracy_reward([asked], [MARGIN], prompts=[prompt], log_extra=outcomes.__setitem__)
    assert outcomes["outcome"] == ["echo"]


@pytest.mark.parametrize(
    "prompt",
    [
        "The margin of last year was \\boxed{12.5}. What was it this year?",
        "What was the margin this year?\nWrite the number like this: \\boxed{12.5}",
    ],
)
def test_a_prompts_own_box_is_no_answer_until_it_is_given(prompt: str) -> None:
    gold = ['{"kind": "number", "value": 12.5}'] * 4
    repeated = prompt.splitlines()[-1] if "\n" in prompt else prompt
    said = [
        repeated,
        f"<think>So be it.</think>{repeated}",
        "\\boxed{12.5}",
        f"{repeated}\nIt is \\boxed{{12.5}}.",
    ]
    assert accuracy_reward(said, gold, prompts=[prompt] * 4) == [0.0, 0.0, 1.0, 1.0]


def test_a_question_of_the_row_is_used_where_gold_has_none() -> None:
    size, signed = "by how much did rent decline?", "what was the change in rent?"
    gold = [gold_json(NumberGold(-5.0))] * 2
    assert accuracy_reward([r"\boxed{5}"] * 2, gold, question=[size, signed]) == [1.0, 0.0]
    own = [gold_json(NumberGold(-5.0, signed))]
    assert accuracy_reward([r"\boxed{5}"], own, question=[size]) == [0.0]


def test_another_rule_and_a_rule_for_each_benchmark() -> None:
    said = [r"The answer is \boxed{12.4%}"] * 2  # within 1 %, and not the executed value
    assert accuracy_reward(said, [MARGIN] * 2) == [1.0, 1.0]
    assert AccuracyReward("finqa_official")(said, [MARGIN] * 2) == [0.0, 0.0]
    by_benchmark = AccuracyReward({"finqa": "finqa_official"})
    assert by_benchmark(said, [MARGIN] * 2, benchmark=["finqa", "tfns"]) == [0.0, 1.0]
    with pytest.raises(UserError, match="no column 'benchmark'"):
        by_benchmark(said, [MARGIN] * 2)
    with pytest.raises(UserError, match="Did you mean financial"):
        AccuracyReward("finacial")


def test_a_rule_that_gives_shares_gives_them_as_reward() -> None:
    gold = gold_json(SpansGold(("rent and wages",)))
    [share] = AccuracyReward("tatqa_f1")([r"\boxed{rent}"], [gold])
    assert share is not None
    assert 0 < share < 1


def test_what_no_rule_decides_is_none_and_never_wrong() -> None:
    text = gold_json(TextGold("Rent is paid for the use of a thing."))
    assert accuracy_reward(["Rent is paid for use.", RIGHT], [text, MARGIN]) == [None, 1.0]


def test_what_was_read_can_be_logged() -> None:
    logged: dict[str, list[str]] = {}
    accuracy_reward([RIGHT, NONE], [MARGIN] * 2, log_extra=logged.__setitem__)
    assert logged == {"extracted": ["12.5%", ""], "outcome": ["correct", "truncated"]}


@pytest.mark.parametrize(
    ("text", "boxed", "tags"),
    [
        (r"<think>One eighth.</think> So \boxed{12.5%}.", 1, 0),
        (r"<think>One eighth.</think><answer>\boxed{12.5%}</answer>", 1, 1),
        ("  <think>\nOne eighth.\n</think>\n\n<answer>\n12.5%\n</answer>\n", 0, 1),
        (r"<think>One.</think>Here: <answer>\boxed{12.5%}</answer>", 0, 0),
        (r"<think>One.</think><answer>12.5%</answer> \boxed{12.5%}", 0, 0),
        (r"<think>One.</think><answer>\boxed{1}</answer><answer>\boxed{2}</answer>", 0, 0),
        (r"<think>One.</think><answer>\boxed{1}", 0, 0),
        (r"<think>One.</think><answer> </answer>", 0, 0),
        (r"<think>A <answer>\boxed{1}</answer></think><answer>\boxed{1}</answer>", 0, 0),
        (r"<think>One.</think> \boxed{}", 0, 0),
        (r"<think>One.</think> \boxed{ }", 0, 0),
        (r"<think>One.</think> \boxed{12.5%", 0, 0),
        (r"<think>One.</think> boxed{12.5%}", 0, 0),
        (r"<think>One.</think> \boxed{\frac{1}{8}}", 1, 0),
        (r"<think>One \boxed{12.5%}.</think> It is 12.5%.", 0, 0),
        (r"<think> </think> \boxed{12.5%}", 0, 0),
        (r"<think>One.</think>", 0, 0),
        (r"<think>One.</think> \boxed{1} <think>Or two.</think> \boxed{2}", 0, 0),
        (r"<think>One <think>two</think> \boxed{1}", 0, 0),
        (r"Well: <think>One.</think> \boxed{12.5%}", 0, 0),
        (r"One.</think> \boxed{12.5%}", 0, 0),
        (r"<Think>One.</Think> \boxed{12.5%}", 0, 0),
        (r"</think>One.<think> \boxed{12.5%}", 0, 0),
        (r"\boxed{12.5%}", 0, 0),
        ("", 0, 0),
    ],
)
def test_formats(text: str, boxed: int, tags: int) -> None:
    assert format_reward([text]) == [boxed]
    assert FormatReward("tags")([text]) == [tags]


def test_a_template_that_opens_the_reasoning() -> None:
    opened = FormatReward(opened=True)
    said = [r"One eighth.</think> \boxed{12.5%}", RIGHT, r"\boxed{12.5%}", r"</think> \boxed{1}"]
    assert opened(said) == [1.0, 1.0, 0.0, 0.0]
    with pytest.raises(UserError, match="boxed or tags"):
        FormatReward("box")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "reward", [AccuracyReward("pot"), AccuracyReward({"a": "pot"}), FormatReward("tags", True)]
)
def test_they_can_go_to_another_process(reward: object) -> None:
    assert pickle.loads(pickle.dumps(reward)) == reward


def test_hostile_completions_get_a_reward_from_zero_to_one() -> None:
    texts = [hostile(number).text for number in range(1, 400)]
    for gold in (MARGIN, gold_json(ChoiceGold("A", {"A": "1", "B": "{"}))):
        rewards = accuracy_reward(texts, [gold] * len(texts), prompts=texts[::-1])
        assert all(reward is not None and 0 <= reward <= 1 for reward in rewards)
    assert set(format_reward(texts)) <= {0.0, 1.0}


def test_what_is_too_long_has_no_answer() -> None:
    long = think("x " * MAX_CHARS + r"\boxed{12.5%}")
    assert accuracy_reward([long], [MARGIN]) == [0.0]
    assert format_reward([long]) == [0.0]
    fits = RIGHT
    assert AccuracyReward(max_chars=len(fits))([fits], [MARGIN]) == [1.0]
    assert AccuracyReward(max_chars=len(fits) - 1)([fits], [MARGIN]) == [0.0]
    assert FormatReward(max_chars=len(fits) - 1)([fits]) == [0.0]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({}, "no column 'gold'"),
        ({"gold": [MARGIN]}, "column 'gold' has 1 values for 2 completions"),
        ({"gold": MARGIN}, "column 'gold': a list with a value for each completion"),
        ({"gold": [MARGIN, "12.5%"]}, "column 'gold', completion 1: not JSON"),
        ({"gold": [{"kind": "number"}, MARGIN]}, "column 'gold', completion 0: kind number needs"),
        ({"gold": [MARGIN, None]}, "column 'gold', completion 1: not an object"),
        ({"gold": [MARGIN] * 2, "question": ["a", 7]}, "column 'question', completion 1: 7 is no text"),
        ({"gold": [MARGIN] * 2, "prompts": ["a", 7]}, "column 'prompts', completion 1: a text or a list"),
        ({"gold": [MARGIN] * 2, "prompts": ["a"]}, "column 'prompts' has 1 values"),
        ({"gold": [MARGIN] * 2, "completions": ["a", 7]}, "column 'completions', completion 1"),
        ({"gold": [MARGIN] * 2, "completions": ["a", ["b"]]}, "column 'completions', completion 1"),
        ({"gold": [MARGIN] * 2, "completions": "ab"}, "column 'completions': a list"),
        ({"gold": [MARGIN] * 2, "completions": 7}, "column 'completions': a list"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_row_is_one_line_that_names_the_column(columns: dict[str, object], says: str) -> None:
    with pytest.raises(UserError) as error:
        accuracy_reward(**{"completions": [RIGHT, WRONG], **columns})  # type: ignore[arg-type]
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_verls_signature_and_reward() -> None:
    parameters = inspect.signature(compute_score).parameters
    assert list(parameters)[:4] == ["data_source", "solution_str", "ground_truth", "extra_info"]
    assert parameters["extra_info"].default is None
    assert all(each.kind is each.KEYWORD_ONLY for each in list(parameters.values())[4:])
    assert compute_score("shop", RIGHT, MARGIN) == 2.0
    assert compute_score(data_source="shop", solution_str=WRONG, ground_truth=MARGIN, extra_info={}) == 1.0
    assert compute_score("shop", r"\boxed{12.5%}", MARGIN) == 1.0
    assert compute_score("shop", NONE, MARGIN) == 0.0
    assert compute_score("shop", RIGHT, MARGIN, format_weight=0.5) == 1.5
    assert compute_score("shop", RIGHT, MARGIN, form="tags") == 1.0
    assert compute_score("shop", "An eighth.</think>\\boxed{12.5%}", MARGIN, opened=True) == 2.0
    rules = {"shop": "finqa_official"}
    near = think(r"\boxed{12.4%}")
    assert compute_score("shop", near, MARGIN, rule=rules) == 1.0
    assert compute_score("other", near, MARGIN, rule=rules) == 2.0
    size = {"question": "by how much did rent decline?", "index": 3}
    assert compute_score("shop", r"\boxed{5}", gold_json(NumberGold(-5.0)), size) == 1.0


def test_verl_gets_one_line_for_a_bad_row() -> None:
    with pytest.raises(UserError, match="column 'ground_truth', completion 0: not JSON"):
        compute_score("shop", RIGHT, "12.5%")
    with pytest.raises(UserError, match='ground_truth of "shop": no rule decides'):
        compute_score("shop", RIGHT, gold_json(TextGold("Some words.")))


class Verifier:
    """Judges by a word of the answer, and remembers the cases of each call."""

    def __init__(self) -> None:
        self.calls: list[list[Case]] = []

    def __call__(self, cases: Sequence[Case]) -> list[Judgement]:
        self.calls.append(list(cases))
        return [
            Judgement("", None, "broken_reply")
            if "unclear" in case.answer
            else Judgement("", Ruling(0.75 if case.task == "free_text" else float("eighth" in case.answer)))
            for case in cases
        ]


def test_a_judge_is_asked_once_and_only_where_the_rule_cannot_tell() -> None:
    judge = Verifier()
    text = gold_json(TextGold("Rent is paid for the use of a thing."))
    completions = [
        RIGHT,
        WRONG,
        think(r"\boxed{an eighth of sales}"),
        think(r"\boxed{something unclear}"),
        "Rent is paid for use.",
        "<think>Rent",
        NONE,
    ]
    gold = [MARGIN] * 4 + [text, text, MARGIN]
    asked = ["", "", "", "", "What is rent?", "What is rent?", ""]
    rewards = AccuracyReward(judge=judge)(completions, gold, question=asked)
    assert rewards == [1.0, 0.0, 1.0, None, 0.75, 0.0, 0.0]
    [cases] = judge.calls
    assert [case.task for case in cases] == ["answer", "answer", "free_text"]
    assert cases[0].question == getattr(read_gold(MARGIN), "question", None)
    assert (cases[0].reference, cases[2].question) == ("0.125", "What is rent?")
    assert AccuracyReward(judge=judge)([RIGHT], [MARGIN]) == [1.0]
    assert len(judge.calls) == 1


def example(*messages: Message | OwnAnswer) -> Example:
    gold = NumberGold(0.125, "what was the margin?")
    return Example("shop", "page-1", messages, gold, "page", question="what was the margin?")


def test_a_row_of_an_example_is_rewarded_as_it_is() -> None:
    row = row_of(example(Message("user", PAGE)), system="Think first.")
    assert row["prompt"] == [
        {"role": "system", "content": "Think first."},
        {"role": "user", "content": PAGE},
    ]
    columns = {name: [value] for name, value in row.items() if name != "prompt"}
    assert accuracy_reward(completions=[chat(RIGHT)], prompts=[row["prompt"]], **columns) == [1.0]
    with pytest.raises(UserError, match=r"benchmark\.shop\.history=gold"):
        row_of(example(Message("user", PAGE), OwnAnswer(0), Message("user", "And then?")))


def test_rows_of_a_benchmark_carry_their_golds() -> None:
    found = rows("benchmark=[finqa,tfns]", "data=sample", "limit=3", system="Think first.")
    assert {row["benchmark"] for row in found} == {"finqa", "tfns"}
    assert all(row["prompt"][0] == {"role": "system", "content": "Think first."} for row in found)
    said = [chat(think(rf"\boxed{{{gold_text(read_gold(row['gold']))}}}")) for row in found]
    columns = {name: [row[name] for row in found] for name in ("gold", "question", "benchmark")}
    assert accuracy_reward(said, **columns) == [1.0] * len(found)
    with pytest.raises(UserError, match="finqa"):
        rows("benchmark=finqua", "data=sample")


@pytest.mark.parametrize("rule", rule_names())
def test_every_rule_can_be_a_reward(rule: str) -> None:
    golds = [MARGIN, gold_json(SpansGold(("rent",)))]
    rewards = AccuracyReward(rule)([RIGHT, think(r"\boxed{rent}")], golds)
    assert len(rewards) == 2
    assert set(rewards) <= {None, 0.0, 1.0}, "a rule that another kind of gold answer needs decides nothing"
    assert all(reward is None or 0 <= reward <= 1 for reward in rewards)
