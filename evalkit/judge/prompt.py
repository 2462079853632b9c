r"""What a judge is asked, and how its reply is read.

All stands in one user message: constant instructions, then the texts of the case. Small models know no system
role reliably, and some templates refuse one; the instructions come first, so that the cases of one task and
language share a cached prefix. The templates are `prompts/<task>.<language>.jinja` over
`prompts/base.<language>.jinja`. A case can be asked again with the order of its fields or its language turned
around, which should not matter.

Foreign text stays readable in a prompt and can do nothing there. Chat templates and tokenizers read control
tokens out of plain text: `<|im_end|>`, `<s>`, `<｜User｜>`, `<start_of_turn>`, `[INST]`, `]~b]`, `<think>`. A
list of them would never be complete, but all have `<`, `[` or `]` with something directly behind it. So each
of these gets a space, and no list is needed. `\boxed` gets one too: a judge that quotes an answer does not
give its verdict by that.

A reply is one JSON object, or one `\boxed{}`, after any reasoning. One that says less, more or two things is
broken, and never read in the more likely way: an answer that gets itself quoted must not become the verdict.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from evalkit.schema import Form, Language, Message, Ruling, Task
from evalkit.scoring.text import answer_start

_TEMPLATES = Path(__file__).parent / "prompts"

# Characters kept of the head and of the tail. A page's question and an answer's result stand at the end.
_QUESTION = (1_000, 3_000)
_REFERENCE = (6_000, 2_000)
_ANSWER = {
    "answer": (500, 3_500),
    "free_text": (8_000, 4_000),
    "pairwise": (8_000, 4_000),
    "reasoning": (16_000, 8_000),
    "reasoning_holistic": (16_000, 8_000),
}


@dataclass(frozen=True, slots=True)
class Contract:
    """The reply that a task asks for, in one of two forms."""

    task: Task
    form: Form

    @property
    def json_schema(self) -> str | None:
        """A JSON schema as canonical text, for servers that see to it; None in boxed form."""
        if self.form == "boxed":
            return None
        names = list(_ALLOWED[self.task])
        schema = {
            "type": "object",
            "properties": {name: _SCHEMAS[name] for name in names},
            "required": names,
            "additionalProperties": False,
        }
        return json.dumps(schema, separators=(",", ":"))

    @property
    def max_tokens(self) -> int:
        """What a well-formed reply needs, without thinking: a box may come with a few sentences before it."""
        if self.form == "boxed":
            return 256
        return 192 if self.task == "reasoning" else 48

    def parse(self, reply: str) -> Ruling:
        """What a reply says.

        In JSON `{"verdict": 0}`, `{"grade": 0.75}`, `{"better": "first"}` or the seven criteria as
        true/false, alone or in one fence. In a box `\\boxed{0}`, `\\boxed{0.75}`, 1, 2 or 0 for first, second
        or tie, or `\\boxed{1110111}`, with or without words around it.

        Reasoning before it is not looked at if its opening tag begins the reply. Where that is missing (a
        template may have prefilled it, or the reply quotes a closing one), it must hold no other verdict.
        Linear time.

        Raises:
            BrokenReply: it is anything else; the message says what.
        """
        before, verdict = _reply_after_reasoning(reply)
        if self.form == "json":
            return _ruling(self.task, self._from_json(before, verdict))
        return _ruling(self.task, self._from_box(before, verdict))

    def _from_json(self, before: str, verdict: str) -> dict[str, object]:
        if "{" in before:
            raise BrokenReply("two replies")
        found = _json_object(verdict)
        allowed = _ALLOWED[self.task]
        if found.keys() != allowed.keys():
            raise BrokenReply("other keys than asked for" if found else "no verdict")
        for name, values in allowed.items():
            if not any(_same(found[name], value) for value in values):
                raise BrokenReply("out of range")
        return found

    def _from_box(self, before: str, verdict: str) -> dict[str, object]:
        if not (found := _boxes(verdict)):
            raise BrokenReply("no verdict")
        read = [self._boxed(content) for content in found + _boxes(before)]
        if any(each != read[0] for each in read):
            raise BrokenReply("two different verdicts")
        return read[0]

    def _boxed(self, content: str) -> dict[str, object]:
        """A box in the terms of the JSON form."""
        if self.task == "reasoning" and _SEVEN.fullmatch(content):
            digits = content.replace(",", "").replace(" ", "")
            return {name: digit == "1" for name, digit in zip(CRITERIA, digits, strict=True)}
        if self.task == "pairwise" and content in _PAIRWISE_BOX:
            return {"better": _PAIRWISE_BOX[content]}
        if self.task in ("answer", "free_text", "reasoning_holistic") and _DECIMAL.fullmatch(content):
            ((name, values),) = _ALLOWED[self.task].items()
            if float(content) in values:
                return {name: float(content)}
        raise BrokenReply("out of range")


@dataclass(frozen=True, slots=True)
class Prompt:
    """The messages for the judge, and the contract that its reply must keep."""

    messages: tuple[Message, ...]
    contract: Contract


def parts(text: str, head: int, tail: int) -> tuple[str, ...]:
    """A text of bounded length: nothing, the whole, or its first `head` and last `tail` characters.

    Two parts are delimited one by one: the note on what is left out stands between, where no text reaches.
    """
    if not text:
        return ()
    if len(text) <= head + tail:
        return (text,)
    return text[:head], text[-tail:]


@dataclass(frozen=True, slots=True)
class _Field:
    """One text as it is shown: no part (it is empty), one, or head and tail."""

    name: str
    parts: tuple[str, ...]


def prompt_of(case: Case, form: Form) -> Prompt:
    """The prompt for a case, with a reply in JSON or as a `\\boxed{}`. The same case, the same text.

    The reasoning of an output is left out, except where the reasoning is what is judged. An output whose
    reasoning never ends has answered nothing and is shown as empty.
    """
    fields = tuple(_fields(case))
    text = (
        _environment()
        .get_template(f"{case.task}.{case.language}.jinja")
        .render(
            fields=fields,
            tag=tag_of([part for field in fields for part in field.parts]),
            form=form,
            criteria=CRITERIA,
        )
    )
    return Prompt((Message("user", text),), Contract(case.task, form))


def templates_fingerprint() -> str:
    """The sha256 over the names and contents of all templates."""
    digest = hashlib.sha256()
    for path in sorted(_TEMPLATES.glob("*.jinja")):
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


@cache
def _environment() -> SandboxedEnvironment:
    return SandboxedEnvironment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        autoescape=False,  # a prompt is plain text, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _fields(case: Case) -> Iterator[_Field]:
    """The texts in the order shown. A question may be unknown; a comparison may do without a reference.

    The answer check is not given the question: with it, Fin-R1's two judges were wrong on 8.0 and 6.0 % of
    answers, without it on 0.4 and 2.8 % (arXiv 2503.16252, appendix C.1).
    """
    if case.question.strip() and case.task != "answer":
        yield _field("question", case.question, _QUESTION)
    reference = [_field("reference", case.reference, _REFERENCE)]
    if case.task == "pairwise" and not case.reference.strip():
        reference = []
    answers = list(_answers(case))
    yield from reference + answers if case.order == "reference_first" else answers + reference


def _answers(case: Case) -> Iterator[_Field]:
    kept = _ANSWER[case.task]
    if case.task == "pairwise":
        yield _field("first", _after_reasoning(case.answer), kept)
        yield _field("second", _after_reasoning(case.other), kept)
    elif case.task in ("answer", "free_text"):
        yield _field("answer", _after_reasoning(case.answer), kept)
    else:
        yield _field("output", case.answer, kept)


def _field(name: str, text: str, kept: tuple[int, int]) -> _Field:
    return _Field(name, parts(shielded(text), *kept))


def _after_reasoning(output: str) -> str:
    start = answer_start(output)
    return "" if start is None else output[start:]


_LINE_BREAK = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties.txt (zero-width, bidi, variation selectors,
# tag characters), and the interlinear annotations U+FFF9 to U+FFFB.
_INVISIBLE = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    r"\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Behind a bracket, or what NFKC, which some tokenizers apply, turns into one; and in `\boxed`.
_JOINT = re.compile(r"(?<=[<﹤＜\[﹇［\]﹈］])(?=\S)|(?<=\\)(?=f?boxed)")
_TAG_DIGITS = 12


def shielded(text: str) -> str:
    """`text` without invisible and control characters and lone surrogates, its brackets broken up.

    Digits, signs, %, CJK text and LaTeX other than boxes stay as they are, so that numbers can be judged.
    Linear time; at most twice as long as `text`; `shielded(shielded(text)) == shielded(text)`.
    """
    text = _LINE_BREAK.sub("\n", text)
    text = _CONTROL.sub(" ", text)
    text = _SURROGATE.sub("\ufffd", text)
    text = _INVISIBLE.sub("", text)
    return _JOINT.sub(" ", text).strip()


def tag_of(texts: Sequence[str]) -> str:
    """Hexadecimal digits that occur in none of `texts` and depend on all: the same texts, the same tag."""
    digest = hashlib.sha256(json.dumps(texts).encode())
    while any((tag := digest.hexdigest()[:_TAG_DIGITS]) in text for text in texts):
        digest.update(b"again")
    return tag


# Fin-R1's reasoning check (arXiv 2503.16252): all seven must hold.
CRITERIA = (
    "internal_consistency",
    "term_overlap",
    "enough_steps",
    "logical_consistency",
    "content_diversity",
    "domain_relevance",
    "instruction_consistency",
)
GRADES = (0, 0.25, 0.5, 0.75, 1)

_VERDICT: Mapping[str, tuple[object, ...]] = {"verdict": (0, 1)}
_ALLOWED: dict[Task, Mapping[str, tuple[object, ...]]] = {
    "answer": _VERDICT,
    "free_text": {"grade": GRADES},
    "reasoning": dict.fromkeys(CRITERIA, (False, True)),
    "reasoning_holistic": _VERDICT,
    "pairwise": {"better": ("first", "second", "tie")},
}
_SCHEMAS: dict[str, dict[str, object]] = {
    "verdict": {"type": "integer", "enum": [0, 1]},
    "grade": {"type": "number", "enum": list(GRADES)},
    "better": {"type": "string", "enum": ["first", "second", "tie"]},
    **{name: {"type": "boolean"} for name in CRITERIA},
}
_PAIRWISE_SCORE = {"first": 1.0, "second": 0.0, "tie": 0.5}
_PAIRWISE_BOX = {"1": "first", "2": "second", "0": "tie"}

_REPLY_CHARS = 1_000_000  # with its reasoning
_VERDICT_CHARS = 16_000  # without
_OPENED = re.compile(r"<think(?:ing)?\s{0,3}>", re.IGNORECASE)
_CLOSED = re.compile(r"</think(?:ing)?\s{0,3}>", re.IGNORECASE)
_BOX = re.compile(r"\\boxed\s{0,3}\{([^{}\\]{0,64})\}")
_DECIMAL = re.compile(r"[0-9](?:\.[0-9]{1,2})?")
_SEVEN = re.compile(r"[01](?:[ ,]{0,2}[01]){6}")


def _reply_after_reasoning(reply: str) -> tuple[str, str]:
    """The reply after its reasoning, and what stands before that and may or may not be reasoning."""
    if len(reply) > _REPLY_CHARS:
        raise BrokenReply("too long")
    start = answer_start(reply)
    if start is None:
        raise BrokenReply("cut off in its reasoning")
    before, verdict = reply[:start], reply[start:].strip()
    if not verdict:
        raise BrokenReply("no verdict")
    if len(verdict) > _VERDICT_CHARS:
        raise BrokenReply("too long")
    if len(_CLOSED.findall(reply)) > 1:
        raise BrokenReply("its reasoning ends twice")
    if _CLOSED.search(verdict):
        raise BrokenReply("no verdict")
    opened = _OPENED.search(before)
    if opened and before[: opened.start()].strip():
        raise BrokenReply("text before its reasoning")
    return "" if opened else before, verdict


def _json_object(text: str) -> dict[str, object]:
    if text.startswith("```") and text.endswith("```") and len(text) > 6:
        text = text[3:-3].removeprefix("json").strip()
    try:
        found: Any = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            raise BrokenReply("text beside the JSON object") from error
        cut = text.startswith("{") and not text.endswith("}")
        raise BrokenReply("cut off" if cut else "not JSON") from error
    except (ValueError, RecursionError) as error:  # an integer of thousands of digits, a thousand brackets
        raise BrokenReply("not JSON") from error
    if not isinstance(found, dict):
        raise BrokenReply("no JSON object")
    return found


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) < len(pairs):
        raise BrokenReply("a key twice")
    return dict(pairs)


def _no_constant(_name: str) -> object:
    raise BrokenReply("not JSON")


def _same(given: object, value: object) -> bool:
    """Equal, without Python's `True == 1`."""
    return given == value and isinstance(given, bool) == isinstance(value, bool)


def _boxes(text: str) -> list[str]:
    """The contents of all boxes; each must be plain and closed, else no one knows what the reply says."""
    found = [content.strip() for content in _BOX.findall(text)]
    if len(found) < text.count("\\boxed"):
        raise BrokenReply("cut off" if text.rfind("{") > text.rfind("}") else "a box that is not a verdict")
    return found


def _ruling(task: Task, values: Mapping[str, Any]) -> Ruling:
    if task == "reasoning":
        criteria = {name: bool(values[name]) for name in CRITERIA}
        return Ruling(float(all(criteria.values())), criteria)
    if task == "pairwise":
        return Ruling(_PAIRWISE_SCORE[values["better"]])
    (value,) = values.values()
    return Ruling(float(value))


Swap = Literal["order", "language"]


def other_order(case: Case) -> Case:
    """The case with reference and answer in the other order."""
    swapped: Literal["answer_first", "reference_first"] = (
        "answer_first" if case.order == "reference_first" else "reference_first"
    )
    return replace(case, order=swapped)


def other_language(case: Case) -> Case:
    """The case with its instructions in the other language."""
    return replace(case, language="zh" if case.language == "en" else "en")


Order = Literal["reference_first", "answer_first"]


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to judge.

    Args:
        task: ``answer``: is it the same as the gold answer (arXiv 2503.16252, answer check); ``free_text``: a
            grade from 0 to 1 against a reference; ``reasoning``: the seven criteria, all of which must hold;
            ``reasoning_holistic``: one 0/1 over the seven; ``pairwise``: which of two answers is better.
        question: what the model was asked, as text; may be empty.
        reference: the gold answer or reference text.
        answer: the model's raw output. Stripping, capping and delimiting it is the prompt's business.
        other: the second answer of a pairwise case, raw as well.
        language: of the judge's instructions.
        order: of the fields in the prompt; swapped to measure how much it changes.
    """

    task: Task
    question: str
    reference: str
    answer: str
    other: str = ""
    language: Language = "en"
    order: Order = "reference_first"


SWAPS: Mapping[Swap, Callable[[Case], Case]] = {"order": other_order, "language": other_language}


class BrokenReply(Exception):
    """A reply that breaks the contract; the message says how, in a few words. Never a verdict of 0."""
