"""Any engine as a judge: the answers of a run as cases, put before it, and its rulings.

`population` says which answers of a run can be judged, and what the default rule says of each. A case is
asked as one prompt in one form of reply, under sampling settings of its own; these and the judge's identity
are the key of its ruling. Each reply is in the verdict cache, on disk, before it counts: nothing is judged
twice, not even after a kill.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from evalkit.config.judge import JudgeSettings
from evalkit.engines import Engine
from evalkit.engines.limits import Budget, BudgetSpent, Prices, read_prices
from evalkit.files import cache_dir
from evalkit.judge.prompt import BrokenReply, Case, Prompt, prompt_of, templates_fingerprint
from evalkit.run.folder import Finished
from evalkit.run.judgements import answered, needs_judge
from evalkit.run.schedule import Asker, EngineClock, together
from evalkit.run.scoring import ScoredAnswer, output_of, scored_answers
from evalkit.schema import (
    CONTEXT_OVERFLOW,
    ChoiceGold,
    Completion,
    EngineUnusable,
    ErrorKind,
    Example,
    Form,
    GenerationSettings,
    Gold,
    Judgement,
    Language,
    Message,
    Name,
    Ruling,
    TextGold,
    UserError,
    gold_text,
)


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
    for scored in scored_answers(finished.records, data):
        if not answered(scored.answer.text or ""):
            unanswered[scored.answer.benchmark] += 1
            continue
        found[scored.answer.benchmark].append(_subject(scored))
    subjects = {name: of_one for name, of_one in found.items() if of_one}
    if not subjects:
        raise UserError(f"{finished.path}: none of its outputs has an answer that could be judged")
    return Population(finished.settings.model.title, subjects, unanswered)


def _subject(scored: ScoredAnswer) -> Subject:
    answer, example, score = scored.answer, scored.example, scored.score
    undecided = needs_judge(output_of(answer), example.gold, score, "undecided")
    return Subject(
        name=answer.name,
        key=answer.key,
        group=answer.group,
        kind=str(example.facets.get("answer_kind") or type(example.gold).__name__),
        case=case_of(example, answer.text or ""),
        rule=None if undecided else score.correct,
        extracted=score.extracted or "",
    )


def case_of(example: Example, text: str) -> Case:
    """What is put before a judge of one output: an answer check, or for free text a grade."""
    task: Literal["answer", "free_text"] = "free_text" if isinstance(example.gold, TextGold) else "answer"
    language = language_of(example.question)
    return Case(task, example.question, reference_of(example.gold), text, language=language)


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


_CONTEXT_STEP = 1024  # tokens; a call with slightly longer prompts than the last shall not restart the server
_BYTES_PER_TOKEN = 3  # English has about four, Chinese three or more: for estimates where no engine tells
_FEWEST_BYTES_PER_TOKEN = 2  # for ceilings


@dataclass(slots=True)
class Spent:
    """Requests sent, their tokens, and their cost in the currency of the prices, 0 without prices."""

    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0

    def add(self, completion: Completion, prices: Prices | None) -> None:
        """Count one answered request."""
        prompt, said = completion.prompt_tokens or 0, completion.completion_tokens or 0
        self.attempts += 1
        self.prompt_tokens += prompt
        self.completion_tokens += said
        self.cost += prices.cost(prompt, completion.cached_tokens or 0, said) if prices else 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What judging would take: cases that are not in the cache, the tokens of their prompts, and the most
    tokens of replies and cost, without second attempts. ``cost`` is None without prices."""

    cases: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None


class Judge:
    """Judges cases on an engine, as many at once as it has slots. Synchronous.

    ``stopped`` says in one line why it sends nothing more (a ceiling, an engine that does not serve); what
    is in the cache is answered all the same.

    Args:
        runner: of the event loop that the engine lives in.
        on_verdict: called with (done, of) after each question of a call.

    Raises:
        UserError: a ceiling that cannot be meant.
    """

    def __init__(
        self,
        engine: Engine,
        settings: JudgeSettings,
        cache: VerdictCache,
        runner: asyncio.Runner,
        on_verdict: Callable[[int, int], None],
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._cache = cache
        self._runner = runner
        self._on_verdict = on_verdict
        self._identity: dict[str, Any] = {"engine": engine.identity(), "templates": templates_fingerprint()}
        self._form: Form = "boxed" if settings.contract == "boxed" else "json"
        self._asker = Asker(engine, EngineClock())
        prices = getattr(settings.backend, "prices", None)  # a service has them
        self._prices = read_prices(prices) if prices else None
        # Tokens are money of another currency: one each.
        per_token = Prices(1e6, 1e6, None, "tokens")
        self._tokens = Budget(per_token, settings.max_tokens_total, "judge.max_tokens_total")
        self._holds: int | None = None  # tokens of the longest prompt that the engine was started for
        self._stopped_by: ErrorKind = "engine_error"
        self.spent = Spent()
        self.stopped: str | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What decides a verdict besides its prompt: weights or served model, templates, form of reply."""
        return {**self._identity, "form": self._form}

    @property
    def name(self) -> str:
        """The judge's model, as its service calls it or as it is called here."""
        served = self._identity["engine"].get("model")
        return str(served["id"] if isinstance(served, dict) else self._settings.model.name)

    @property
    def currency(self) -> str | None:
        return self._prices.currency if self._prices else None

    def __call__(self, cases: Sequence[Case]) -> list[Judgement]:
        """One judgement per case, in order. What the judge or its engine does wrong is one without a ruling.

        Raises:
            UserError: the engine cannot be started as configured, or the cache cannot be used.
        """
        questions = [self._question(case, self._form) for case in cases]
        found, open_ = self._look_up(questions)
        if open_ and self.stopped is None:
            try:
                self._runner.run(self._work_through(list(open_.values()), found))
            except EngineUnusable as error:
                self._stop(error)
        for key in open_.keys() - found.keys():
            found[key] = Judgement(key, None, self._stopped_by, self.stopped or "")
        return [found[question.key] for question in questions]

    def estimate(self, cases: Sequence[Case]) -> Estimate:
        """What judging these cases would take. Raises UserError if the cache cannot be used."""
        _, open_ = self._look_up([self._question(case, self._form) for case in cases])
        prompts = sum(question.bytes // _BYTES_PER_TOKEN for question in open_.values())
        replies = sum(question.sampling.max_tokens for question in open_.values())
        cost = self._prices.cost(prompts, 0, replies) if self._prices else None
        return Estimate(len(open_), prompts, replies, cost)

    def _question(self, case: Case, form: Form) -> Question:
        return judge_question(case, form, self._identity, self._settings.max_tokens)

    def _look_up(self, questions: Sequence[Question]) -> tuple[dict[str, Judgement], dict[str, Question]]:
        """What the cache knows, and the questions that it does not, each once; both by key."""
        found: dict[str, Judgement] = {}
        open_: dict[str, Question] = {}
        for question in questions:
            if question.key in found or question.key in open_:
                continue
            kept = self._kept(question)
            if kept is None and self._may_fall_back:
                kept = self._kept(self._question(question.case, "boxed"))
            if kept is None:
                open_[question.key] = question
            else:
                found[question.key] = kept
        return found, open_

    def _kept(self, question: Question) -> Judgement | None:
        kept = self._cache.get(question.key)
        if kept is None:
            return None
        try:
            ruling = question.prompt.contract.parse(kept.reply)
        except BrokenReply:  # an earlier version read replies otherwise
            return None
        took = (kept.prompt_tokens, kept.completion_tokens, kept.cost)
        return Judgement(question.key, ruling, None, "", kept.reply, 0, *took)

    @property
    def _may_fall_back(self) -> bool:
        """Whether the server may turn out not to take JSON schemas, and the judge was left to find out."""
        known = self._settings.backend.enforces_schemas
        return self._settings.contract == "auto" and self._form == "json" and not known

    async def _work_through(self, open_: Sequence[Question], found: dict[str, Judgement]) -> None:
        sizes = await self._ready(open_)
        queue = deque(open_)
        of = len(open_)
        done = 0

        async def serve(slot: int) -> None:
            nonlocal done
            while queue and self.stopped is None:
                question = queue.popleft()
                try:
                    found[question.key] = await self._judge(question, sizes[question.key], slot)
                except EngineUnusable as error:
                    # The others finish what they have in flight: it is paid for.
                    self._stop(error)
                    return
                done += 1
                self._on_verdict(done, of)

        await together([serve(slot) for slot in range(self._engine.slots)])

    async def _ready(self, open_: Sequence[Question]) -> dict[str, int]:
        """Start the engine if it is not, or not for prompts as long as these; returns their tokens by key."""
        tokens = await self._engine.tokenize([question.prompt.messages for question in open_])
        if tokens is None:
            if self._holds is None:
                await self._engine.start(None)
                self._holds = 0
            return {question.key: question.bytes // _FEWEST_BYTES_PER_TOKEN for question in open_}
        sizes = {question.key: len(each) for question, each in zip(open_, tokens, strict=True)}
        longest = -(-max(sizes.values()) // _CONTEXT_STEP) * _CONTEXT_STEP
        if self._holds is None or longest > self._holds:
            await self._engine.stop()
            await self._engine.start(longest)
            self._holds = longest
        return sizes

    async def _judge(self, question: Question, size: int, slot: int) -> Judgement:
        """Ask until a reply keeps the contract. Raises EngineUnusable."""
        if question.prompt.contract.form != self._form:  # the server turned out not to take schemas
            return await self._judge_boxed(question, size, slot)
        spent, reason, reply = Spent(), "", ""
        for number in range(1, self._settings.attempts + 1):
            completion = await self._ask(question, number, size, slot, spent)
            if completion.error is not None:
                if self._refuses_schemas(completion):
                    self._form = "boxed"
                    return await self._judge_boxed(question, size, slot)
                kind: ErrorKind = (
                    "context_overflow" if completion.error == CONTEXT_OVERFLOW else "engine_error"
                )
                return Judgement(question.key, None, kind, completion.error, reply, **asdict(spent))
            reply = completion.text or ""
            try:
                ruling = _read(question, completion)
            except BrokenReply as error:
                reason = str(error)
            else:
                self._cache.put(question.key, CachedReply(reply, **asdict(spent)))
                return Judgement(question.key, ruling, None, "", reply, **asdict(spent))
        return Judgement(question.key, None, "broken_reply", reason, reply, **asdict(spent))

    async def _judge_boxed(self, question: Question, size: int, slot: int) -> Judgement:
        boxed = self._question(question.case, "boxed")
        return self._kept(boxed) or await self._judge(boxed, size, slot)

    async def _ask(self, question: Question, number: int, size: int, slot: int, spent: Spent) -> Completion:
        sampling = question.attempt(number)
        async with self._tokens.request(size, sampling.max_tokens) as charge:
            completion = await self._asker.ask(question.prompt.messages, sampling, slot)
            if completion.error is None:
                charge.used(completion.prompt_tokens, 0, completion.completion_tokens)
            else:
                charge.nothing()
        if completion.error is None:
            spent.add(completion, self._prices)
            self.spent.add(completion, self._prices)
        return completion

    def _refuses_schemas(self, completion: Completion) -> bool:
        said = (completion.error or "").lower()
        about = any(word in said for word in ("response_format", "json_schema", "structured output"))
        return self._settings.contract == "auto" and "http 400" in said and about

    def _stop(self, error: EngineUnusable) -> None:
        if self.stopped is None:
            self._stopped_by = "budget" if isinstance(error, BudgetSpent) else "engine_error"
            self.stopped = str(error)


def _read(question: Question, completion: Completion) -> Ruling:
    """What the reply says. In a box, words may follow, and of a reply that is cut off nobody knows which.

    Raises:
        BrokenReply: it breaks the contract.
    """
    if completion.finish_reason == "length" and question.prompt.contract.form == "boxed":
        raise BrokenReply("cut off")
    return question.prompt.contract.parse(completion.text or "")


_RETRY_TEMPERATURE = 0.7


@dataclass(frozen=True, slots=True)
class Question:
    """Questions with the same key are the same question."""

    key: str
    case: Case
    prompt: Prompt
    sampling: GenerationSettings

    @property
    def bytes(self) -> int:
        """The size of the prompt in UTF-8."""
        return sum(len(message.content.encode("utf-8", "replace")) for message in self.prompt.messages)

    def attempt(self, number: int) -> GenerationSettings:
        """The sampling of attempt `number`, from 1.

        The first is greedy. At temperature 0 a broken reply would come again, whatever the seed, so the
        others are not, and each has a seed of its own.
        """
        if number == 1:
            return self.sampling
        return replace(self.sampling, temperature=_RETRY_TEMPERATURE, seed=number - 1)


def judge_question(case: Case, form: Form, identity: Mapping[str, Any], max_tokens: int | None) -> Question:
    """The question to the judge of `identity`.

    Args:
        max_tokens: of the reply; None: what its contract needs.
    """
    prompt = prompt_of(case, form)
    sampling = GenerationSettings(
        temperature=0.0,
        top_p=1.0,
        top_k=0,
        min_p=0.0,
        repetition_penalty=1.0,
        max_tokens=max_tokens or prompt.contract.max_tokens,
        seed=0,
        json_schema=prompt.contract.json_schema,
    )
    return Question(verdict_key(identity, prompt.messages, sampling), case, prompt, sampling)


_PATIENCE = 60.0  # seconds to wait for another process that is writing
_TABLE = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, reply TEXT NOT NULL, attempts INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cost REAL NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class CachedReply:
    """A well-formed reply, raw, and what it took: requests, tokens and cost of all attempts."""

    reply: str
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    cost: float


def verdict_key(
    identity: Mapping[str, Any], messages: Sequence[Message], sampling: GenerationSettings
) -> str:
    """A hash of everything that decides a verdict: the judge, its templates, the prompt and the sampling."""
    content = {
        "identity": identity,
        "messages": [[m.role, m.content] for m in messages],
        "sampling": sampling.as_dict(),
    }
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "replace")).hexdigest()[:32]


def default_path() -> Path:
    """`judge/replies.sqlite` in evalkit's cache folder."""
    return cache_dir() / "judge" / "replies.sqlite"


class VerdictCache:
    """Replies by `verdict_key`. Several processes may use the same file at once.

    Raises:
        UserError: the file cannot be used, here or later.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            # WAL alone may lose the last commits when the machine, and not only the process, goes down.
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute(_TABLE)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def get(self, key: str) -> CachedReply | None:
        try:
            row = self._connection.execute(
                "SELECT reply, attempts, prompt_tokens, completion_tokens, cost FROM replies WHERE key = ?",
                (key,),
            ).fetchone()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return CachedReply(*row) if row else None

    def put(self, key: str, kept: CachedReply) -> None:
        """On disk when this returns. What another process has put there first stays."""
        values = (kept.reply, kept.attempts, kept.prompt_tokens, kept.completion_tokens, kept.cost)
        try:
            self._connection.execute(
                "INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?)", (key, *values)
            )
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> UserError:
        return UserError(
            f"the judge's cache {self._path} cannot be used ({error}): remove it or set another EVALKIT_CACHE"
        )

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
