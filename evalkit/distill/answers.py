"""A teacher's answers and what the two checks say of them, each verdict with who gave it and why."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from evalkit.run.folder import Finished
from evalkit.run.judgements import Ledger, needs_judge
from evalkit.run.scoring import output_of
from evalkit.schema import (
    DEFAULT,
    UNSCORED,
    Answer,
    CodeGold,
    Example,
    TextGold,
    is_cut_off,
    visible,
)
from evalkit.scoring import get_rule

OPEN, CLOSE = "<think>", "</think>"

Check = Literal["done", "forced", "unfit", "not done"]
"""Of a benchmark's reasoning: checked by a judge that is fit; by one that is not and was forced; withheld, as
it is not; or not asked for."""

Who = Literal["rule", "judge", "form", "engine", "nobody"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says. `good` is None where nobody decided; `criteria` are a reasoning check's seven."""

    good: bool | None
    by: Who
    reason: str
    criteria: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TeacherAnswer:
    """One answer of a teacher, taken apart: `thinking` without its tags, `final` what follows it.

    `answer_check` is the first stage, `reasoning_check` the second; `checked` says who did the second for
    this benchmark.
    """

    teacher: str
    example: Example
    answer: Answer
    thinking: str
    final: str
    answer_check: Verdict
    reasoning_check: Verdict
    checked: Check

    def good(self, unjudged: bool) -> bool:
        """Whether it is good and good.

        Args:
            unjudged: whether an answer whose reasoning nobody was asked about may pass.
        """
        if not self.answer_check.good or self.reasoning_check.good is False:
            return False
        if self.reasoning_check.good is None:
            return unjudged and self.checked in ("not done", "unfit")
        return True


def reasoning_state(ledger: Ledger | None, benchmark: str) -> Check:
    """What was done about the reasoning of a benchmark's answers."""
    if ledger is None:
        return "not done"
    fit = ledger.facts.benchmarks.get(benchmark)
    asked = any(name[0] == benchmark for name in ledger.reasonings)
    if fit is not None and fit.canaries is not None and fit.canaries.reason is not None:
        return "forced" if asked and ledger.summary.get("settings", {}).get("force") else "unfit"
    return "done" if asked else "not done"


def teacher_answers(finished: Finished, ledger: Ledger | None) -> Iterator[TeacherAnswer]:
    """Every answer of a run that has an example, with its verdicts, in the examples' order."""
    by_name: dict[tuple[str, str, int | None], list[Answer]] = {}
    for answer in sorted(finished.records, key=lambda answer: answer.sample):
        by_name.setdefault((answer.benchmark, answer.id, answer.turn), []).append(answer)
    states = {name: reasoning_state(ledger, name) for name in finished.data}
    for name, loaded in finished.data.items():
        rule = finished.settings.benchmark[name].rule
        for example in loaded.examples:
            for answer in by_name.get((example.benchmark, example.id, example.turn), ()):
                thinking, final = taken_apart(answer.text or "")
                first = _answer_check(answer, example, rule, ledger)
                second = _reasoning_check(answer, thinking, final, first, ledger, states[name])
                yield TeacherAnswer(
                    finished.settings.model.name,
                    example,
                    answer,
                    thinking,
                    final,
                    first,
                    second,
                    states[name],
                )


def taken_apart(text: str) -> tuple[str, str]:
    """The reasoning without its tags ("" if there is none, or it never ends), and what follows it."""
    if CLOSE not in text:
        return "", visible(text)
    return text.rpartition(CLOSE)[0].strip().removeprefix(OPEN).strip(), visible(text)


def _answer_check(answer: Answer, example: Example, rule: str, ledger: Ledger | None) -> Verdict:
    """The first stage: a rule where it decides, else the judge.

    The benchmark's own rule decides; whether anything can be read at all is up to the default one, as in
    every judged run.
    """
    if answer.error is not None:
        return Verdict(None, "engine", answer.error)
    if isinstance(example.gold, CodeGold):
        return Verdict(None, "nobody", "code is not run here")
    output = output_of(answer)
    default = get_rule(DEFAULT)(output, example.gold) or UNSCORED
    if needs_judge(output, example.gold, default, "undecided"):
        entry = ledger.entry(answer) if ledger is not None else None
        if entry is None or not (ledger and ledger.shows(answer.benchmark)):
            return Verdict(None, "nobody", f"the rules cannot decide ({default.outcome}), and no judge did")
        if entry.correct is None:
            return Verdict(None, "judge", f"no verdict: {entry.error}")
        grade = f", grade {entry.score:g}" if isinstance(example.gold, TextGold) else ""
        return Verdict(entry.correct, "judge", ("right" if entry.correct else "wrong") + grade)
    score = get_rule(rule)(output, example.gold) or default
    if score.correct is None:  # free text in which nothing was answered
        return Verdict(False, "rule", "nothing was answered")
    note = f": {score.note}" if score.note else ""
    return Verdict(score.correct, "rule", f"{rule}: {score.outcome}{note}")


_CONTROL = re.compile(r"<[|｜][^<>|｜\n]{1,40}[|｜]>|\[/?INST\]")
"""What tokenizers read as a token of their own: in a training text it would end the turn."""


def _reasoning_check(
    answer: Answer, thinking: str, final: str, first: Verdict, ledger: Ledger | None, state: Check
) -> Verdict:
    """The second stage, of right answers only: what no judge need be asked, then the judge."""
    if not first.good:
        return Verdict(None, "nobody", "not asked: the answer is not known to be right")
    if fault := _fault_of_form(answer, thinking, final):
        return Verdict(False, "form", fault)
    entry = ledger.reasoning(answer) if ledger is not None and state in ("done", "forced") else None
    if entry is None:
        why = "the judge is not fit" if state == "unfit" else "no judge was asked"
        return Verdict(None, "nobody", f"not done: {why}")
    if entry.correct is None:
        return Verdict(None, "judge", f"no verdict: {entry.error}")
    criteria = dict(entry.criteria or {})
    failed = [name for name, holds in criteria.items() if not holds]
    if entry.correct:
        return Verdict(True, "judge", "all criteria hold" if criteria else "good as a whole", criteria)
    return Verdict(False, "judge", f"fails {', '.join(failed)}" if failed else "bad as a whole", criteria)


def _fault_of_form(answer: Answer, thinking: str, final: str) -> str:
    """Why a text cannot be trained on, whatever it says; "" if it can."""
    text = answer.text or ""
    if is_cut_off(answer.finish_reason):
        return "cut off"
    if not thinking:
        return "no reasoning"
    if not final:
        return "no answer after the reasoning"
    if text.count(CLOSE) > 1 or text.count(OPEN) > 1:
        return "more than one pair of reasoning tags"
    if _CONTROL.search(text):
        return "holds a chat template's control token"
    return ""
