"""The nouns of the harness: examples, requests, answers, scores, items, estimates, judgements.

An example is plain data. It knows nothing of engines (they see only its messages) and nothing of scores (a
rule sees only its gold answer and the model's output). With its final messages and the key of its generation
it is a request, once per sample; what comes back is an answer, and what a rule says of it a score. An item is
an example with its answers and their scores. Everything that is a figure is an `Estimate`.

`UserError` is any error that is the user's to fix: one line that says what to do.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]
Table = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message with its final text."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class OwnAnswer:
    """Stands where the model's own answer to an earlier turn of the same dialogue will go.

    Only the runner can fill it in: the text does not exist before that turn was generated.
    """

    turn: int


@dataclass(frozen=True, slots=True)
class NumberGold:
    """A number, as executed by the annotators' program.

    ``value`` is on the program's own scale: a ratio is a decimal (0.0787 for 7.87 %), an amount is in
    the unit of the page (often millions). ``answer`` is the annotator's string where there is one;
    it contradicts ``value`` in about 7 % of FinQA, so rules compare with ``value``. ``question`` is
    there because some questions ask for a size and not for a signed change. ``program`` is the gold
    program in FinQA's DSL, ``table`` the rows of the page's table, on which a predicted program is executed.
    """

    value: float
    question: str = ""
    answer: str = ""
    program: str = ""
    table: Table = field(default=(), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class YesNoGold:
    """Yes or no, in whichever language (``yes``/``no``, 是/否)."""

    yes: bool
    question: str = ""
    program: str = ""
    table: Table = field(default=(), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class ChoiceGold:
    """One letter of the options that were shown, in the order shown."""

    letter: str
    options: dict[str, str]


@dataclass(frozen=True, slots=True)
class LabelGold:
    """One of a closed set of labels, e.g. bearish, bullish, neutral."""

    label: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TextGold:
    """A reference text. No rule can compare with it: it stays unscored until a judge is configured."""

    reference: str


SpansKind = Literal["span", "multi-span", "count", "arithmetic"]


@dataclass(frozen=True, slots=True)
class SpansGold:
    """One or several texts of a page, a count or a computed number, as TAT-QA has them.

    ``scale`` belongs to all of ``texts``: "", thousand, million, billion or percent.
    """

    texts: tuple[str, ...]
    scale: str = ""
    kind: SpansKind = "span"
    question: str = ""


@dataclass(frozen=True, slots=True)
class CodeGold:
    """A function in Python that gives what is expected, in every case.

    ``function`` is its name with its parameters, as the prompt has it. A case is the list of arguments and
    the expected value, both as JSON. Numbers may be off by ``tolerance`` times their size, or times 1 where
    that is smaller. No rule runs code: see `evalkit.run.code`.
    """

    function: str
    cases: tuple[tuple[str, str], ...]
    tolerance: float = 1e-6

    @property
    def name(self) -> str:
        """The function's bare name."""
        return self.function.partition("(")[0]


Gold = NumberGold | YesNoGold | ChoiceGold | LabelGold | TextGold | SpansGold | CodeGold


@dataclass(frozen=True, slots=True)
class Example:
    """One scored item.

    ``id`` and ``turn`` name it within its benchmark (``turn`` is None outside dialogues). Examples of
    one ``group`` share a long prompt prefix and are the clusters of the statistics: the questions of a
    page, the turns of a dialogue, the rows of a file. ``question`` is what it asks and ``context`` what it
    asks that of (a page; "" if nothing), without the prompt's instructions. ``facets`` are what reports break
    results down by.
    """

    benchmark: str
    id: str
    messages: tuple[Message | OwnAnswer, ...]
    gold: Gold
    group: str
    turn: int | None = None
    facets: dict[str, Any] = field(default_factory=dict)
    question: str = ""
    context: str = ""


class UserError(Exception):
    """A wrong request: printed as one line without a traceback, exit code 2.

    The message says what is wrong and what to do about it.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """A ' Did you mean X?' with the known name closest to `name`, or ''."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]}?" if close else ""


Outcome = Literal[
    "correct",
    "wrong_number",
    "wrong_choice",
    "wrong_code",
    "scale_x100",
    "scale_thousand",
    "sign",
    "rounding",
    "no_final_answer",
    "truncated",
    "loop",
    "context_overflow",
    "unparsed",
    "echo",
    "engine_error",
    "unscored",
    "judged_wrong",
    "judge_error",
]


@dataclass(frozen=True, slots=True)
class Output:
    """A model's raw output.

    ``truncated`` says that generation stopped at the token limit, or in a loop, and not by the model's own
    choice. ``prompt`` is the text that it answers, so that words which are only repeated are known as such;
    "" if not known.
    """

    text: str
    truncated: bool = False
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """A rule's judgement of one output.

    ``extracted`` is the text taken as the final answer and ``span`` its place in the raw output
    (start, end; characters). ``correct`` and ``value`` are None where the rule cannot judge
    (free text): such items are unscored, not wrong. ``note`` says why, in a few words.
    """

    extracted: str | None
    correct: bool | None
    value: float | None
    outcome: Outcome
    note: str = ""
    span: tuple[int, int] | None = None


UNSCORED = Score(None, None, None, "unscored", "free text needs a judge")
CODE_UNSCORED = Score(None, None, None, "unscored", "code is not run without allow_code=true")

GoldKind = Literal["number", "yes_no", "choice", "label", "text", "spans", "code"]

GOLD_TYPES: dict[GoldKind, type[Gold]] = {
    "number": NumberGold,
    "yes_no": YesNoGold,
    "choice": ChoiceGold,
    "label": LabelGold,
    "text": TextGold,
    "spans": SpansGold,
    "code": CodeGold,
}
KIND_OF_GOLD = {each: kind for kind, each in GOLD_TYPES.items()}


def prompt_of(messages: Iterable[tuple[str, str]]) -> str:
    """What a model was told, from (role, content) pairs: without its own earlier answers."""
    return "\n".join(content for role, content in messages if role != "assistant")


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer to an example, with what every rule says of it (by the rule's name).

    `number` counts the answers to one example from 0. `messages` are (role, content) pairs as sent. `error`
    is the engine's; then there is no text. `abandoned`: wrong, though the right number was reached before;
    None where that was not looked for. `reason`: in a line why the default rule judged it so, "" if unknown.
    """

    number: int
    messages: tuple[tuple[str, str], ...]
    text: str | None
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    error: str | None
    scores: dict[str, Score]
    abandoned: bool | None = None
    reason: str = ""

    @property
    def cut_off(self) -> bool:
        """Whether the answer did not end by the model's own choice."""
        return is_cut_off(self.finish_reason)

    @property
    def output(self) -> Output:
        """What a rule is given of it."""
        return Output(self.text or "", self.cut_off, prompt_of(self.messages))


@dataclass(frozen=True, slots=True)
class Item:
    """An example as a run asked it, and its answers. It needs none of the benchmark's files.

    Fields are those of `Example`; `gold` is the gold answer as text, `choices` what may be answered where
    that is a closed set: labels (their text is ""), or option letters with the options' texts. `printed` is
    the gold answer as the dataset prints it, where that is not `gold` itself.
    """

    benchmark: str
    id: str
    turn: int | None
    group: str
    facets: dict[str, Any]
    gold_kind: GoldKind
    gold: str
    question: str
    samples: tuple[Sample, ...]
    choices: dict[str, str] = field(default_factory=dict)
    printed: str = ""

    @property
    def key(self) -> Key:
        """Its name within its benchmark."""
        return self.id, self.turn

    def value(self, rule: str) -> float | None:
        """The mean score of its samples under a rule; None where none is scored."""
        values = [
            score.value
            for sample in self.samples
            if (score := sample.scores.get(rule)) is not None and score.value is not None
        ]
        return statistics.fmean(values) if values else None

    @property
    def failed(self) -> bool:
        """Whether the engine gave no answer to one of its samples."""
        return any(sample.error is not None for sample in self.samples)

    def with_samples(self, samples: tuple[Sample, ...]) -> Item:
        """The same example with other samples."""
        return replace(self, samples=samples)


AVERAGE = "average"
"""In place of a benchmark's name: the plain mean over the benchmarks."""

VerdictKind = Literal["as_good", "worse", "better", "unresolved"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its standard error and 95 % interval over `n` items in `clusters` clusters.

    Accuracies and their differences are fractions of 1. `error` is None where nothing can be estimated
    (fewer than two clusters); the interval is then the widest possible one.
    """

    value: float
    error: float | None
    low: float
    high: float
    n: int
    clusters: int


@dataclass(frozen=True, slots=True)
class Flips:
    """Items whose verdict or answer changed (arXiv 2407.09141), counted over single-sample items.

    `wrong_to_other_wrong`: both wrong, with different extracted answers.
    """

    right_to_wrong: int
    wrong_to_right: int
    wrong_to_other_wrong: int
    n: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The conclusion at the margin, after Holm's correction over the family it was tested in.

    `as_good`: not worse than the reference by `margin` or more. `needed_n`: items that would probably settle
    an `unresolved` one, None otherwise or if it cannot be told.
    """

    kind: VerdictKind
    needed_n: int | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One candidate against the reference on one benchmark, or on the average of several.

    `difference` is candidate - reference. `tokens` (answer length in tokens) and `truncated` (share of
    answers cut at the limit) are differences too. p-values are before (`p_*`) and after Holm
    (`adjusted_p_*`): `p_difference` two-sided against no difference, `p_non_inferior` one-sided against a
    loss of at least the margin. `p_mcnemar` is the exact test, None unless every item has one right-or-wrong
    answer on both sides. `detectable`: the smallest true difference that this n would show with power 0.8.
    """

    benchmark: str
    candidate: Estimate
    reference: Estimate
    difference: Estimate
    flips: Flips | None
    tokens: Estimate | None
    truncated: Estimate | None
    p_mcnemar: float | None
    p_difference: float | None
    p_non_inferior: float | None
    adjusted_p_difference: float | None
    adjusted_p_non_inferior: float | None
    detectable: float | None
    verdict: Verdict


Name = tuple[str, str, int | None, int]
"""(benchmark, id, turn, sample): what a generation is called in its run."""


@dataclass(frozen=True, slots=True)
class Request:
    """One answer that a run wants."""

    example: Example
    sample: int

    @property
    def name(self) -> Name:
        return (self.example.benchmark, self.example.id, self.example.turn, self.sample)


def visible(text: str) -> str:
    """The part of an answer that a chat keeps in its history: what follows the reasoning.

    An unclosed `<think>` never got to an answer, so nothing is left of it.
    """
    if "</think>" in text:
        return text.rpartition("</think>")[2].strip()
    return "" if "<think>" in text else text.strip()


def messages_of(
    request: Request, system: str | None, answers: Mapping[Name, str | None]
) -> tuple[Message, ...] | None:
    """The request's messages with the protocol's system prompt and the model's own earlier answers.

    Templates know one system message, so the protocol's and the record's become one. Returns None while
    an earlier turn that the messages need has no answer yet.
    """
    messages: list[Message] = []
    for message in request.example.messages:
        if isinstance(message, OwnAnswer):
            earlier = (request.example.benchmark, request.example.id, message.turn, request.sample)
            if earlier not in answers:
                return None
            messages.append(Message("assistant", visible(answers[earlier] or "")))
        else:
            messages.append(message)
    if system is None:
        return tuple(messages)
    if messages and messages[0].role == "system":
        return (Message("system", f"{system}\n\n{messages[0].content}"), *messages[1:])
    return (Message("system", system), *messages)


def seeded(sampling: GenerationSettings, request: Request) -> GenerationSettings:
    """The sampling of one request: each has a seed of its own, which does not depend on the others."""
    text = json.dumps([sampling.seed, *request.name], ensure_ascii=False)
    return replace(sampling, seed=int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) >> 1)


def generation_key(
    identity: Mapping[str, Any], messages: tuple[Message, ...], sampling: GenerationSettings, sample: int
) -> str:
    """A hash of everything that decides a generation.

    Two generations with the same key are the same computation, so a finished one is never repeated, and a
    changed weight file, engine build, template, prompt or sampling value never reuses an old answer.
    """
    content = {
        "identity": identity,
        "messages": [[m.role, m.content] for m in messages],
        "sampling": sampling.as_dict(),
        "sample": sample,
    }
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """Everything that shapes an answer apart from the weights and the prompt.

    ``top_k`` 0 and ``min_p`` 0 mean off. ``max_tokens`` counts generated tokens, reasoning included.
    ``json_schema`` is a JSON schema, as text, that the answer must satisfy where the server can see to it.
    ``stop_loops`` ends an answer that is a proven repetition: see `evalkit.engines.loops`.
    """

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repetition_penalty: float
    max_tokens: int
    seed: int
    json_schema: str | None = None
    stop_loops: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For records and keys: without what is off, as they were before it could be on."""
        later = {"json_schema": self.json_schema, "stop_loops": self.stop_loops}
        return {name: value for name, value in asdict(self).items() if later.get(name, True)}


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer, or the typed reason why there is none.

    ``error`` is None, ``context_overflow`` or ``engine_error: ...``. Times are seconds; ``prefill_s`` and
    ``decode_s`` are the engine's own figures where it gives them.
    """

    text: str | None
    finish_reason: str | None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    latency_s: float = 0.0
    prefill_s: float | None = None
    decode_s: float | None = None
    error: str | None = None


def valid_text(text: str) -> str:
    """`text` with lone surrogates replaced: JSON can carry them, files cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


LENGTH, LOOP = "length", "loop"
"""Finish reasons of an answer that was cut off: at the token limit, or as a proven repetition."""

LOOP_TOKENS = 300
"""The shortest repetition that is proven, in tokens."""


def is_cut_off(finish_reason: str | None) -> bool:
    """Whether an answer did not end by the model's own choice."""
    return finish_reason in (LENGTH, LOOP)


CONTEXT_OVERFLOW = "context_overflow"
ENGINE_ERROR = "engine_error"


class EngineUnusable(Exception):
    """The engine cannot go on: it does not start, or dies without answering anything. One line."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Medians over `repeats`. `first_token_seconds` is what a client waits for the first token of an answer
    to a prompt of `prompt_tokens`; decoding is timed over `answer_tokens`."""

    prompt_tokens: int
    answer_tokens: int
    repeats: int
    prefill_tokens_per_second: float
    decode_tokens_per_second: float
    first_token_seconds: float

    def as_json(self) -> dict[str, float | int]:
        return {name: round(getattr(self, name), 4) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Loaded:
    """The selected examples and, JSON-able, where they came from and how they were selected."""

    examples: list[Example]
    provenance: dict[str, Any]


def rank(seed: int, name: str) -> int:
    """The place of `name` in the order under `seed`: 128 bits, uniform."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{name}".encode()).digest()[:16])


@dataclass(frozen=True, slots=True)
class Memory:
    """Predicted resident memory in bytes: weights, KV cache, compute buffers, and the process itself."""

    weights: int
    kv: int
    compute: int
    process: int

    @property
    def total(self) -> int:
        """The sum, in bytes."""
        return self.weights + self.kv + self.compute + self.process


Task = Literal["answer", "free_text", "reasoning", "reasoning_holistic", "pairwise"]
Language = Literal["en", "zh"]
ErrorKind = Literal["broken_reply", "engine_error", "context_overflow", "budget"]


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a well-formed reply says.

    ``score`` is in [0, 1]: 0 or 1 for ``answer`` and the reasoning tasks, a grade for ``free_text``, and for
    ``pairwise`` 1 if the first answer shown wins, 0 if the second does, 0.5 for a tie. ``criteria`` are the
    seven of the reasoning check, by name.
    """

    score: float
    criteria: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One case's outcome: a ruling, or the typed reason why there is none.

    ``key`` is the hash of judge identity, prompt and sampling under which it is cached; ``reply`` the judge's
    last reply, raw. ``attempts`` counts requests sent for it now: 0 when it came from the cache. Tokens and
    ``cost`` (in the currency of the configured prices) are those of all attempts.
    """

    key: str
    ruling: Ruling | None
    error: ErrorKind | None = None
    detail: str = ""
    reply: str = ""
    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0

    @property
    def cached(self) -> bool:
        return self.attempts == 0 and self.ruling is not None


Form = Literal["json", "boxed"]


When = Literal["undecided", "audit", "always", "never"]
Reasoning = Literal["criteria", "holistic"]


JUDGED = "judged"


GOLD_DIGITS = 10


def gold_text(gold: Gold) -> str:
    """A gold answer as a reader writes it; empty for free text."""
    if isinstance(gold, NumberGold):
        return f"{gold.value:.{GOLD_DIGITS}g}"
    if isinstance(gold, YesNoGold):
        return "yes" if gold.yes else "no"
    if isinstance(gold, ChoiceGold):
        return gold.letter
    if isinstance(gold, SpansGold):
        return f"{'; '.join(gold.texts)} {gold.scale}".strip()
    if isinstance(gold, CodeGold):
        return f"{gold.function}: {len(gold.cases)} cases"
    return gold.label if isinstance(gold, LabelGold) else ""


Key = tuple[str, int | None]


RUN_SCHEMA = 1
"""Version of run.json, generations.jsonl and scores.jsonl."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of generations.jsonl. Field meanings are those of `Completion`; times are seconds."""

    key: str
    benchmark: str
    id: str
    turn: int | None
    sample: int
    group: str
    messages: list[dict[str, str]]
    text: str | None
    finish_reason: str | None
    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    latency_s: float
    prefill_s: float | None
    decode_s: float | None
    error: str | None

    @property
    def name(self) -> Name:
        return (self.benchmark, self.id, self.turn, self.sample)

    @property
    def is_final(self) -> bool:
        """Whether trying again could not change it: all but the engine's own failures."""
        return not (self.error or "").startswith(ENGINE_ERROR)

    @property
    def computed_tokens(self) -> int:
        """Prompt tokens that the engine computed rather than found in its cache."""
        return (self.prompt_tokens or 0) - (self.cached_tokens or 0)

    def line(self) -> str:
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(fields, ensure_ascii=False) + "\n"


DEFAULT = "financial"


SHOWN_CHARS = 200
