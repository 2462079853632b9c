"""Planted duplicates, near duplicates, paraphrases and innocent look-alikes."""

from __future__ import annotations

import pytest

from evalkit.overlap import Level, Match, check_overlap, overlap_markdown, summaries, to_csv
from evalkit.overlap.index import EvaluatedExample
from tests.leaderboard.made import item

TWEET = (
    "Brevik Materials shares slide nine percent after the chief executive leaves and the board cuts the "
    "dividend for the second time this year"
)
NEARLY = TWEET.replace("second time this year", "second time since January")
PARAPHRASE = (
    "After its boss quit, stock of Brevik Materials dropped 9 percent; the payout was lowered again, the "
    "second cut in twelve months"
)
CHINESE = "某企业本年净利润为84万元，平均股东权益为600万元，那么它的净资产收益率是多少？"
PAGE = " ".join(f"the allowance for item {number} was {number * 7} million in 2018 ." for number in range(12))
QUESTION = "what was the balance of the allowance for doubtful accounts at the end of 2018, in millions?"


def asked(question: str, page: str = "", score: float | None = None, id: str = "x") -> EvaluatedExample:
    answered = None if score is None else item("tfns", 0, score, id=id, group=id)
    return EvaluatedExample("tfns", id, None, id, question, page, answered)


def found(example: EvaluatedExample, *training: str, n: int = 13) -> Match:
    (match,) = check_overlap([example], training, n)
    return match


@pytest.mark.parametrize(
    ("question", "training", "level"),
    [
        (TWEET, f"Tweet: {TWEET.upper()}!\nAnswer: bearish", "exact"),
        (TWEET, TWEET.replace(" ", "  \n "), "exact"),
        (TWEET, NEARLY, "near"),
        (TWEET, " ".join(TWEET.split()[:14]), "shared"),
        (TWEET, PARAPHRASE, "none"),
        (TWEET, " ".join(reversed(TWEET.split())), "none"),
        (CHINESE, f"题目：{CHINESE}\nA. 0.14", "exact"),
        (CHINESE, CHINESE.replace("多少", "几"), "near"),
        (CHINESE, CHINESE.replace("84", "８４"), "exact"),
        ("stocks close lower on friday", "stocks close lower on friday", "exact"),
        ("stocks close lower on friday", "x\nStocks close lower on Friday!\ny", "exact"),
        ("stocks close lower on friday", "most stocks close lower on friday again", "short"),
        ("stocks fall", "stocks fall", "short"),
        ("what is a bond and how does it pay", "they ask what is a bond, and how does it pay?", "exact"),
        ("what is a bond and how does it pay", "what is a bond and how does it yield", "none"),
        ("", "anything at all", "short"),
    ],
)
def test_a_question_without_a_page(question: str, training: str, level: Level) -> None:
    assert found(asked(question), "nothing of interest here", training).level == level


@pytest.mark.parametrize(
    ("question", "training", "level"),
    [
        (QUESTION, (f"{PAGE}\n{QUESTION}",), "exact"),
        (QUESTION, (f"{QUESTION}\n{PAGE}",), "exact"),
        (QUESTION, (f"{' '.join(PAGE.split()[20:])} {QUESTION}",), "exact"),
        (QUESTION, (f"{PAGE} {QUESTION.replace('millions', 'thousands')}",), "near"),
        (QUESTION, (PAGE,), "page"),
        (QUESTION, (PAGE, QUESTION), "page"),
        (QUESTION, (QUESTION,), "shared"),
        (QUESTION, (" ".join(PAGE.split()[:40]),), "none"),
        ("and in 2017?", (f"{PAGE}\n{QUESTION} and in 2017?",), "exact"),
        ("and in 2017?", ("and in 2017?",), "none"),
        ("and in 2017?", (PAGE,), "page"),
        ("why?", (f"{PAGE} why?",), "page"),
        ("why?", ("why?",), "short"),
    ],
)
def test_a_question_about_a_page(question: str, training: tuple[str, ...], level: Level) -> None:
    assert found(asked(question, PAGE), *training).level == level


def test_the_best_match_and_its_place_count() -> None:
    match = found(asked(TWEET), "x", " ".join(TWEET.split()[:14]), NEARLY, TWEET, NEARLY)
    assert (match.level, match.share, match.record) == ("exact", 1.0, 4)
    # The first 21 of the tweet's 23 words are there: 9 of its 11 13-grams.
    assert found(asked(TWEET), NEARLY).share == pytest.approx(9 / 11)


def test_shorter_n_grams_find_more() -> None:
    edited = TWEET.replace("nine percent", "8.9 per cent").replace("board", "company")
    assert found(asked(TWEET), edited).level == "none"
    assert found(asked(TWEET), edited, n=5).level == "shared"


def test_examples_with_one_text_are_all_found() -> None:
    matches = check_overlap([asked(TWEET, id="a"), asked(TWEET, id="b"), asked(CHINESE)], [TWEET], 13)
    assert [match.level for match in matches] == ["exact", "exact", "none"]


def test_random_texts_do_not_overlap() -> None:
    import random

    generator = random.Random(0)
    vocabulary = [f"word{number}" for number in range(300)]
    examples = [asked(" ".join(generator.choices(vocabulary, k=30)), id=str(at)) for at in range(300)]
    training = [" ".join(generator.choices(vocabulary, k=200)) for _ in range(300)]
    assert {match.level for match in check_overlap(examples, training)} == {"none"}


def test_the_report_has_shares_and_accuracies() -> None:
    examples = [asked(TWEET, score=1.0, id="a"), asked(NEARLY, score=1.0, id="b|`"), asked(CHINESE, id="c")]
    examples += [asked(f"{number} {PARAPHRASE} {number}", score=0.0, id=str(number)) for number in range(4)]
    matches = check_overlap(examples, [TWEET, PARAPHRASE.split(";")[0] + " and fell"], 13)
    (summary,) = summaries(examples, matches)
    assert summary.levels == {"exact": 1, "near": 1, "page": 0, "shared": 0, "short": 0}
    parts = (summary.everything, summary.without, summary.found)
    assert [(part.value, part.n) for part in parts if part] == [(pytest.approx(1 / 3), 6), (0.0, 4), (1.0, 2)]
    text = overlap_markdown([summary], {"tfns": "TFNS"}, "evil|`<b>.txt", 13)
    assert "| TFNS | 7 | 1 (14.3 %) | 1 (14.3 %) | 0 (0.0 %) | 0 (0.0 %) | 0 (0.0 %) |" in text
    assert "| TFNS | 33.3 [" in text
    assert "evil¦" in text
    lines = to_csv(examples, matches).splitlines()
    assert lines[:3] == [
        "benchmark,id,turn,level,share_of_question,training_record",
        "tfns,a,,exact,1.000,1",
        "tfns,b|`,,near,0.818,1",
    ]


def test_a_title_may_be_anything() -> None:
    found = summaries([asked(TWEET)], [Match("none")])
    assert "| Finance-Instruct-500k | 1 |" in overlap_markdown(
        found, {"tfns": "Finance-Instruct-500k"}, "t", 13
    )
    assert "| `<b>¦ [x](y)` | 1 |" in overlap_markdown(found, {"tfns": "<b>| [x](y)"}, "t", 13)
    assert "| tfns | 1 |" in overlap_markdown(found, {}, "t", 13)


def test_without_scores_no_accuracy_is_shown() -> None:
    examples = [asked(TWEET)]
    text = overlap_markdown(
        summaries(examples, check_overlap(examples, [TWEET])), {"tfns": "TFNS"}, "t.txt", 13
    )
    assert "Accuracy" not in text
