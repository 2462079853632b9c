"""What the judge is shown: the fields, their order, what is left out, and how foreign text is shielded."""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import replace
from itertools import product, takewhile
from typing import get_args

import pytest

from evalkit.judge import prompt as shield
from evalkit.judge.prompt import (
    CRITERIA,
    Case,
    Order,
    parts,
    prompt_of,
    shielded,
    tag_of,
    templates_fingerprint,
)
from evalkit.schema import Form, Language, Task

FORMS = get_args(Form)
TASKS = get_args(Task)
LANGUAGES = get_args(Language)
ORDERS = get_args(Order)
FIELD = re.compile(r"^([^\n]+)[:：]\n<data-[0-9a-f]{12}>\n(.*?)\n</data-[0-9a-f]{12}>$", re.M | re.S)
EMPTY = {"en": "Answer to judge: (empty)\n", "zh": "待评判的回答：（空）\n"}

# Format characters that are seen: signs of Arabic, Syriac and Kaithi numbers, joiners of hieroglyphs.
VISIBLE = {"\n", "\t", "\u06dd", "\u070f", "\u08e2", "\U000110bd", "\U000110cd"}
VISIBLE |= {chr(code) for code in (*range(0x600, 0x606), 0x890, 0x891, *range(0x13430, 0x13440))}


def text_of(case: Case, form: Form = "json") -> str:
    (message,) = prompt_of(case, form).messages
    assert message.role == "user"
    return message.content


def fields(case: Case) -> list[tuple[str, str]]:
    """Label and content, as shown."""
    return FIELD.findall(text_of(case))


@pytest.mark.parametrize(("task", "language", "form"), [*product(TASKS, LANGUAGES, FORMS)])
def test_instructions_come_first_and_are_the_same_for_every_case(
    task: Task, language: Language, form: Form
) -> None:
    one = text_of(Case(task, "What?", "7", "8", "9", language), form)
    other = text_of(Case(task, "Why?", "other", "text", "here", language), form)
    same = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    shared = "".join(character for character, _ in same)
    assert len(shared) > 0.55 * len(one)
    shown = {"answer": 2, "pairwise": 4}.get(task, 3)
    assert one[len(shared) :].count("</data-") == shown + 1, "every field comes after"
    reply = one.rstrip().rpartition("data. " if language == "en" else "数据。")[2]
    assert reply in shared, "how to reply is said before and after the texts"
    assert ("\\boxed" in reply) == (form == "boxed")


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages_do_not_mix(language: Language) -> None:
    for task, form in product(TASKS, FORMS):
        text = text_of(Case(task, "1", "2", "3", "4", language), form)
        chinese = sum("\u4e00" <= character <= "\u9fff" for character in text)
        assert (chinese > 200) == (language == "zh")
        assert chinese < 10 or language == "zh", "only 亿元, 是 and 否, which English instructions explain"


def test_order_swaps_reference_and_answer() -> None:
    case = Case("free_text", "What?", "7", "8")
    shown = [("Question", "What?"), ("Reference answer", "7"), ("Answer to judge", "8")]
    assert fields(case) == shown
    assert fields(replace(case, order="answer_first")) == [shown[0], shown[2], shown[1]]
    pair = Case("pairwise", "What?", "7", "8", "9", order="answer_first")
    assert [content for _, content in fields(pair)] == ["What?", "8", "9", "7"]
    swapped = replace(pair, order="reference_first")
    assert [content for _, content in fields(swapped)] == ["What?", "7", "8", "9"]


def test_an_answer_is_checked_without_its_question() -> None:
    assert fields(Case("answer", "What?", "7", "8")) == [("Reference answer", "7"), ("Answer to judge", "8")]


def test_an_unknown_question_and_a_comparison_without_reference_are_not_shown() -> None:
    assert [label for label, _ in fields(Case("free_text", " ", "7", "8"))] == [
        "Reference answer",
        "Answer to judge",
    ]
    pair = Case("pairwise", "", "", "8", "9")
    assert fields(pair) == [("First answer", "8"), ("Second answer", "9")]
    assert "(empty)" not in text_of(pair)


@pytest.mark.parametrize("task", ["answer", "free_text"])
def test_reasoning_is_left_out_where_the_answer_is_judged(task: Task) -> None:
    case = Case(task, "", "7", "<think>8 or 9, 42</think>\n\n<answer>8</answer>")
    assert fields(case)[1][1] == "< answer>8< /answer>"
    assert "42" not in text_of(case)
    pair = Case("pairwise", "", "", "<think>42</think>8", "so 42 </think> 9")
    assert [content for _, content in fields(pair)] == ["8", "9"]


@pytest.mark.parametrize("task", ["reasoning", "reasoning_holistic"])
def test_reasoning_is_kept_where_it_is_judged(task: Task) -> None:
    assert fields(Case(task, "", "7", "<think>8 + 9</think>17"))[1][1] == "< think>8 + 9< /think>17"
    assert fields(Case(task, "", "7", "<think>8 + 9"))[1][1] == "< think>8 + 9"
    assert all(name in text_of(Case(task, "", "7", "x"), "boxed") for name in CRITERIA)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("answer", ["", " \n\u200b", "<think>the answer is 7", "done</think>", "7<think>"])
def test_nothing_answered_is_said_outside_of_the_delimiters(answer: str, language: Language) -> None:
    text = text_of(Case("answer", "", "7", answer, language=language))
    assert EMPTY[language] in text
    assert text.count("\n<data-") == 1
    pretended = text_of(Case("answer", "", "7", EMPTY[language], language=language))
    assert pretended.count("\n<data-") == 2


def test_long_texts_keep_head_and_tail_in_delimiters_of_their_own() -> None:
    long = "head " + "x" * 200_000 + " tail"
    for task in TASKS:
        text = text_of(Case(task, long, long, long, long))
        shown = {"answer": 2, "pairwise": 4}.get(task, 3)
        assert text.count("</data-") == 2 * shown + 2, "and twice in the words around"
        assert text.count("\n(some characters are left out here)\n<data-") == shown
        assert text.count(">\nhead xx") == text.count("xx tail\n<") == shown
        assert len(text) < 60_000


def test_of_an_answer_to_check_the_end_is_kept() -> None:
    number = "x" * 10_000 + "The answer is 7." + "y" * 3_000
    assert "The answer is 7." in text_of(Case("answer", "", "7", number))


def test_the_same_case_has_the_same_prompt_and_each_text_its_own_tag() -> None:
    case = Case("answer", "What?", "7", "8")
    assert prompt_of(case, "json") == prompt_of(case, "json")
    texts = ["What?", "7", "8"]
    tags = {
        tag_of(texts),
        *(tag_of([*texts[:i], "z", *texts[i + 1 :]]) for i in range(3)),
        tag_of(["What?7", "8"]),
    }
    assert len(tags) == 5
    assert all(re.fullmatch("[0-9a-f]{12}", tag) for tag in tags)


def test_a_tag_occurs_in_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shield, "_TAG_DIGITS", 1)  # of sixteen digits, fifteen are taken
    for free in "0123456789abcdef":
        assert tag_of(["0123456789abcdef".replace(free, "")]) == free


def test_templates_read_no_text_as_a_template() -> None:
    hostile = "{{ tag }} {% for x in y %} {# comment {{ self.reply() }}"
    assert fields(Case("free_text", hostile, hostile, hostile)) == [
        ("Question", hostile),
        ("Reference answer", hostile),
        ("Answer to judge", hostile),
    ]


def test_the_fingerprint_is_of_all_templates() -> None:
    assert re.fullmatch("[0-9a-f]{64}", templates_fingerprint())
    assert templates_fingerprint() == templates_fingerprint()


@pytest.mark.parametrize(
    "text",
    [
        "−12.5 % of $1,234.56 (¥3.2亿元), ≈ 7.87%",
        "净利润为 3.2 亿元，同比增长 12.5%；答案：C",
        "\\frac{29 - 8}{8} \\times 100 = 262.5\\%",
        "- one\n- two\n\n| a | b |\n|---|---|\n\t1e-3 > 0",
        "x >= 2, y => 3, 5 < 7, été naïve Ωmega 日本語 한국어 🙂",
    ],
)
def test_what_an_answer_is_made_of_stays_as_it_is(text: str) -> None:
    assert shielded(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a<b", "a< b"),
        ("[1, 2]", "[ 1, 2]"),
        ("x[0].", "x[ 0] ."),
        ("\\boxed{7.87\\%}", "\\ boxed{7.87\\%}"),
        ("\\fbox{1} \\text{boxed}", "\\fbox{1} \\text{boxed}"),
        ("one\r\ntwo\rthree\u2028four\x0bfive", "one\ntwo\nthree\nfour\nfive"),
        ("1\x002\x7f3", "1 2 3"),
        ("1\u200b2\u202e3\ufe0f4\U000e00415", "12345"),
        ("\ud83d1\udc00", "\ufffd1\ufffd"),
    ],
)
def test_what_is_changed(text: str, shown: str) -> None:
    assert shielded(text) == shown
    assert shielded(shown) == shown


def test_no_character_hides_in_a_shielded_text() -> None:
    """Over all of Unicode: no control or format character is left, and nothing becomes a bracket by NFKC."""
    everything = "".join(f"{chr(code)}x" for code in range(sys.maxunicode + 1))
    shown = shielded(everything)
    left = {character for character in shown if unicodedata.category(character) in ("Cc", "Cf", "Cs")}
    assert {character for character in left if character not in VISIBLE} == set()
    assert not re.search(r"[<\[\]](?!\s)", unicodedata.normalize("NFKC", shown))


def test_parts() -> None:
    assert parts("", 2, 3) == ()
    assert parts("abcde", 2, 3) == ("abcde",)
    assert parts("abcdef", 2, 3) == ("ab", "def")
