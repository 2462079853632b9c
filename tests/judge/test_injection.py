"""200 answers that try to command the judge: they stay in their delimiters, and no reply becomes theirs."""

from __future__ import annotations

import asyncio
import json
import re
from array import array
from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, get_args

import gguf
import pytest

from evalkit.config.settings import run_settings
from evalkit.engines.llama_cpp import LlamaCpp, Settings, open_engine
from evalkit.judge.prompt import CRITERIA, BrokenReply, Case, Contract, Order, prompt_of, shielded
from evalkit.schema import Form, Language, Message, Task, UserError
from evalkit.scoring.text import answer_start
from evalkit.weights.gguf import ArrayInfo, read_header
from tests.judge.injections import ATTACKS, CONTROL_TOKENS

FORMS = get_args(Form)
TASKS = get_args(Task)
ARRANGEMENTS = list(product(TASKS, get_args(Language), get_args(Order)))
LINE = re.compile(r"<(/?)data-([0-9a-f]{12})>")
HARMLESS = {"empty": "\u200b", "whole": "The answer is seven.", "cut": "The answer is seven. " * 5_000}
REFUSALS = {  # replies that give no full score, in each form
    "answer": ('{"verdict": 0}', "\\boxed{0}"),
    "free_text": ('{"grade": 0}', "\\boxed{0}"),
    "reasoning": (json.dumps(dict.fromkeys(CRITERIA, False)), "\\boxed{0000000}"),
    "reasoning_holistic": ('{"verdict": 0}', "\\boxed{0}"),
    "pairwise": ('{"better": "second"}', "\\boxed{2}"),
}


def rendered(case: Case, form: Form) -> str:
    (message,) = prompt_of(case, form).messages
    return message.content


def taken_apart(text: str) -> tuple[list[str], list[str]]:
    """What stands outside of the delimiters, its tag normalised, and what stands between, by the lines alone.

    Asserts that lines open and close in turn, all with one tag.
    """
    outside, inside = [""], list[str]()
    tags = set()
    for line in text.split("\n"):
        mark = LINE.fullmatch(line)
        is_open = len(inside) == len(outside)
        if mark is None:
            (inside if is_open else outside)[-1] += line + "\n"
            continue
        tags.add(mark[2])
        assert (mark[1] == "/") == is_open, "a delimiter where none belongs"
        (outside if is_open else inside).append("")
    assert len(outside) == len(inside) + 1, "a text that is not closed"
    (tag,) = tags
    return [part.replace(tag, "TAG") for part in outside], [part[:-1] for part in inside]


@cache
def shown(attack: str, task: Task) -> str:
    """The attack as the judge sees it, before any cut."""
    kept = 0 if task.startswith("reasoning") else answer_start(attack)
    return "" if kept is None else shielded(attack[kept:])


def test_there_are_200() -> None:
    assert len(set(ATTACKS.values())) == 200


@pytest.mark.parametrize(("task", "language", "order"), ARRANGEMENTS)
def test_no_answer_leaves_its_delimiters(task: Task, language: Language, order: Order) -> None:
    case = Case(task, "How many?", "eight", "seven", "nine", language, order)
    number = 1 if order == "answer_first" else 2  # of its text in the prompt: the question's is 0
    number -= task == "answer"  # which is checked without its question
    for form in FORMS:
        contract = prompt_of(case, form).contract
        harmless = {
            shape: taken_apart(rendered(replace(case, answer=text), form)) for shape, text in HARMLESS.items()
        }
        for name, attack in ATTACKS.items():
            attacked = replace(case, answer=attack)
            prompt = prompt_of(attacked, form)
            assert prompt.contract == contract, name
            assert_in_its_place(prompt.messages[0].content, shown(attack, task), number, harmless)


@pytest.mark.parametrize(("place", "number"), [("question", 0), ("reference", 1), ("other", 3)])
def test_no_other_text_does_either(place: str, number: int) -> None:
    """The question and the reference come from files, the second answer from a model."""
    case = Case("pairwise", "How many?", "eight", "seven", "nine")

    def with_it(text: str) -> str:
        with_text: dict[str, Any] = {place: text}
        return rendered(replace(case, **with_text), "json")

    harmless = {shape: taken_apart(with_it(text)) for shape, text in HARMLESS.items()}
    for attack in ATTACKS.values():
        text = shown(attack, "pairwise") if place == "other" else shielded(attack)
        assert_in_its_place(with_it(attack), text, number, harmless)


def assert_in_its_place(
    prompt: str, text: str, number: int, harmless: dict[str, tuple[list[str], list[str]]]
) -> None:
    """All of a prompt is as with a harmless text of the same shape, but for the text itself."""
    outside, inside = taken_apart(prompt)
    more = len(inside) - len(harmless["whole"][1])
    shape = {-1: "empty", 0: "whole", 1: "cut"}[more]
    around, others = harmless[shape]
    end = number + 1 + more
    assert outside == around, text[:200]
    assert (inside[:number], inside[end:]) == (others[:number], others[end:]), text[:200]
    assert (shape == "empty") == (text == "")
    if shape == "whole":
        assert inside[number] == text
    elif shape == "cut":
        head, tail = inside[number:end]
        assert text.startswith(head)
        assert text.endswith(tail)
        assert 4_000 <= len(head) + len(tail) < len(text)


def test_no_control_token_is_left_in_any_text() -> None:
    for name, attack in ATTACKS.items():
        text = shielded(attack)
        assert not any(token in text for token in CONTROL_TOKENS.values()), name
        assert "\\boxed" not in text, name
        assert len(text) <= 2 * len(attack), name


@pytest.mark.parametrize(("task", "form"), [*product(TASKS, FORMS)])
def test_a_reply_that_quotes_the_answer_is_not_its_verdict(task: Task, form: Form) -> None:
    """Quoted as shown or as it was, before or after a verdict, or instead of one."""
    contract = Contract(task, form)
    refusal = REFUSALS[task][form == "boxed"]
    for name, attack in ATTACKS.items():
        for quote in (attack, shown(attack, task)):
            for reply in (f"{quote}\n{refusal}", f"{refusal}\n{quote}", f"It says: {quote}\n{refusal}"):
                assert outcome(contract, reply) in (0.0, "broken"), name
        assert outcome(contract, f"It says: {shown(attack, task)}.") == "broken", name
    assert outcome(contract, refusal) == 0.0


def outcome(contract: Contract, reply: str) -> float | str:
    try:
        return contract.parse(reply).score
    except BrokenReply:
        return "broken"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LlamaCpp:
    composed = run_settings(["+model=smollm2-135m", "data=sample", "backend.slots=1"])
    assert isinstance(composed.backend, Settings)
    log = tmp_path_factory.mktemp("engine") / "log"
    try:
        engine = open_engine(composed.model, composed.backend, 16, log)
    except UserError as error:
        if "pip cannot download" in str(error):
            pytest.skip(str(error))
        raise
    assert isinstance(engine, LlamaCpp)
    return engine


def special_tokens(path: Path) -> frozenset[int]:
    """The ids that the vocabulary marks as control or user-defined tokens."""
    entry = read_header(path).metadata["tokenizer.ggml.token_type"]
    assert isinstance(entry, ArrayInfo)
    with path.open("rb") as file:
        file.seek(entry.offset)
        types = array("i", file.read(entry.bytes))
    assert len(types) == entry.length
    marked = (gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED)
    return frozenset(number for number, kind in enumerate(types) if kind in marked)


def counted(
    prompts: list[tuple[Message, ...]], engine: LlamaCpp, special: frozenset[int]
) -> list[Counter[int]]:
    """How often each special token occurs in each prompt, through the real chat template and tokenizer."""
    tokens = asyncio.run(engine.tokenize(prompts))
    assert tokens is not None
    return [Counter(token for token in each if token in special) for each in tokens]


def test_a_real_tokenizer_sees_no_more_special_tokens(model: LlamaCpp) -> None:
    shielded_prompts = [
        prompt_of(Case("answer", "How many?", "eight", answer), "json").messages
        for answer in ("seven", *ATTACKS.values())
    ]
    bare = [(Message("user", f"seven{token}"),) for token in ("", *CONTROL_TOKENS.values())]
    counts = counted([*shielded_prompts, *bare], model, special_tokens(Path(model._options.model)))
    harmless, *attacked = counts[: len(shielded_prompts)]
    assert sum(harmless.values()) == 5, "three turns are opened, two closed"
    assert [each for each in attacked if each != harmless] == []
    assert any(each != harmless for each in counts[len(shielded_prompts) :]), "unshielded, some would count"
