"""The whole way: finished runs, perhaps a judge, then a folder with both sets, or why there is none."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from evalkit.config.judge import JudgeSettings
from evalkit.config.settings import RunSettings
from evalkit.distill.answers import OPEN, Check, TeacherAnswer, reasoning_state, teacher_answers
from evalkit.distill.card import dataset_card
from evalkit.distill.contamination import (
    FIVE,
    EvaluationSplit,
    contaminated,
    data_hash,
    evaluation_items,
)
from evalkit.distill.duplicates import duplicates
from evalkit.distill.errors import WrongShare, wrong_shares
from evalkit.distill.formats import write_sets
from evalkit.distill.manifest import (
    MANIFEST,
    SCHEMA,
    FileFacts,
    Manifest,
    SourceFacts,
    files_of,
    judge_facts,
    on_source,
    teacher,
    worst_state,
)
from evalkit.distill.sets import Question, balance, counts, grouped, routed
from evalkit.distill.sources import card_data, licence_problems
from evalkit.files import write_atomically
from evalkit.judge.stage import judge_run
from evalkit.overlap.index import EvaluatedExample
from evalkit.run.folder import Finished
from evalkit.run.judgements import Ledger, read_ledger
from evalkit.run.schedule import Group
from evalkit.run.scoring import ScoredAnswer, output_of
from evalkit.schema import Answer, UserError
from evalkit.scoring import get_rule
from evalkit.text import printable
from evalkit.version import __version__

README = "README.md"
_FIRST = 20  # answers, after which a teacher that has not reasoned once is not asked on


@dataclass(frozen=True, slots=True)
class Options:
    """How a data set is made.

    `unjudged`: write the set for fine-tuning although nobody checked its reasoning. `accept_licences`: also
    of sources that forbid commercial use or state no licence. `against`: the benchmarks whose evaluation
    items are taken out, read from `against_data` (hub, local, sample; None: as the first run's data) and,
    if that is local, `against_dir`.
    """

    out: Path
    unjudged: bool = False
    accept_licences: bool = False
    against: tuple[str, ...] = FIVE
    against_data: str | None = None
    against_dir: str | None = None
    seed: int = 0
    validation: float = 0.05


@dataclass(frozen=True, slots=True)
class _Judged:
    """A run and what a judge has said of it."""

    finished: Finished
    ledger: Ledger | None


@dataclass(frozen=True, slots=True)
class Ready:
    """What is known before any answer is looked at: what to say of licences, and the evaluation items."""

    problems: list[str]
    items: list[EvaluatedExample]
    splits: list[EvaluationSplit]


def prepared(runs: Sequence[RunSettings], options: Options) -> Ready:
    """See that a data set of these runs may be written.

    Raises:
        UserError: a source's licence is not accepted, `out` holds something else, or the evaluation items
            cannot be had.
    """
    problems = licence_problems([each for run in runs for each in run.benchmark.values()])
    if problems and not options.accept_licences:
        raise UserError(
            f"distill: {printable('; '.join(problems), 300)}: accept_licences=true writes the set all "
            "the same, and says so inside"
        )
    out = options.out
    if out.exists() and not out.is_dir():
        raise UserError(f"distill: out={out} is a file: name a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise UserError(f"distill: out={out} holds something else: name a new or empty folder")
    items, splits = evaluation_items(options.against, *_where(runs[0], options))
    return Ready(problems, items, splits)


def distill(
    runs: Sequence[Finished], ready: Ready, judge: JudgeSettings | None, options: Options, console: Console
) -> Manifest:
    """Filter the answers of runs, and write both sets to `options.out`, whole or not at all.

    What a judge is asked is kept, and the rest takes seconds: ended at any moment, the same call goes on. A
    data set of an earlier call is replaced.

    Args:
        ready: what `prepared` gives for the settings of these runs.
        judge: None: what an earlier `evalkit judge run` has said of a run counts, if it did.

    Raises:
        UserError: nobody checked the reasoning, or nothing would be left.
    """
    judged = [_judge(run, judge, console) for run in runs]
    answers = [each for one in judged for each in teacher_answers(one.finished, one.ledger)]
    _require_reasoning(answers, options)
    asked = grouped(answers)
    examples = [example for example, _ in asked]
    questions = routed(
        asked,
        duplicates(examples),
        contaminated(examples, ready.items),
        unjudged=options.unjudged,
        seed=options.seed,
        validation=options.validation,
    )
    _require_questions(questions)
    return _write(judged, questions, ready, options)


class ReasoningWatch:
    """Who asks no more of a teacher that has not written its reasoning once (`evalkit.run.schedule.Watch`).

    No set can be made of such answers, and `distill` says so of the few that there are.
    """

    def __init__(self) -> None:
        self._answers = 0
        self._reasons = False

    def ordered(self, groups: Sequence[Group]) -> list[Group]:
        return list(groups)

    def wants(self, group: Group) -> bool:  # noqa: ARG002 - all or none
        return self._reasons or self._answers < _FIRST

    def seen(self, answer: Answer) -> None:
        self._answers += answer.text is not None
        self._reasons = self._reasons or OPEN in (answer.text or "")


def _where(run: RunSettings, options: Options) -> tuple[str, str | None]:
    data = run.data
    source = options.against_data or ("local" if options.against_dir else data.source)
    return source, options.against_dir or data.dir


def _judge(run: Finished, judge: JudgeSettings | None, console: Console) -> _Judged:
    if judge is not None:
        rules = {name: get_rule(each.rule) for name, each in run.settings.benchmark.items()}

        def right(scored: ScoredAnswer) -> bool:
            answer = scored.answer
            found = rules[answer.benchmark](output_of(answer), scored.example.gold)
            return bool(found and found.correct)

        judge_run(run, judge, console, right=right)
    return _Judged(run, read_ledger(run.path))


def _require_reasoning(answers: Sequence[TeacherAnswer], options: Options) -> None:
    """Raises UserError where there is no reasoning at all, or nobody has checked that of right answers."""
    if not any(each.thinking for each in answers):
        raise UserError(
            f"distill: none of {len(answers):,} answers has its reasoning between <think> and </think>: "
            "import outputs with their reasoning, or take a teacher that writes it"
        )
    right = [each for each in answers if each.answer_check.good]
    states = {each.checked for each in right}
    if options.unjudged or not states & {"not done", "unfit"}:
        return
    if "unfit" in states:
        raise UserError(
            "distill: the judge is not fit (its canaries say so), so nobody has checked the reasoning: no "
            "set for fine-tuning is written; take another judge, or force this one (judge.force=true), or "
            "do without (unjudged=true); either is said inside"
        )
    raise UserError(
        f"distill: nobody has checked the reasoning of {len(right):,} right answers, so no set for "
        "fine-tuning is written: give judge=local judge.model=NAME, or unjudged=true to do without, which "
        "is said inside"
    )


def _require_questions(questions: Sequence[Question]) -> None:
    if any(each.fate in ("sft", "rl") for each in questions):
        return
    fates = sorted({each.fate for each in questions})
    raise UserError(
        f"distill: nothing would be left of {len(questions):,} questions ({', '.join(fates)}): take "
        "another split than the evaluated one, or other sources"
    )


_STATES: dict[Check, str] = {
    "not done": "Nobody has checked the reasoning of {}: of the two checks only the first was made.",
    "unfit": "The judge is not fit for {}: its verdicts on reasoning were not asked for.",
    "forced": "The judge is not fit for {}, and its verdicts were forced.",
}


def _notices(judged: Sequence[_Judged], problems: Sequence[str], options: Options) -> tuple[str, ...]:
    """What a reader has to know before use."""
    found = []
    for state, words in _STATES.items():
        titles = dict.fromkeys(
            one.finished.settings.benchmark[name].title
            for one in judged
            for name in one.finished.data
            if reasoning_state(one.ledger, name) == state
        )
        if titles:
            found.append(words.format(", ".join(titles)))
    if not options.against:
        found.append("Evaluation items were not looked for.")
    found += [f"{problem}." for problem in problems]
    return tuple(printable(each, 300) for each in found)


def _write(
    judged: Sequence[_Judged],
    questions: Sequence[Question],
    ready: Ready,
    options: Options,
) -> Manifest:
    """Both sets in a folder beside `out`, which then takes its name."""
    out = options.out.resolve()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
            folder = Path(scratch) / "new"
            files = files_of(folder, write_sets(folder, questions))
            notices = _notices(judged, ready.problems, options)
            manifest = _manifest(judged, questions, ready.splits, notices, options, files)
            write_atomically(folder / README, dataset_card(manifest, card_data()))
            write_atomically(folder / MANIFEST, manifest.text())
            folder.chmod(0o755)
            if out.exists():
                out.rename(Path(scratch) / "old")
            folder.rename(out)
    except OSError as error:
        raise UserError(f"distill: out={out} cannot be written: {error.strerror or error}") from error
    return manifest


def _manifest(
    judged: Sequence[_Judged],
    questions: Sequence[Question],
    splits: Sequence[EvaluationSplit],
    notices: tuple[str, ...],
    options: Options,
    files: dict[str, FileFacts],
) -> Manifest:
    teachers = tuple(teacher(one.finished) for one in judged)
    return Manifest(
        schema=SCHEMA,
        evalkit=__version__,
        notices=notices,
        unjudged=options.unjudged,
        seed=options.seed,
        validation=options.validation,
        teachers=teachers,
        judges=tuple(dict.fromkeys(judge_facts(one.ledger) for one in judged if one.ledger is not None)),
        against=tuple(splits),
        sources=_sources(judged, questions),
        balance=balance(questions),
        files=files,
    )


def _wrong(one: _Judged, benchmark: str, questions: Sequence[Question]) -> tuple[WrongShare, ...]:
    """What the set holds of one run's answers to a source, and how many of these may be wrong."""
    keys = {answer.key for answer in one.finished.records}
    by = Counter(
        answer.answer_check.by
        for question in questions
        if question.example.benchmark == benchmark
        for answer in question.good
        if answer.answer.key in keys
    )
    return wrong_shares(one.ledger, benchmark, by["rule"], by["judge"])


def _sources(judged: Sequence[_Judged], questions: Sequence[Question]) -> dict[str, SourceFacts]:
    found: dict[str, SourceFacts] = {}
    card = card_data()
    for name, own in counts(questions).items():
        runs = [one for one in judged if name in one.finished.data]
        settings = runs[0].finished.settings.benchmark[name]
        of_card = card.of(name)
        found[name] = SourceFacts(
            title=settings.title,
            split=settings.split,
            place=settings.source,
            licence=settings.licence,
            data_sha256=data_hash(runs[0].finished.data[name].provenance),
            card_records=of_card.records if of_card else None,
            reasoning=worst_state([one.ledger for one in runs], name),
            judge=next((facts for one in runs if (facts := on_source(one.ledger, name))), None),
            counts=own,
            wrong_in_sft=tuple(share for one in runs for share in _wrong(one, name, questions)),
        )
    return found
