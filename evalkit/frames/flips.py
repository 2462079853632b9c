"""What changed between two runs, answer by answer (flips: arXiv 2407.09141)."""

from __future__ import annotations

from typing import Any

import pandas as pd

from evalkit.errors import UserError
from evalkit.frames.runs import Runs
from evalkit.scorers import DEFAULT
from evalkit.scorers.judged import SHOWN_CHARS
from evalkit.scorers.normalize import fold, plain
from evalkit.scorers.numbers import quantities

_EXAMPLE = ["benchmark", "id", "turn"]
_DIGITS = 10  # of a number, so that 0.1 + 0.2 is 0.3


def flips(runs: Runs, a: str, b: str, rule: str = DEFAULT) -> pd.DataFrame:
    """Every example with one right-or-wrong answer in both runs, and what changed from `a` to `b`.

    Two wrong answers are the same if the extracted texts say the same (number, letter, word). `evalkit
    compare` looks into the outputs too, and may call a few more of them the same.

    Args:
        a, b: labels, models' names or run ids, `a` the reference.

    Returns:
        benchmark, id, turn, group, gold, gold_kind (as in `runs.answers`), answer_a, answer_b (index in
        `runs.answers`), extracted_a, extracted_b (string), change (string): both_right, same_wrong,
        right_to_wrong, wrong_to_right or wrong_to_other_wrong.

    Raises:
        UserError: no such run or rule, nothing in common, or an example that was asked in different words.
    """
    ours, theirs = (_judged(runs, runs.find(name), rule) for name in (a, b))
    pairs = ours.merge(theirs, on=_EXAMPLE, suffixes=("_a", "_b"))
    if pairs.empty:
        raise UserError(f"{a} and {b} have no examples in common that rule {rule} has judged once in both")
    _check_same_question(pairs, a, b)
    pairs["change"] = pd.Series([_change(pair) for pair in pairs.to_dict("records")], dtype="string")
    pairs = pairs.rename(columns={f"{name}_a": name for name in ("group", "gold", "gold_kind")})
    kept = ["group", "gold", "gold_kind", "answer_a", "answer_b", "extracted_a", "extracted_b", "change"]
    return pairs[[*_EXAMPLE, *kept]]


def _judged(runs: Runs, run: str, rule: str) -> pd.DataFrame:
    scores = runs.scores
    judged = scores.loc[(scores["run"] == run) & (scores["rule"] == rule) & scores["correct"].notna()]
    # Which of several samples should stand beside which is not to be told.
    judged = judged.loc[~judged.duplicated(_EXAMPLE, keep=False)]
    texts = runs.answers[["gold", "gold_kind", "messages"]]
    return judged[[*_EXAMPLE, "answer", "group", "correct", "extracted"]].join(texts, on="answer")


def _check_same_question(pairs: pd.DataFrame, a: str, b: str) -> None:
    for pair in pairs.to_dict("records"):
        same_gold = pair["gold_a"] == pair["gold_b"]
        if not same_gold or _question(pair["messages_a"]) != _question(pair["messages_b"]):
            what = "prompts" if same_gold else "gold answers"
            raise UserError(
                f"{a} and {b} cannot be compared: {pair['benchmark']} {pair['id']!a:.80} has other {what}"
            )


def _question(messages: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    """Without what the model itself said earlier in the dialogue, which may differ."""
    return [message for message in messages if message[0] != "assistant"]


def _change(pair: dict[Any, Any]) -> str:
    if pair["correct_a"] and pair["correct_b"]:
        return "both_right"
    if pair["correct_a"]:
        return "right_to_wrong"
    if pair["correct_b"]:
        return "wrong_to_right"
    ours, theirs = (_said(pair[f"extracted_{side}"], pair["gold_kind_a"]) for side in "ab")
    return "same_wrong" if ours == theirs else "wrong_to_other_wrong"


def _said(extracted: object, kind: str) -> str | float | None:
    """An extracted answer in a form in which equal answers are equal."""
    if not isinstance(extracted, str):
        return None
    text = plain(fold(extracted[:SHOWN_CHARS]))
    numbers = quantities(text) if kind == "number" else []
    if len(numbers) != 1:
        return " ".join(text.casefold().split())
    [number] = numbers
    return float(f"{number.value * number.scale / (100 if number.percent else 1):.{_DIGITS}g}")
