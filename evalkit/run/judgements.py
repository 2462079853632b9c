"""What a judge has said of a run, in the run's folder: judgements.jsonl line by line, judge.json in sum.

The rule `judged` takes the default rule's verdict where it decides and the judge's where it does not; the
first word of its note says which: `rule` or `judge`. What is read of judge.json and calibration.json is
checked, because a record may be anybody's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from evalkit.files import read_json, write_atomically
from evalkit.schema import (
    Answer,
    ErrorKind,
    Gold,
    Judgement,
    Name,
    Outcome,
    Output,
    Score,
    Task,
    TextGold,
    UserError,
    When,
)
from evalkit.scoring.places import unfinished
from evalkit.scoring.text import answer_part
from evalkit.text import rate

JUDGEMENTS = "judgements.jsonl"
SUMMARY = "judge.json"
JUDGE_SCHEMA = 1

_REPLY_CHARS = 2_000  # of a reply's end: its verdict stands there


@dataclass(frozen=True, slots=True)
class Entry:
    """One judged answer, or one canary.

    ``key`` is that of the verdict's cache, ``generation`` that of the judged answer; ``canary`` its kind, and
    ``expected`` the verdict that it ought to get. ``score`` and ``correct`` are None where ``error`` says
    why; ``criteria`` are those of a reasoning check. ``audit``: on an answer that the default rule had
    accepted. Tokens and cost are those that the verdict took when it
    was made.
    """

    key: str
    benchmark: str
    id: str
    turn: int | None
    sample: int
    generation: str | None
    task: Task
    canary: str | None
    expected: bool | None
    score: float | None
    correct: bool | None
    error: ErrorKind | None
    detail: str
    reply: str
    prompt_tokens: int
    completion_tokens: int
    cost: float
    criteria: dict[str, bool] | None = None
    audit: bool = False

    @property
    def is_answer(self) -> bool:
        """Whether it is a verdict that counts: no canary, no audit, and not on how the answer was reached."""
        return self.canary is None and not self.audit and not self.task.startswith("reasoning")

    @property
    def is_reasoning(self) -> bool:
        """Whether it is a verdict on how an answer was reached."""
        return self.canary is None and self.task.startswith("reasoning")

    @property
    def name(self) -> Name:
        return (self.benchmark, self.id, self.turn, self.sample)


def verdict_fields(judgement: Judgement, threshold: float) -> dict[str, Any]:
    """The fields of an entry that come from the judge. A grade counts as right from `threshold` on."""
    score = None if judgement.ruling is None else judgement.ruling.score
    return {
        "key": judgement.key,
        "score": score,
        "correct": None if score is None else score >= threshold,
        "error": judgement.error,
        "detail": judgement.detail,
        "reply": judgement.reply[-_REPLY_CHARS:],
        "prompt_tokens": judgement.prompt_tokens,
        "completion_tokens": judgement.completion_tokens,
        "cost": judgement.cost,
        "criteria": (judgement.ruling.criteria or None) if judgement.ruling else None,
    }


@dataclass(frozen=True, slots=True)
class Ledger:
    """A judged run: its answers' entries by name, what judge.json says of them, and its whole content.

    `reasonings` are the entries on how answers were reached, where the judge was asked about that; `every`
    is each entry, canaries and audits among them.
    """

    entries: Mapping[Name, Entry]
    facts: JudgeFacts
    summary: dict[str, Any]
    reasonings: Mapping[Name, Entry] = field(default_factory=dict)
    every: Sequence[Entry] = ()

    def shows(self, benchmark: str) -> bool:
        """Whether scores under `judged` are shown: the judge decided something, and is fit or forced."""
        of = self.facts.benchmarks.get(benchmark)
        return of is not None and of.shown in ("fit", "forced")

    def entry(self, record: Answer) -> Entry | None:
        """The entry of this very answer: not of an earlier one of the same name."""
        return _of(self.entries, record)

    def reasoning(self, record: Answer) -> Entry | None:
        """The same on how this very answer was reached."""
        return _of(self.reasonings, record)

    @property
    def errors(self) -> dict[str, int]:
        """How many answers got no verdict, by kind of error."""
        found: dict[str, int] = {}
        for entry in self.entries.values():
            if entry.error:
                found[entry.error] = found.get(entry.error, 0) + 1
        return dict(sorted(found.items()))


def write_ledger(folder: Path, entries: Iterable[Entry], summary: Mapping[str, Any]) -> None:
    """Write both files; the summary, which vouches for the other by its hash, last."""
    lines = "".join(json.dumps(asdict(entry), ensure_ascii=False) + "\n" for entry in entries)
    write_atomically(folder / JUDGEMENTS, lines)
    content = {"schema": JUDGE_SCHEMA, **summary, "judgements_sha256": _sha256(lines.encode())}
    write_atomically(folder / SUMMARY, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def _of(entries: Mapping[Name, Entry], record: Answer) -> Entry | None:
    found = entries.get(record.name)
    return found if found is not None and found.generation == record.key else None


def read_ledger(folder: Path) -> Ledger | None:
    """What a judge has said of the run in `folder`; None if it was not judged.

    Raises:
        UserError: the files cannot be read, or do not belong together.
    """
    from pydantic import TypeAdapter, ValidationError

    summary = read_json(folder / SUMMARY)
    if not summary:
        return None
    again = "judge the run again (`evalkit judge run`), or remove both files"
    try:
        content = (folder / JUDGEMENTS).read_bytes()
        if summary.get("schema") != JUDGE_SCHEMA or summary.get("judgements_sha256") != _sha256(content):
            raise UserError(f"{folder}: {JUDGEMENTS} and {SUMMARY} do not belong together: {again}")
        adapter = TypeAdapter(Entry)
        entries = [adapter.validate_json(line) for line in content.splitlines()]
        facts = TypeAdapter(JudgeFacts).validate_python(summary)
    except (OSError, ValidationError) as error:
        raise UserError(f"{folder}: {JUDGEMENTS} or {SUMMARY} cannot be read: {again}") from error
    answers = {entry.name: entry for entry in entries if entry.is_answer}
    reasonings = {entry.name: entry for entry in entries if entry.is_reasoning}
    return Ledger(answers, facts, summary, reasonings, entries)


def totals(entries: Sequence[Entry]) -> dict[str, Any]:
    """Tokens and cost of all verdicts, each question once."""
    each = {entry.key: entry for entry in entries}.values()
    return {
        "verdicts": len(each),
        "prompt_tokens": sum(entry.prompt_tokens for entry in each),
        "completion_tokens": sum(entry.completion_tokens for entry in each),
        "cost": round(sum(entry.cost for entry in each), 6),
    }


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


NOT_YET = "judge: not judged yet"
_UNDECIDED = ("unparsed", "no_final_answer")


def needs_judge(output: Output, gold: Gold, rule: Score, when: When) -> bool:
    """Whether the judge is asked about an output.

    Never where nothing was answered: that is wrong without asking. Where something was, and `when` is
    `undecided` or `audit`: free text, and outputs in which the default rule found no answer, or none that it
    could read, though they were not cut off.

    Args:
        rule: the default rule's verdict.
    """
    if when == "never" or not answered(output.text):
        return False
    if when == "always" or isinstance(gold, TextGold):
        return True
    return rule.outcome in _UNDECIDED and not output.truncated


def judged_score(record: Answer, output: Output, gold: Gold, rule: Score, ledger: Ledger) -> Score:
    """The score of one answer of a judged run.

    Args:
        rule: the default rule's verdict.
    """
    entry = ledger.entry(record)
    if entry is not None:
        return _judges(entry, rule)
    if isinstance(gold, TextGold):
        if answered(output.text):
            return Score(None, None, None, "judge_error", NOT_YET)
        failure: Outcome = "truncated" if unfinished(output) else "no_final_answer"
        return Score(None, False, 0.0, failure, "rule: nothing was answered")
    return Score(rule.extracted, rule.correct, rule.value, rule.outcome, _rules(rule), rule.span)


def _judges(entry: Entry, rule: Score) -> Score:
    if entry.score is None:
        return Score(rule.extracted, None, None, "judge_error", f"judge: {entry.error}", rule.span)
    failure: Outcome = "correct" if entry.correct else "judged_wrong"
    note = f"judge: grade {entry.score:g}" if entry.task == "free_text" else "judge"
    return Score(rule.extracted, entry.correct, entry.score, failure, note, rule.span)


def _rules(rule: Score) -> str:
    return f"rule: {rule.note}" if rule.note else "rule"


def judged_path(verdict: Score) -> str:
    """`rule` or `judge`: who decided, by a verdict under `judged`."""
    return verdict.note.partition(":")[0]


def answered(text: str) -> bool:
    """Whether an output has any text after its reasoning."""
    part = answer_part(text)
    return part is not None and bool(part.text.strip())


CALIBRATION = "calibration.json"  # written by `evalkit judge calibrate`

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
FactCount = Annotated[int, Field(ge=0, lt=2**63)]
FactLine = Annotated[str, Field(max_length=500)]


@dataclass(frozen=True, slots=True)
class Rate:
    """Mistakes on `n` canaries, as a fraction of 1 with Wilson's 95 % interval; None for none."""

    rate: Fraction | None
    n: FactCount
    interval: tuple[Fraction, Fraction]

    @property
    def text(self) -> str:
        """`12 % [5, 25] of 40`"""
        return rate(self.rate, self.interval, self.n)


@dataclass(frozen=True, slots=True)
class Canaries:
    """`reason` says why the judge is not fit; None: it is.

    `kinds`: mistakes by kind of canary. `errors`: canaries without a verdict, by kind.
    """

    false_positive: Rate
    false_negative: Rate
    reason: FactLine | None = None
    kinds: dict[FactLine, Rate] = field(default_factory=dict)
    errors: dict[FactLine, FactCount] = field(default_factory=dict)

    @property
    def unanswered(self) -> bool:
        """Whether the judge gave no verdict on any of them."""
        return bool(self.errors) and self.false_positive.n == self.false_negative.n == 0


@dataclass(frozen=True, slots=True)
class Paths:
    """How many answers were decided by whom."""

    rule: FactCount
    judge: FactCount


@dataclass(frozen=True, slots=True)
class ReasoningFacts:
    """How many outputs passed a check of their reasoning, and held each of its criteria."""

    passed: FactCount
    n: FactCount
    interval: tuple[Fraction, Fraction]
    criteria: dict[FactLine, FactCount] = field(default_factory=dict)
    errors: dict[FactLine, FactCount] = field(default_factory=dict)

    @property
    def rate(self) -> Rate:
        return Rate(self.passed / self.n if self.n else None, self.n, self.interval)


@dataclass(frozen=True, slots=True)
class AuditFacts:
    """Of `accepted` answers (by the default rule) the judge was asked about `n`, and refused some."""

    accepted: FactCount
    refused: FactCount
    n: FactCount
    interval: tuple[Fraction, Fraction]
    errors: dict[FactLine, FactCount] = field(default_factory=dict)

    @property
    def rate(self) -> Rate:
        """The share that was refused."""
        return Rate(self.refused / self.n if self.n else None, self.n, self.interval)


@dataclass(frozen=True, slots=True)
class JudgedBenchmark:
    """A benchmark's part of judge.json. `errors`: answers without a verdict, by kind."""

    shown: Literal["fit", "forced", "withheld", "not needed"]
    paths: Paths
    canaries: Canaries | None = None
    errors: dict[FactLine, FactCount] = field(default_factory=dict)
    reasoning: ReasoningFacts | None = None
    audit: AuditFacts | None = None

    @property
    def standing(self) -> str:
        """Whether its judged score is shown, in words."""
        reason = self.canaries.reason if self.canaries else None
        words = {"withheld": f"judge not fit: {reason}", "forced": f"shown by force, judge not fit: {reason}"}
        return words.get(self.shown, "fit" if self.shown == "fit" else "no answer needed it")


@dataclass(frozen=True, slots=True)
class JudgeEngine:
    """What the judge runs on."""

    engine: FactLine = "?"


@dataclass(frozen=True, slots=True)
class JudgeIdentity:
    """What decides a verdict besides its prompt, as far as it is shown. `form`: of the replies."""

    engine: JudgeEngine = field(default_factory=JudgeEngine)
    form: FactLine = "?"


@dataclass(frozen=True, slots=True)
class NamedJudge:
    """The judge itself."""

    name: Annotated[str, Field(min_length=1, max_length=500)]
    identity: JudgeIdentity = field(default_factory=JudgeIdentity)


@dataclass(frozen=True, slots=True)
class VerdictSettings:
    """The settings that verdicts rest on. A grade counts as right from `threshold` on."""

    when: FactLine | None = None
    threshold: Fraction | None = None
    language: FactLine | None = None
    contract: FactLine | None = None
    max_tokens: FactCount | None = None


@dataclass(frozen=True, slots=True)
class JudgeSpent:
    """What a judge took; `cost` is in `currency`, None without prices."""

    verdicts: FactCount = 0
    prompt_tokens: FactCount = 0
    completion_tokens: FactCount = 0
    cost: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    currency: FactLine | None = None


@dataclass(frozen=True, slots=True)
class JudgeFacts:
    """judge.json, as far as it is shown. `stopped` says why the judge went no further, None if it did."""

    judge: NamedJudge
    settings: VerdictSettings = field(default_factory=VerdictSettings)
    benchmarks: dict[str, JudgedBenchmark] = field(default_factory=dict)
    spent: JudgeSpent = field(default_factory=JudgeSpent)
    stopped: FactLine | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """A score with its 95 % interval, or none (`value` None): the judge cannot be corrected for."""

    value: Fraction | None = None
    low: Fraction | None = None
    high: Fraction | None = None

    @property
    def text(self) -> str:
        """`41.2 [30.0, 52.1]` in per cent, or that there is none."""
        if self.value is None or self.low is None or self.high is None:
            return "not usable"
        return f"{100 * self.value:.1f} [{100 * self.low:.1f}, {100 * self.high:.1f}]"


@dataclass(frozen=True, slots=True)
class Kappa:
    """Cohen's κ with its 95 % interval."""

    value: Annotated[float, Field(ge=-1, le=1)]
    low: Annotated[float, Field(ge=-1.5, le=1.5)]
    high: Annotated[float, Field(ge=-1.5, le=1.5)]

    @property
    def text(self) -> str:
        """`0.61 [0.42, 0.80]`"""
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True, slots=True)
class JudgeCalibration:
    """A judge against one source of labels, `n` of them; scores are of `estimated` answers."""

    n: FactCount
    estimated: FactCount = 0
    kappa: Kappa | None = None
    raw: Interval | None = None
    corrected: Interval | None = None
    prediction_powered: Interval | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """The labels that a benchmark was calibrated with: people's, and those of a rule."""

    people: JudgeCalibration | None = None
    rule: JudgeCalibration | None = None


@dataclass(frozen=True, slots=True)
class CalibrationFacts:
    """calibration.json, as far as it is shown."""

    judge: NamedJudge
    benchmarks: dict[str, Sources] = field(default_factory=dict)


def read_calibration(folder: Path) -> dict[str, Any] | None:
    """What `evalkit judge calibrate` found of the run in `folder`, checked; None if it was not asked.

    Raises:
        UserError: the file cannot be read, or is not such a file.
    """
    from pydantic import TypeAdapter

    path = folder / CALIBRATION
    if not path.exists():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        TypeAdapter(CalibrationFacts).validate_python(found)
    except (OSError, ValueError) as error:  # pydantic's are ValueErrors, and so are json's
        raise UserError(f"{path} cannot be read: `evalkit judge calibrate` makes it again") from error
    return found
