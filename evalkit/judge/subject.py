"""The answers of a run that can be put before a judge, and what the default rule says of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from evalkit.errors import UserError
from evalkit.example import ChoiceGold, Example, Gold, LabelGold, Message, TextGold
from evalkit.judge.case import Case, Language
from evalkit.judge.verdicts import answered, needs_judge
from evalkit.report.disagreements import gold_text
from evalkit.runner.request import Name
from evalkit.runner.run import Finished
from evalkit.runner.scoring import Score, output_of, score_records
from evalkit.scorers import DEFAULT


@dataclass(frozen=True, slots=True)
class Subject:
    """One answer that can be judged.

    ``key`` is its generation's, so a label with the same key was made on exactly this answer. ``rule`` is the
    default rule's verdict, None where that cannot decide. ``kind`` is the kind of answer asked for.
    """

    name: Name
    key: str
    group: str
    kind: str
    case: Case
    rule: bool | None
    extracted: str

    @property
    def benchmark(self) -> str:
        return self.name[0]


@dataclass(frozen=True, slots=True)
class Population:
    """A run's answers by benchmark. ``unanswered`` counts outputs without any text after the reasoning.

    Those need no judge: without an answer there is nothing right about them.
    """

    model: str
    subjects: dict[str, list[Subject]]
    unanswered: Counter[str]


def population(finished: Finished, benchmark: str | None = None) -> Population:
    """The answers of a run, of all benchmarks or of one, in the run's order.

    Raises:
        UserError: the run has no such benchmark, or no answer.
    """
    if benchmark is not None and benchmark not in finished.data:
        raise UserError(f"{finished.path} has no benchmark '{benchmark}': it has {', '.join(finished.data)}")
    data = finished.data if benchmark is None else {benchmark: finished.data[benchmark]}
    found: dict[str, list[Subject]] = {name: [] for name in data}
    unanswered: Counter[str] = Counter()
    for score in score_records(finished.records, data, [DEFAULT]):
        if score.failed:
            continue
        if not answered(score.record.text or ""):
            unanswered[score.record.benchmark] += 1
            continue
        found[score.record.benchmark].append(_subject(score))
    subjects = {name: of_one for name, of_one in found.items() if of_one}
    if not subjects:
        raise UserError(f"{finished.path}: none of its outputs has an answer that could be judged")
    return Population(str(finished.config["model"]["title"]), subjects, unanswered)


def _subject(score: Score) -> Subject:
    verdict, record = score.verdict, score.record
    undecided = needs_judge(output_of(record), score.example.gold, verdict, "undecided")
    return Subject(
        name=record.name,
        key=record.key,
        group=record.group,
        kind=str(score.example.facets.get("answer_kind") or type(score.example.gold).__name__),
        case=case_of(score.example, record.text or ""),
        rule=None if undecided else verdict.correct,
        extracted=verdict.extracted or "",
    )


def case_of(example: Example, text: str) -> Case:
    """What is put before a judge of one output: an answer check, or for free text a grade."""
    question = question_of(example)
    task: Literal["answer", "free_text"] = "free_text" if isinstance(example.gold, TextGold) else "answer"
    return Case(task, question, reference_of(example.gold), text, language=language_of(question))


def question_of(example: Example) -> str:
    """The question alone where the gold answer keeps it, else the last message to the model."""
    alone = "" if isinstance(example.gold, ChoiceGold | LabelGold | TextGold) else example.gold.question
    messages = (message for message in example.messages if isinstance(message, Message))
    asked = [message.content for message in messages if message.role == "user"]
    return alone or (asked[-1] if asked else "")


def reference_of(gold: Gold) -> str:
    """The gold answer as a judge or a person reads it."""
    if isinstance(gold, TextGold):
        return gold.reference
    if isinstance(gold, ChoiceGold):
        return f"{gold.letter}. {gold.options[gold.letter]}"
    return gold_text(gold)


def language_of(question: str) -> Language:
    """The instructions' language: the question's own."""
    return "zh" if any("\u4e00" <= character <= "\u9fff" for character in question) else "en"
